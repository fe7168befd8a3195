"""What stat tells (uapi linux/stat.h; stat(2), statx(2), inode(7)). struct stat is per architecture."""

from typing import Annotated

from aionoah.abi.cstruct import I64, U16, U32, U64, Struct
from aionoah.abi.flags import Choice, Flags


class S(Flags):
    """Types and permissions in a mode word. The types are values under IFMT, not single bits."""

    IFMT = 0o170000
    IFSOCK = 0o140000
    IFLNK = 0o120000
    IFREG = 0o100000
    IFBLK = 0o060000
    IFDIR = 0o040000
    IFCHR = 0o020000
    IFIFO = 0o010000
    ISUID = 0o4000
    ISGID = 0o2000
    ISVTX = 0o1000
    IRWXU = 0o700
    IRUSR = 0o400
    IWUSR = 0o200
    IXUSR = 0o100
    IRWXG = 0o070
    IRGRP = 0o040
    IWGRP = 0o020
    IXGRP = 0o010
    IRWXO = 0o007
    IROTH = 0o004
    IWOTH = 0o002
    IXOTH = 0o001
    IRWXUGO = 0o777
    IALLUGO = 0o7777
    IXUGO = 0o111


def is_directory(mode: int) -> bool:
    return mode & S.IFMT == S.IFDIR


def is_regular(mode: int) -> bool:
    return mode & S.IFMT == S.IFREG


def is_symlink(mode: int) -> bool:
    return mode & S.IFMT == S.IFLNK


class DT(Choice):
    """File types in directory entries (include/linux/fs_types.h): S_IFMT shifted down by twelve bits."""

    UNKNOWN = 0
    FIFO = 1
    CHR = 2
    DIR = 4
    BLK = 6
    REG = 8
    LNK = 10
    SOCK = 12
    WHT = 14


def directory_type(mode: int) -> int:
    """The DT_* value of a file with this mode."""
    return (mode & S.IFMT) >> 12


class UTIME(Choice):
    """Nanoseconds with a meaning of their own in utimensat."""

    NOW = 0x3FFFFFFF
    OMIT = 0x3FFFFFFE


class STATX(Flags):
    """Which fields of Statx are wanted or present."""

    TYPE = 0x1
    MODE = 0x2
    NLINK = 0x4
    UID = 0x8
    GID = 0x10
    ATIME = 0x20
    MTIME = 0x40
    CTIME = 0x80
    INO = 0x100
    SIZE = 0x200
    BLOCKS = 0x400
    BASIC_STATS = 0x7FF
    BTIME = 0x800
    MNT_ID = 0x1000
    DIOALIGN = 0x2000
    MNT_ID_UNIQUE = 0x4000
    SUBVOL = 0x8000
    WRITE_ATOMIC = 0x10000
    RESERVED = 0x80000000  # refused with EINVAL


class STATX_ATTR(Flags):  # noqa: N801 - the name of the header
    """Bits of Statx.stx_attributes."""

    COMPRESSED = 0x4
    IMMUTABLE = 0x10
    APPEND = 0x20
    NODUMP = 0x40
    ENCRYPTED = 0x800
    AUTOMOUNT = 0x1000
    MOUNT_ROOT = 0x2000
    VERITY = 0x100000
    DAX = 0x200000


class StatxTimestamp(Struct):
    tv_sec: I64
    tv_nsec: U32


class Statx(Struct):
    """256 bytes, the same on every architecture, the last 76 of them spare."""

    stx_mask: U32
    stx_blksize: U32
    stx_attributes: U64
    stx_nlink: U32
    stx_uid: U32
    stx_gid: U32
    stx_mode: U16
    stx_ino: U64
    stx_size: U64
    stx_blocks: U64
    stx_attributes_mask: U64
    stx_atime: StatxTimestamp
    stx_btime: StatxTimestamp
    stx_ctime: StatxTimestamp
    stx_mtime: StatxTimestamp
    stx_rdev_major: U32
    stx_rdev_minor: U32
    stx_dev_major: U32
    stx_dev_minor: U32
    stx_mnt_id: U64
    stx_dio_mem_align: U32
    stx_dio_offset_align: U32
    stx_subvol: U64
    stx_atomic_write_unit_min: U32
    stx_atomic_write_unit_max: U32
    stx_atomic_write_segments_max: Annotated[int, "I76x"]


def makedev(major_number: int, minor_number: int) -> int:
    """A device number in the 64-bit form of stat's st_dev (makedev(3))."""
    return (
        (major_number & 0xFFF) << 8
        | (major_number & ~0xFFF) << 32
        | (minor_number & 0xFF)
        | (minor_number & ~0xFF) << 12
    )


def major(device: int) -> int:
    return (device >> 8 & 0xFFF) | (device >> 32 & ~0xFFF)


def minor(device: int) -> int:
    return (device & 0xFF) | (device >> 12 & 0xFFFFFF00)
