"""Notification of changes to files (uapi linux/inotify.h, linux/fcntl.h; inotify(7), fcntl(2))."""

from aionoah.abi.cstruct import I32, U32, Struct
from aionoah.abi.flags import Flags


class IN(Flags):
    """IN_* bits: what has happened, and how to watch. fsnotify's own masks have the same values."""

    ACCESS = 0x1
    MODIFY = 0x2
    ATTRIB = 0x4
    CLOSE_WRITE = 0x8
    CLOSE_NOWRITE = 0x10
    OPEN = 0x20
    MOVED_FROM = 0x40
    MOVED_TO = 0x80
    CREATE = 0x100
    DELETE = 0x200
    DELETE_SELF = 0x400
    MOVE_SELF = 0x800
    UNMOUNT = 0x2000
    Q_OVERFLOW = 0x4000
    IGNORED = 0x8000
    ONLYDIR = 0x0100_0000
    DONT_FOLLOW = 0x0200_0000
    EXCL_UNLINK = 0x0400_0000
    MASK_CREATE = 0x1000_0000
    MASK_ADD = 0x2000_0000
    ISDIR = 0x4000_0000
    ONESHOT = 0x8000_0000


IN_ALL_EVENTS = 0xFFF
IN_VALID = 0xF700_EFFF  # ALL_INOTIFY_BITS

IN_CLOEXEC = 0o2000000
IN_NONBLOCK = 0o4000


class InotifyEvent(Struct):
    """What read gives; `len` bytes of name follow, padded with NULs."""

    wd: I32
    mask: U32
    cookie: U32
    len: U32


class DN(Flags):
    """What F_NOTIFY asks for (dnotify)."""

    ACCESS = 0x1
    MODIFY = 0x2
    CREATE = 0x4
    DELETE = 0x8
    RENAME = 0x10
    ATTRIB = 0x20
    MULTISHOT = 0x8000_0000
