"""Capabilities (uapi linux/capability.h; capabilities(7), capget(2))."""

from aionoah.abi.cstruct import I32, U32, Struct
from aionoah.abi.flags import Choice


class CAP(Choice):
    """Numbers of capabilities; in a set, number N is the bit 1 << N."""

    CHOWN = 0
    DAC_OVERRIDE = 1
    DAC_READ_SEARCH = 2
    FOWNER = 3
    FSETID = 4
    KILL = 5
    SETGID = 6
    SETUID = 7
    SETPCAP = 8
    LINUX_IMMUTABLE = 9
    NET_BIND_SERVICE = 10
    NET_BROADCAST = 11
    NET_ADMIN = 12
    NET_RAW = 13
    IPC_LOCK = 14
    IPC_OWNER = 15
    SYS_MODULE = 16
    SYS_RAWIO = 17
    SYS_CHROOT = 18
    SYS_PTRACE = 19
    SYS_PACCT = 20
    SYS_ADMIN = 21
    SYS_BOOT = 22
    SYS_NICE = 23
    SYS_RESOURCE = 24
    SYS_TIME = 25
    SYS_TTY_CONFIG = 26
    MKNOD = 27
    LEASE = 28
    AUDIT_WRITE = 29
    AUDIT_CONTROL = 30
    SETFCAP = 31
    MAC_OVERRIDE = 32
    MAC_ADMIN = 33
    SYSLOG = 34
    WAKE_ALARM = 35
    BLOCK_SUSPEND = 36
    AUDIT_READ = 37
    PERFMON = 38
    BPF = 39
    CHECKPOINT_RESTORE = 40


CAP_LAST_CAP = 40
CAP_FULL_SET = 0x1FF_FFFF_FFFF  # all of them

# Versions of the header; 1 has one CapabilityData after it, 2 and 3 have two.
CAPABILITY_VERSION_1 = 0x19980330
CAPABILITY_VERSION_2 = 0x20071026
CAPABILITY_VERSION_3 = 0x20080522


class CapabilityHeader(Struct):
    version: U32
    pid: I32


class CapabilityData(Struct):
    """32 bits of each set, the low ones first."""

    effective: U32
    permitted: U32
    inheritable: U32


# Capabilities of files: the value of the extended attribute, in words of 32 bits, little-endian. The first
# holds the revision and whether what is permitted becomes effective; then come permitted and inheritable,
# once in revision 1, twice (low, high) in the others; then, in revision 3, the user who is root where they count.
XATTR_NAME_CAPS = b"security.capability"
VFS_CAP_REVISION_MASK = 0xFF000000
VFS_CAP_REVISION_1 = 0x01000000
VFS_CAP_REVISION_2 = 0x02000000
VFS_CAP_REVISION_3 = 0x03000000
VFS_CAP_FLAGS_EFFECTIVE = 0x000001
XATTR_CAPS_SZ_1 = 12
XATTR_CAPS_SZ_2 = 20
XATTR_CAPS_SZ_3 = 24
