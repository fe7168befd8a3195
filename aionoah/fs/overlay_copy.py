"""Copying a file of a lower layer to the upper one, with everything that it says of itself.

The copy is made under another name and appears all at once, so that a crash leaves either the one below or
a whole one. Source: Linux fs/overlayfs/copy_up.c.
"""

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import SEEK, O
from aionoah.abi.stat import S
from aionoah.fs.file import File
from aionoah.fs.hostfs_file import HostFile
from aionoah.fs.inode import Attributes, Change, Inode
from aionoah.fs.overlay_marks import is_private
from aionoah.host.application import NotYet
from aionoah.host.copying import copy_contents, flush_later
from aionoah.host.errors import host_errors
from aionoah.memory.buffer import KernelBuffer

if TYPE_CHECKING:
    from aionoah.fs.overlay_inode import OverlayInode

LARGE: Final = 4 << 20  # bytes; what is smaller takes a few milliseconds
_CHUNK: Final = 1 << 20
_MISSING: Final = (Errno.ENODATA, Errno.EOPNOTSUPP, Errno.EPERM, Errno.EACCES)


def copy_up(inode: "OverlayInode", *, with_data: bool) -> Inode:
    """The new file in the upper layer. Without data it is empty."""
    filesystem, lower = inode.filesystem, inode.lowers[0]
    attributes = lower.attributes()
    if inode.parent is None:
        made = filesystem.upper.root
        _settle(made, lower, attributes)
        filesystem.was_copied_up(inode, made, made.attributes())
        return made
    has_data = with_data and attributes.mode & S.IFMT == S.IFREG
    aside = _copied_aside(inode) if has_data and attributes.size >= LARGE else None
    is_removed = inode.attributes().nlink == 0
    directory = None if is_removed else inode.parent.copied_up()
    work = filesystem.work()
    temporary = aside[0] if aside is not None else filesystem.temporary_name()
    made = aside[1] if aside is not None else make_empty(work, temporary, lower, attributes)
    try:
        if has_data and aside is None:
            _copy_contents(lower, made, attributes.size, is_kept=filesystem.notes is not None)
        _settle(made, lower, attributes)
        if filesystem.notes is not None:
            filesystem.notes.note(made, lower, attributes)
        if directory is None:
            _keep_nameless(work, temporary, made)
        else:
            _give_name(inode, directory, work, temporary, made, attributes)
    except (LinuxError, NotYet):
        _discard(work, temporary)
        raise
    filesystem.was_copied_up(inode, made, made.attributes())
    return made


def _copied_aside(inode: "OverlayInode") -> tuple[bytes, Inode] | None:
    from aionoah.fs.overlay_copying import copy_aside  # noqa: PLC0415 - for large files

    return copy_aside(inode)


def make_empty(work: Inode, name: bytes, lower: Inode, attributes: Attributes) -> Inode:
    """An empty file of the same kind; nobody may look at it until it is whole."""
    kind, uid, gid = attributes.mode & S.IFMT, attributes.uid, attributes.gid
    if kind == S.IFREG:
        return work.create(name, 0o600, uid, gid)
    if kind == S.IFDIR:
        return work.mkdir(name, 0o700, uid, gid)
    if kind == S.IFLNK:
        return work.symlink(name, lower.readlink(), uid, gid)
    return work.mknod(name, kind | 0o600, attributes.rdev, uid, gid)


def _settle(made: Inode, lower: Inode, attributes: Attributes) -> None:
    """Attributes last: a set-user-ID bit must not survive into a file of another owner, nor times a write."""
    _copy_xattrs(lower, made)
    mode = None if attributes.mode & S.IFMT == S.IFLNK else attributes.mode & S.IALLUGO
    made.change(Change(mode=mode, uid=attributes.uid, gid=attributes.gid))
    made.change(Change(atime_ns=attributes.atime_ns, mtime_ns=attributes.mtime_ns))


def _copy_xattrs(lower: Inode, made: Inode) -> None:
    """All that both sides have; what the upper file system refuses is left behind, as Linux does."""
    try:
        names = lower.list_xattrs()
    except LinuxError:
        return
    for name in names:
        if is_private(name):
            continue
        try:
            made.set_xattr(name, lower.get_xattr(name), 0)
        except LinuxError as error:
            if error.errno not in _MISSING:
                raise


def _give_name(
    inode: "OverlayInode",
    directory: Inode,
    work: Inode,
    temporary: bytes,
    made: Inode,
    attributes: Attributes,
) -> None:
    """Put the copy over the original; the directory's times stay, for nothing in it has changed."""
    if attributes.nlink > 1 and attributes.mode & S.IFMT != S.IFDIR:
        _index(inode, work, made, attributes)
    before = directory.attributes()
    if inode.filesystem.notes is not None:
        inode.filesystem.notes.note_directory(directory)
    work.rename(temporary, directory, inode.name, 0)
    directory.change(Change(atime_ns=before.atime_ns, mtime_ns=before.mtime_ns))


def _index(inode: "OverlayInode", work: Inode, made: Inode, attributes: Attributes) -> None:
    """The other names of the file, still below only, shall be the copy's: it must outlive its first name."""
    inode.index = b"index-%x-%x" % (attributes.dev, attributes.ino)
    work.link(inode.index, made)
    inode.extra_links += attributes.nlink - 2
    inode.filesystem.linked.add(inode)


def _keep_nameless(work: Inode, temporary: bytes, made: Inode) -> None:
    """For a file that is removed already and lives in descriptors only."""
    made.keep_open()
    work.unlink(temporary)


def _discard(work: Inode, name: bytes) -> None:
    try:
        entry = work.lookup(name)
        (work.rmdir if entry.kind == S.IFDIR else work.unlink)(name)
    except LinuxError:
        return  # it will be gone with the work directory


# -- data -------------------------------------------------------------------------------------------------


def _copy_contents(lower: Inode, made: Inode, size: int, *, is_kept: bool) -> None:
    with ExitStack() as files:
        source = opened(lower)
        files.callback(source.drop)
        target = opened(made, is_written=True)
        files.callback(target.drop)
        if not isinstance(source, HostFile) or not isinstance(target, HostFile):
            _copy_through_memory(source, target, size)
            return
        with host_errors():
            copy_contents(source.fd, target.fd, size, is_stopped=lambda: False)
            if is_kept:
                flush_later(target.fd)


def opened(inode: Inode, *, is_written: bool = False) -> File:
    from aionoah.fs.mount import Mount  # noqa: PLC0415 - which imports what imports this

    return inode.open(O(O.RDWR if is_written else O.RDONLY), Mount(inode.filesystem, root=inode).root)


def _copy_through_memory(source: File, target: File, size: int) -> None:
    """Holes stay holes."""
    offset = 0
    while (piece := _next_data(source, offset, size)) is not None:
        offset, end = piece
        _copy_piece(source, target, offset, end)
        offset = end
    target.truncate(size)


def _next_data(source: File, offset: int, size: int) -> tuple[int, int] | None:
    """Where the data at or behind an offset begin and end; None if there are no more."""
    if offset >= size:
        return None
    try:
        start = source.seek(offset, SEEK.DATA)
        return start, min(source.seek(start, SEEK.HOLE), size)
    except LinuxError as error:
        if error.errno is not Errno.ENXIO:
            raise
        return None


def _copy_piece(source: File, target: File, offset: int, end: int) -> None:
    buffer = bytearray(min(_CHUNK, end - offset))
    while offset < end:
        got = source.pread(KernelBuffer(memoryview(buffer)[: end - offset]), offset)
        if not got:
            return  # it has become shorter
        done = 0
        while done < got:
            done += target.pwrite(KernelBuffer(memoryview(buffer)[done:got]), offset + done)
        offset += got
