"""What happens to files, told to whoever watches them: the hooks of the VFS (Linux include/linux/fsnotify.h).

The operations on paths and open files call these functions once something has been done, whatever the file
system is. A watch is on an inode. What happens to an inode is told to watches on the directory where it was
reached, with its name, and then to its own.
"""

from collections.abc import Hashable
from itertools import count
from typing import TYPE_CHECKING, Final, Protocol

from aionoah.abi.errno import LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.inotify import IN
from aionoah.abi.stat import S
from aionoah.fs import lending

if TYPE_CHECKING:
    from aionoah.fs.file import File
    from aionoah.fs.inode import Change, FileSystem, Inode
    from aionoah.fs.path import Dentry


class Watch(Protocol):
    """Somebody's interest in one inode."""

    inode: "Inode"

    def happened(self, mask: int, name: bytes, cookie: int, *, is_unlinked: bool) -> None:
        """`mask` has one event of IN, and IN_ISDIR; `name` is empty for what the inode itself went through."""
        ...

    def inode_gone(self) -> None:
        """The inode has no name and nobody has it open any more."""
        ...

    def unmounted(self) -> None: ...


WATCHES: Final[dict[Hashable, dict[Watch, None]]] = {}
"""By Inode.key. Who reads or writes looks whether it is empty, and need not call anything then."""

_cookies: Final = count(1)


def watch(inode: "Inode", watch: Watch) -> None:
    lending.forget()
    WATCHES.setdefault(inode.key, {})[watch] = None


def unwatch(inode: "Inode", watch: Watch) -> None:
    watches = WATCHES.get(inode.key)
    if watches is not None:
        watches.pop(watch, None)
        if not watches:
            del WATCHES[inode.key]


def _tell(
    inode: "Inode", mask: int, name: bytes = b"", cookie: int = 0, *, is_unlinked: bool = False
) -> None:
    for each in list(WATCHES.get(inode.key, ())):
        each.happened(mask, name, cookie, is_unlinked=is_unlinked)


def _tell_place(place: "Dentry", mask: int, *, is_unlinked: bool = False) -> None:
    """To the parent's watches, then to the inode's own. The root of a mount has no parent here."""
    mask |= IN.ISDIR if place.inode.kind == S.IFDIR else 0
    parent = place.parent
    if parent is not None and parent.mount is place.mount:
        _tell(parent.inode, mask, place.name, is_unlinked=is_unlinked)
    _tell(place.inode, mask, is_unlinked=is_unlinked)


def _tell_file(file: "File", mask: int) -> None:
    place = file.dentry
    if place is not None and O.PATH not in file.flags:
        _tell_place(place, mask, is_unlinked=place.is_deleted)


# -- open files: called only while WATCHES is not empty -----------------------------------------------------


def opened(file: "File") -> None:
    _tell_file(file, IN.OPEN)


def accessed(file: "File") -> None:
    _tell_file(file, IN.ACCESS)


def modified(file: "File") -> None:
    _tell_file(file, IN.MODIFY)


def closing(file: "File") -> bool:
    """The last descriptor of an open file has gone. Whether its inode goes with it, once it is released: it
    has no name, and nobody else has it open.
    """
    _tell_file(file, IN.CLOSE_WRITE if file.is_writable else IN.CLOSE_NOWRITE)
    inode = file.dentry.inode if file.dentry is not None else None
    return inode is not None and inode.opens == 1 and inode.key in WATCHES and not _links(inode)


def closed(inode: "Inode") -> None:
    """The last file that held a removed inode has been released."""
    _gone(inode)


# -- names --------------------------------------------------------------------------------------------------


def created(directory: "Dentry", name: bytes, inode: "Inode") -> None:
    if WATCHES:
        _tell(directory.inode, IN.CREATE | (IN.ISDIR if inode.kind == S.IFDIR else 0), name)


def linked(directory: "Dentry", name: bytes, inode: "Inode") -> None:
    """A further name of an inode."""
    if WATCHES:
        _tell(inode, IN.ATTRIB)
        _tell(directory.inode, IN.CREATE, name)


def is_last_name(inode: "Inode") -> bool:
    """To be asked of what has just been looked up and is about to lose a name, while WATCHES is not empty."""
    return inode.kind == S.IFDIR or inode.looked_up_attributes().nlink <= 1


def removed(directory: "Dentry", name: bytes, inode: "Inode", *, was_last: bool) -> None:
    """A name has been taken away; the inode learns it first (fs/namei.c: vfs_unlink, d_delete_notify)."""
    if not WATCHES:
        return
    is_directory = inode.kind == S.IFDIR
    if not is_directory:
        _tell(inode, IN.ATTRIB)
    if was_last:
        _gone_unless_held(inode)
    _tell(directory.inode, IN.DELETE | (IN.ISDIR if is_directory else 0), name)


def moved(
    old: "Dentry",
    old_name: bytes,
    new: "Dentry",
    new_name: bytes,
    source: "Inode",
    target: "Inode | None",
    *,
    was_last: bool,
) -> None:
    """An entry has got another name; `target` is what had that name before, maybe as its last one."""
    if not WATCHES:
        return
    _tell_move(old, old_name, new, new_name, source)
    if target is not None and target.kind != S.IFDIR:
        _tell(target, IN.ATTRIB)
    _tell(source, IN.MOVE_SELF)
    if target is not None and was_last:
        _gone_unless_held(target)


def exchanged(
    old: "Dentry", old_name: bytes, new: "Dentry", new_name: bytes, source: "Inode", target: "Inode"
) -> None:
    """Two entries have changed places."""
    if WATCHES:
        _tell_move(old, old_name, new, new_name, source)
        _tell(source, IN.MOVE_SELF)
        _tell_move(new, new_name, old, old_name, target)
        _tell(target, IN.MOVE_SELF)


def _tell_move(old: "Dentry", old_name: bytes, new: "Dentry", new_name: bytes, inode: "Inode") -> None:
    kind = IN.ISDIR if inode.kind == S.IFDIR else 0
    cookie = new_cookie()
    _tell(old.inode, IN.MOVED_FROM | kind, old_name, cookie)
    _tell(new.inode, IN.MOVED_TO | kind, new_name, cookie)


def new_cookie() -> int:
    """A number that joins the two halves of a move."""
    return next(_cookies) & 0xFFFF_FFFF


# -- attributes ---------------------------------------------------------------------------------------------


def changed(place: "Dentry", change: "Change") -> None:
    """Attributes have been set (fsnotify_change)."""
    if not WATCHES:
        return
    mask = 0
    if change.size is not None:
        mask |= IN.MODIFY
    has_atime, has_mtime = change.atime_ns is not None, change.mtime_ns is not None
    if has_atime and not has_mtime:
        mask |= IN.ACCESS
    elif has_mtime and not has_atime:
        mask |= IN.MODIFY
    if (has_atime and has_mtime) or any(field is not None for field in change[:3]):
        mask |= IN.ATTRIB
    for event in (IN.ACCESS, IN.MODIFY, IN.ATTRIB):
        if mask & event:
            _tell_place(place, event)


def attributes_changed(place: "Dentry") -> None:
    """Extended attributes have been set or removed."""
    if WATCHES:
        _tell_place(place, IN.ATTRIB)


# -- ends ---------------------------------------------------------------------------------------------------


def unmounted(filesystem: "FileSystem") -> None:
    """A file system is not mounted anywhere any more."""
    for watches in list(WATCHES.values()):
        for each in list(watches):
            if each.inode.filesystem is filesystem:
                each.unmounted()


def _links(inode: "Inode") -> int:
    try:
        return inode.attributes().nlink
    except LinuxError:
        return 0  # nowhere any more


def _gone_unless_held(inode: "Inode") -> None:
    if not inode.opens and inode.key in WATCHES:
        _gone(inode)


def _gone(inode: "Inode") -> None:
    for each in list(WATCHES.get(inode.key, ())):
        each.inode_gone()
