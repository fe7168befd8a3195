"""Mounting (uapi linux/mount.h; mount(2), umount(2))."""

from aionoah.abi.flags import Flags

MAGIC_VALUE = 0xC0ED0000  # in the upper half of mount's flags: once required, now ignored
MAGIC_MASK = 0xFFFF0000


class MS(Flags):
    """Flags of mount(2)."""

    WIDTH = 64
    RDONLY = 1
    NOSUID = 2
    NODEV = 4
    NOEXEC = 8
    SYNCHRONOUS = 16
    REMOUNT = 32
    MANDLOCK = 64
    DIRSYNC = 128
    NOSYMFOLLOW = 256
    NOATIME = 1024
    NODIRATIME = 2048
    BIND = 4096
    MOVE = 8192
    REC = 16384
    SILENT = 32768
    POSIXACL = 1 << 16
    UNBINDABLE = 1 << 17
    PRIVATE = 1 << 18
    SLAVE = 1 << 19
    SHARED = 1 << 20
    RELATIME = 1 << 21
    I_VERSION = 1 << 23
    STRICTATIME = 1 << 24
    LAZYTIME = 1 << 25
    NOUSER = 1 << 31


class MNT(Flags):
    """Flags of umount2(2)."""

    FORCE = 1
    DETACH = 2
    EXPIRE = 4
    UMOUNT_NOFOLLOW = 8
