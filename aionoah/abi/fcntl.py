"""Opening and controlling files.

Sources: uapi asm-generic/fcntl.h, linux/fcntl.h, linux/openat2.h; open(2), fcntl(2).
"""

from aionoah.abi.cstruct import I16, I32, I64, U32, U64, Struct
from aionoah.abi.flags import Choice, Flags


class O(Flags):  # noqa: E742 - the name of the header
    """Open flags in their x86_64 values, which the whole kernel uses.

    On aarch64 DIRECT, LARGEFILE, DIRECTORY and NOFOLLOW have each other's bits:
    Architecture.open_flags translates at the border of the guest.
    """

    RDONLY = 0o0
    WRONLY = 0o1
    RDWR = 0o2
    ACCMODE = 0o3
    CREAT = 0o100
    EXCL = 0o200
    NOCTTY = 0o400
    TRUNC = 0o1000
    APPEND = 0o2000
    NONBLOCK = 0o4000
    DSYNC = 0o10000
    ASYNC = 0o20000
    DIRECT = 0o40000
    LARGEFILE = 0o100000
    DIRECTORY = 0o200000
    NOFOLLOW = 0o400000
    NOATIME = 0o1000000
    CLOEXEC = 0o2000000
    SYNC = 0o4010000  # includes DSYNC
    PATH = 0o10000000
    TMPFILE = 0o20200000  # includes DIRECTORY


# The bits of O that mean something (include/linux/fcntl.h): open ignores others, openat2 refuses them.
VALID_OPEN_FLAGS = 0o37777703


class AT(Flags):
    """Flags of the *at calls (linux/fcntl.h). EACCESS and REMOVEDIR share a bit, as do others per call."""

    FDCWD = -100  # not a flag: the directory descriptor that means the working directory
    SYMLINK_NOFOLLOW = 0x100
    REMOVEDIR = 0x200
    EACCESS = 0x200
    SYMLINK_FOLLOW = 0x400
    NO_AUTOMOUNT = 0x800
    EMPTY_PATH = 0x1000
    STATX_FORCE_SYNC = 0x2000
    STATX_DONT_SYNC = 0x4000
    STATX_SYNC_TYPE = 0x6000
    RECURSIVE = 0x8000


AT_FDCWD = -100


class F(Choice):
    """Commands of fcntl(2)."""

    DUPFD = 0
    GETFD = 1
    SETFD = 2
    GETFL = 3
    SETFL = 4
    GETLK = 5
    SETLK = 6
    SETLKW = 7
    SETOWN = 8
    GETOWN = 9
    SETSIG = 10
    GETSIG = 11
    SETOWN_EX = 15
    GETOWN_EX = 16
    GETOWNER_UIDS = 17
    OFD_GETLK = 36
    OFD_SETLK = 37
    OFD_SETLKW = 38
    SETLEASE = 1024
    GETLEASE = 1025
    NOTIFY = 1026
    DUPFD_QUERY = 1027
    CREATED_QUERY = 1028
    CANCELLK = 1029
    DUPFD_CLOEXEC = 1030
    SETPIPE_SZ = 1031
    GETPIPE_SZ = 1032
    ADD_SEALS = 1033
    GET_SEALS = 1034
    GET_RW_HINT = 1035
    SET_RW_HINT = 1036
    GET_FILE_RW_HINT = 1037
    SET_FILE_RW_HINT = 1038


class FD(Flags):
    """Descriptor flags (F_GETFD)."""

    CLOEXEC = 1


class SEEK(Choice):
    """Where lseek counts from (linux/fs.h)."""

    SET = 0
    CUR = 1
    END = 2
    DATA = 3
    HOLE = 4


class LOCK(Flags):
    """Operations of flock(2)."""

    SH = 1
    EX = 2
    NB = 4
    UN = 8
    MAND = 32  # mandatory locks have gone: a call with this bit does nothing


class LCK(Choice):
    """The type of a record lock: F_RDLCK, F_WRLCK, F_UNLCK."""

    RDLCK = 0
    WRLCK = 1
    UNLCK = 2


class RWH(Choice):
    """How long what is written may live (RWH_WRITE_LIFE_...)."""

    NOT_SET = 0
    NONE = 1
    SHORT = 2
    MEDIUM = 3
    LONG = 4
    EXTREME = 5


class OWNER(Choice):
    """What F_SETOWN_EX names."""

    TID = 0
    PID = 1
    PGRP = 2


class RENAME(Flags):
    """Flags of renameat2 (linux/fs.h)."""

    NOREPLACE = 1
    EXCHANGE = 2
    WHITEOUT = 4


class FALLOC(Flags):
    """Modes of fallocate (linux/falloc.h)."""

    KEEP_SIZE = 0x01
    PUNCH_HOLE = 0x02
    NO_HIDE_STALE = 0x04
    COLLAPSE_RANGE = 0x08
    ZERO_RANGE = 0x10
    INSERT_RANGE = 0x20
    UNSHARE_RANGE = 0x40


class RESOLVE(Flags):
    """How openat2 walks a path (linux/openat2.h)."""

    NO_XDEV = 0x01
    NO_MAGICLINKS = 0x02
    NO_SYMLINKS = 0x04
    BENEATH = 0x08
    IN_ROOT = 0x10
    CACHED = 0x20


class SPLICE(Flags):
    """Flags of splice, tee and vmsplice (include/linux/splice.h)."""

    MOVE = 1
    NONBLOCK = 2
    MORE = 4
    GIFT = 8


class F_SEAL(Flags):  # noqa: N801 - the name of the header
    """Seals of a memfd."""

    SEAL = 0x01
    SHRINK = 0x02
    GROW = 0x04
    WRITE = 0x08
    FUTURE_WRITE = 0x10
    EXEC = 0x20


class FADV(Choice):
    """Advice of fadvise64 (linux/fadvise.h; the values are the same on both architectures)."""

    NORMAL = 0
    RANDOM = 1
    SEQUENTIAL = 2
    WILLNEED = 3
    DONTNEED = 4
    NOREUSE = 5


class SYNC(Flags):
    """Flags of sync_file_range (linux/fs.h)."""

    WAIT_BEFORE = 1
    WRITE = 2
    WAIT_AFTER = 4


class ACCESS(Flags):
    """Modes of access(2): F_OK is 0 (include/linux/fs.h: MAY_*)."""

    X = 1
    W = 2
    R = 4


class Flock(Struct):
    """A record lock."""

    type: I16
    whence: I16
    start: I64
    len: I64
    pid: I32


class FOwnerEx(Struct):
    """Argument of F_SETOWN_EX and F_GETOWN_EX."""

    type: I32
    pid: I32


class FileHandle(Struct):
    """What stands before the bytes of a handle (name_to_handle_at)."""

    handle_bytes: U32
    handle_type: I32


class OpenHow(Struct):
    """Argument of openat2; later kernels may append fields."""

    flags: U64
    mode: U64
    resolve: U64
