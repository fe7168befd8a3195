"""Renaming within an overlay: what moves is wholly in the upper layer, and leaves a whiteout if it hid something.

Source: Linux fs/overlayfs/dir.c (ovl_rename).
"""

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import RENAME
from aionoah.abi.stat import S
from aionoah.fs.overlay_directory import OverlayDirectory, find
from aionoah.fs.overlay_inode import OverlayInode
from aionoah.fs.overlay_marks import is_opaque, make_opaque


def rename(old: OverlayDirectory, name: bytes, new: OverlayDirectory, new_name: bytes, flags: int) -> None:
    """ENOENT, EXDEV for a directory that is in a lower layer too, ENOTEMPTY, EEXIST."""
    if flags & RENAME.WHITEOUT:
        raise LinuxError(Errno.EINVAL)  # whiteouts are ours here
    source = _entry(old, name)
    target = _entry_or_none(new, new_name)
    if flags & RENAME.EXCHANGE and target is None:
        raise LinuxError(Errno.ENOENT)
    if flags & RENAME.NOREPLACE and target is not None:
        raise LinuxError(Errno.EEXIST)
    _require_movable(source)
    _bring_up(old, name, source)
    new.copied_up()
    if flags & RENAME.EXCHANGE:
        assert target is not None  # noqa: S101 - checked above
        _require_movable(target)
        _bring_up(new, new_name, target)
        _exchange(old, name, source, new, new_name, target)
        return
    _replace(old, name, source, new, new_name, target)


def _entry(directory: OverlayDirectory, name: bytes) -> OverlayInode:
    found = directory.lookup(name)
    assert isinstance(found, OverlayInode)  # noqa: S101 - lookup makes nothing else
    return found


def _entry_or_none(directory: OverlayDirectory, name: bytes) -> OverlayInode | None:
    try:
        return _entry(directory, name)
    except LinuxError as error:
        if error.errno is not Errno.ENOENT:
            raise
        return None


def _require_movable(inode: OverlayInode) -> None:
    """Below its new name a directory would lose what is in the lower layers: EXDEV, as with redirect_dir=off."""
    if inode.kind == S.IFDIR and inode.lowers:
        raise LinuxError(Errno.EXDEV)


def _bring_up(directory: OverlayDirectory, name: bytes, inode: OverlayInode) -> None:
    """Let the upper layer have the file under this very name."""
    inode.found_at(directory, name)
    had_copy = inode.upper is not None
    inode.copied_up()
    if not had_copy or inode.index is None:
        return
    if directory.upper_entry(name) is None:  # a further name of a file that was copied up under another one
        directory.copied_up().link(name, directory.filesystem.refreshed(inode))
        inode.extra_links -= 1


def _exchange(
    old: OverlayDirectory,
    name: bytes,
    source: OverlayInode,
    new: OverlayDirectory,
    new_name: bytes,
    target: OverlayInode,
) -> None:
    _hide_below(source, new, new_name)
    _hide_below(target, old, name)
    old.copied_up().rename(name, new.copied_up(), new_name, int(RENAME.EXCHANGE))
    source.found_at(new, new_name)
    target.found_at(old, name)


def _hide_below(inode: OverlayInode, directory: OverlayDirectory, name: bytes) -> None:
    """A directory that comes to lie over another one of its name must not merge with it."""
    if inode.kind == S.IFDIR and directory.is_below(name):
        upper = inode.copied_up()
        if not is_opaque(upper):
            make_opaque(upper)


def _replace(
    old: OverlayDirectory,
    name: bytes,
    source: OverlayInode,
    new: OverlayDirectory,
    new_name: bytes,
    target: OverlayInode | None,
) -> None:
    if isinstance(target, OverlayDirectory):
        target.require_empty()
        target.is_going()
    _hide_below(source, new, new_name)
    if target is not None and not isinstance(target, OverlayDirectory):
        new.lost(new_name, target)
    is_hiding = old.is_below(name)
    leftover = _make_room(source, new, new_name)
    _move(old, name, new, new_name, is_hiding=is_hiding)
    if leftover is not None:
        new.filesystem.discard(leftover)
    if isinstance(target, OverlayDirectory):
        target.is_removed = True
    elif target is not None:
        new.filesystem.lost_name(target)
    source.found_at(new, new_name)


def _make_room(source: OverlayInode, new: OverlayDirectory, new_name: bytes) -> bytes | None:
    """A directory replaces neither a whiteout nor a directory with whiteouts in it: an empty one stands in for
    them first, opaque, so that nothing shows through. Returns what they are called in the work directory.
    """
    if source.kind != S.IFDIR:
        return None
    upper, filesystem = new.copied_up(), new.filesystem
    if find(upper, new_name) is None:
        return None
    work, temporary = filesystem.work(), filesystem.temporary_name()
    make_opaque(work.mkdir(temporary, 0o700, 0, 0))
    work.rename(temporary, upper, new_name, int(RENAME.EXCHANGE))
    return temporary


def _move(
    old: OverlayDirectory, name: bytes, new: OverlayDirectory, new_name: bytes, *, is_hiding: bool
) -> None:
    source, target = old.copied_up(), new.copied_up()
    if not is_hiding:
        source.rename(name, target, new_name, 0)
        return
    try:
        source.rename(name, target, new_name, int(RENAME.WHITEOUT))
    except LinuxError as error:
        if error.errno not in (Errno.EINVAL, Errno.EPERM, Errno.EOPNOTSUPP, Errno.ENOSYS):
            raise
        source.rename(name, target, new_name, 0)
        old.put_whiteout(name)
