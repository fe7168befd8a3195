"""Access control lists of inodes: setting them, and what creation and chmod do to them (Linux fs/posix_acl.c)."""

from aionoah.abi.acl import XATTR_POSIX_ACL_ACCESS, XATTR_POSIX_ACL_DEFAULT
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.stat import S
from aionoah.fs.acl import Entry, inherited, is_trivial, pack, parse, permission_bits, with_mode
from aionoah.fs.context import FsContext
from aionoah.fs.inode import Change, Inode

NAMES = (XATTR_POSIX_ACL_ACCESS, XATTR_POSIX_ACL_DEFAULT)
_ABSENT = (Errno.ENODATA, Errno.EOPNOTSUPP)


def list_of(inode: Inode, name: bytes) -> list[Entry]:
    """The entries of an attribute; none if it is not there or is not understood."""
    try:
        return parse(inode.get_xattr(name))
    except LinuxError:
        return []


def set_list(context: FsContext, inode: Inode, name: bytes, value: bytes) -> None:
    """Set either list: EINVAL, EOPNOTSUPP for links, EPERM for who is not the owner, EACCES for a
    default list of anything but a directory. The mode follows.
    """
    attributes = inode.attributes()
    entries = parse(value)
    kind = attributes.mode & S.IFMT
    if kind == S.IFLNK:
        raise LinuxError(Errno.EOPNOTSUPP)
    if not context.identity.may_act_as(attributes.uid):
        raise LinuxError(Errno.EPERM)
    if name == XATTR_POSIX_ACL_DEFAULT and kind != S.IFDIR:
        if entries:
            raise LinuxError(Errno.EACCES)
        return
    _store(inode, name, entries)
    if name == XATTR_POSIX_ACL_ACCESS and entries:
        mode = attributes.mode & (S.IALLUGO & ~S.IRWXUGO) | permission_bits(entries)
        if mode != attributes.mode & S.IALLUGO:
            inode.change(Change(mode=mode))


def remove_list(context: FsContext, inode: Inode, name: bytes) -> None:
    """Take a list away; success if there is none, as on Linux."""
    if not context.identity.may_act_as(inode.attributes().uid):
        raise LinuxError(Errno.EPERM)
    _store(inode, name, [])


def _store(inode: Inode, name: bytes, entries: list[Entry]) -> None:
    """A list that says no more than the mode is not kept."""
    if entries and not (name == XATTR_POSIX_ACL_ACCESS and is_trivial(entries)):
        inode.set_xattr(name, pack(entries), 0)
        return
    try:
        inode.remove_xattr(name)
    except LinuxError as error:
        if error.errno not in _ABSENT:
            raise


def follow_mode(inode: Inode, mode: int) -> None:
    """The mode has been changed the mode: so does the list."""
    entries = inode.access_list()
    if entries:
        inode.set_xattr(XATTR_POSIX_ACL_ACCESS, pack(with_mode(entries, mode)), 0)


def default_list(directory: Inode) -> list[Entry]:
    """What new entries of a directory inherit: instead of the umask."""
    return list_of(directory, XATTR_POSIX_ACL_DEFAULT) if directory.keeps_lists() else []


def inherit(made: Inode, default: list[Entry], mode: int) -> None:
    """Give a new file the lists that a directory with a default list passes on; `mode` is what was asked for."""
    entries = inherited(default, mode)
    try:
        if made.kind == S.IFDIR:
            _store(made, XATTR_POSIX_ACL_DEFAULT, default)
        _store(made, XATTR_POSIX_ACL_ACCESS, entries)
    except LinuxError as error:
        if error.errno not in (Errno.EPERM, Errno.EOPNOTSUPP):  # FIFOs and sockets of the host carry none
            raise
    made.change(Change(mode=mode & (S.IALLUGO & ~S.IRWXUGO) | permission_bits(entries)))
