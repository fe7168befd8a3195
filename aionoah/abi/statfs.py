"""What statfs tells (uapi asm-generic/statfs.h, linux/magic.h; statfs(2)). The same on both architectures."""

from typing import Annotated

from aionoah.abi.cstruct import I32, I64, Struct
from aionoah.abi.flags import Choice, Flags


class Statfs(Struct):
    f_type: I64
    f_bsize: I64
    f_blocks: I64
    f_bfree: I64
    f_bavail: I64
    f_files: I64
    f_ffree: I64
    f_fsid0: I32
    f_fsid1: I32
    f_namelen: I64
    f_frsize: I64
    f_flags: Annotated[int, "q32x"]


class MAGIC(Choice):
    """f_type of file systems."""

    ANON_INODE_FS = 0x09041934
    BINFMTFS = 0x42494E4D
    BTRFS = 0x9123683E
    CGROUP = 0x27E0EB
    CGROUP2 = 0x63677270
    DEBUGFS = 0x64626720
    DEVPTS = 0x1CD1
    EXT4 = 0xEF53
    FUSE = 0x65735546
    HOSTFS = 0x00C0FFEE  # fs/hostfs of User-mode Linux
    HUGETLBFS = 0x958458F6
    ISOFS = 0x9660
    MQUEUE = 0x19800202
    MSDOS = 0x4D44
    NFS = 0x6969
    NSFS = 0x6E736673
    OVERLAYFS = 0x794C7630
    PIPEFS = 0x50495045
    PROC = 0x9FA0
    RAMFS = 0x858458F6
    SECURITYFS = 0x73636673
    SOCKFS = 0x534F434B
    SQUASHFS = 0x73717368
    SYSFS = 0x62656572
    TMPFS = 0x01021994
    TRACEFS = 0x74726163
    V9FS = 0x01021997
    XFS = 0x58465342


class ST(Flags):
    """f_flags (include/linux/statfs.h); VALID says that the others mean something."""

    RDONLY = 0x0001
    NOSUID = 0x0002
    NODEV = 0x0004
    NOEXEC = 0x0008
    SYNCHRONOUS = 0x0010
    VALID = 0x0020
    MANDLOCK = 0x0040
    NOATIME = 0x0400
    NODIRATIME = 0x0800
    RELATIME = 0x1000
    NOSYMFOLLOW = 0x2000
