"""Several directories shown as one: what is below is only read, every change goes to the layer above.

A file that is to be changed is first copied up; a name that is removed gets a whiteout; a directory shows
the names of all layers. Inodes and their numbers stay the same when files are copied up. As on
Linux, a descriptor that was opened for reading before that goes on with the old contents, and directories that
are not wholly in the upper layer cannot be renamed (EXDEV: mv copies them then).

Sources: Documentation/filesystems/overlayfs.rst; Linux fs/overlayfs.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.stat import DT, S
from aionoah.abi.statfs import MAGIC
from aionoah.fs.device_numbers import anonymous_device
from aionoah.fs.handles import GivesHandles
from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.inode import Attributes, FileSystem, FileSystemStatus, Inode
from aionoah.fs.overlay_directory import OverlayDirectory, find
from aionoah.fs.overlay_inode import OverlayInode
from aionoah.fs.overlay_marks import lacks_data, redirect_of
from aionoah.host import reserve

if TYPE_CHECKING:
    from aionoah.fs.overlay_copying import Copying
    from aionoah.fs.overlay_inode import Place
    from aionoah.fs.overlay_origin import Origins

_LAYER_SHIFT: Final = 48  # inode numbers of other devices get their layer above this bit


class OverlayFileSystem(GivesHandles):
    """`lowers`, the topmost first, under an upper file system. Takes all of them over."""

    type_name = b"overlay"
    has_fine_times = True
    WORK: Final = b".wh..wh.aionoah"
    """The directory in the root of the upper layer where things are made before they get their names: it is on the
    same file system. Names with this beginning are no files to tools that read layers."""

    def __init__(
        self,
        lowers: Sequence[FileSystem],
        upper: FileSystem | Callable[[], FileSystem] | None = None,
        *,
        work: Inode | None = None,
    ) -> None:
        """`upper` may be a function that makes it when the first change needs it. Without one it is read-only.

        `work`: an empty directory of the upper file system; without one the upper layer has it.
        """
        self.lowers = tuple(lowers)
        self.directories_kept = reserve.held_directories() // len(self.lowers)  # a descriptor for each layer
        self.stack_depth = 1 + max(layer.stack_depth for layer in self.lowers)
        self.is_read_only = upper is None
        self._make_upper = upper if callable(upper) else None
        self._upper: FileSystem | None = None
        self.device = anonymous_device()
        self._layer_of: dict[int, int] = {}
        for layer in self.lowers:
            self._layer_of.setdefault(layer.device, len(self._layer_of))
        self._known: WeakValueDictionary[Inode, OverlayInode] = WeakValueDictionary()
        self.origins: dict[tuple[int, int], tuple[int, int] | None] = {}
        """What number a file had before it was copied up: number and device, by those of its copy."""
        self.notes: Origins | None = None  # the same for those who mount the layers again
        self.has_history = False  # the upper layer has copies that somebody else made
        self.linked: set[OverlayInode] = set()  # files of several names below, of which one has changed
        self.copies: dict[OverlayInode, Copying] = {}  # of large files, that are under way
        self._workshop = work
        self._work: Inode | None = work
        self.hidden_name = self.WORK if work is None else b""  # of an entry of the root
        self._serial = itertools.count()
        if upper is not None and not callable(upper):
            self._use(upper)
            self.has_history = self.notes is not None
        root_upper = self._upper.root if self._upper is not None else None
        self.root: OverlayDirectory = OverlayDirectory(
            self, None, b"", root_upper, [layer.root for layer in self.lowers]
        )

    # -- layers -------------------------------------------------------------------------------------------

    def _use(self, upper: FileSystem) -> None:
        self._upper = upper
        self._layer_of.setdefault(upper.device, len(self._layer_of))
        if isinstance(upper, HostFileSystem) and not upper.is_volatile:
            from aionoah.fs.overlay_origin import Origins  # noqa: PLC0415 - for layers that are kept

            self.notes = Origins()
        self._remove_work()

    @property
    def upper(self) -> FileSystem:
        """The upper file system, made if need be. EROFS."""
        if self._upper is None:
            if self._make_upper is None:
                raise LinuxError(Errno.EROFS)
            self._use(self._make_upper())
        assert self._upper is not None  # noqa: S101 - _use has set it
        return self._upper

    def work(self) -> Inode:
        """The directory for what has no name yet."""
        if self._work is None:
            self._work = self.upper.root.mkdir(self.WORK, 0o700, 0, 0)
        return self._work

    def temporary_name(self) -> bytes:
        return b"%x" % next(self._serial)

    def discard(self, temporary: bytes) -> None:
        """Remove something from the work directory."""
        clear(self.work(), temporary)

    def refreshed(self, inode: OverlayInode) -> Inode:
        """Copy a file up that has not been; if its copy has an index, that is the name it is known by from now on."""
        upper = inode.copied_up()
        return self.work().lookup(inode.index) if inode.index is not None else upper

    def lost_name(self, inode: OverlayInode) -> None:
        """A name of a file has gone: its copy may be known by just that one."""
        if inode.index is not None:
            self.work().lookup(inode.index)

    def _remove_work(self) -> None:
        """What is in there was never finished, or is of no use to another session."""
        assert self._upper is not None  # noqa: S101 - called with a layer only
        if self._workshop is not None:
            with suppress(LinuxError):  # the program that gave it may have done anything with it
                clear_out(self._workshop)
            return
        self._work = None
        try:
            clear(self._upper.root, self.WORK)
        except LinuxError as error:
            if error.errno is not Errno.ENOENT:
                raise

    # -- inodes -------------------------------------------------------------------------------------------

    def number(self, ino: int, device: int) -> tuple[int, int]:
        """Inode number and device as guests see them: the layers are one device for them."""
        layer = self._layer_of.get(device)
        if layer is None:
            return ino, device  # another file system of the host that is mounted within a layer
        return ino + (layer << _LAYER_SHIFT), self.device

    def shown(self, found: Attributes) -> Attributes:
        """The attributes of a file in one layer as guests see them."""
        ino, device = self.origins.get((found.ino, found.dev)) or self.number(found.ino, found.dev)
        if ino == found.ino and device == found.dev:
            return found
        return found.known_as(ino, device, found.nlink)

    def node(self, place: "Place", upper: Inode | None, lower: Inode | None) -> OverlayInode:
        """The inode of anything but a directory; while somebody holds it, always the same object."""
        real = upper or lower
        assert real is not None  # noqa: S101 - one of them is there
        known = self._known.get(real)
        if known is None or isinstance(known, OverlayDirectory):
            if upper is not None and self.has_history:
                if upper.kind == S.IFREG and lacks_data(upper):
                    raise LinuxError(Errno.EIO)  # as of Linux with metacopy=off
                self.recall(place, upper)
            known = OverlayInode(self, *place, upper, [] if lower is None else [lower])
            self._known[real] = known
        else:
            known.found_at(*place)
        return known

    def directory(self, place: "Place", upper: Inode | None, lowers: list[Inode]) -> OverlayInode:
        real = upper or lowers[0]
        known = self._known.get(real)
        if not isinstance(known, OverlayDirectory) or len(known.lowers) != len(lowers):
            known = OverlayDirectory(self, *place, upper, lowers)
            self._known[real] = known
        else:
            known.found_at(*place)
        return known

    def was_copied_up(self, inode: OverlayInode, upper: Inode, attributes: Attributes) -> None:
        """Its copy is the same file from now on."""
        self._known[upper] = inode
        self.origins[attributes.ino, attributes.dev] = inode.number

    def below(self, directory: OverlayDirectory, name: bytes, upper: Inode) -> Iterator[Inode]:
        """What the lower layers have for a directory of the upper one; Linux may have renamed it (redirect_dir=on)."""
        target = redirect_of(upper) if self.has_history else None
        parts = [name] if target is None else target.removeprefix(b"/").split(b"/")
        here = self.root if target is not None and target.startswith(b"/") else directory
        for part in parts[:-1]:
            lowers = [found for found in here.lower_entries(part) if found.kind == S.IFDIR]
            here = OverlayDirectory(self, here, part, None, lowers)
        return here.lower_entries(parts[-1])

    def is_made(self, made: Inode) -> None:
        """A new file of the upper layer is no copy: there is no need to look."""
        if self.has_history:
            seen = made.looked_up_attributes()
            self.origins.setdefault((seen.ino, seen.dev))

    def recall(self, place: "Place", upper: Inode) -> None:
        """Look at what number a file of the upper layer had before somebody else copied it up."""
        seen = upper.looked_up_attributes()
        if (seen.ino, seen.dev) in self.origins or self.notes is None:
            return
        below = (find(layer, place.name) for layer in place.parent.lowers)
        found = self.notes.find(upper, below, (layer.root for layer in self.lowers))
        self.origins[seen.ino, seen.dev] = None if found is None else self.number(*found)

    def may_have_copies(self, directory: Inode) -> bool:
        """Whether somebody else has copied files to a directory of the upper layer."""
        return self.has_history and self.notes is not None and self.notes.has_copies(directory)

    def forget_origin(self, attributes: Attributes) -> None:
        """A copy is removed, and its number may come to be another file's."""
        if attributes.nlink <= 1 or attributes.mode & S.IFMT == S.IFDIR:
            self.origins.pop((attributes.ino, attributes.dev), None)
            if self.notes is not None:
                self.notes.forget((attributes.ino, attributes.dev))

    # -- the file system ----------------------------------------------------------------------------------

    def status(self) -> FileSystemStatus:
        real = self._upper or self.lowers[0]
        return real.status()._replace(magic=MAGIC.OVERLAYFS)

    def release(self) -> None:
        self.linked.clear()
        self._make_upper = None  # with it goes the lock of an upper directory that was not needed
        if self._upper is not None:
            self._remove_work()
            self._upper.release()
        for layer in self.lowers:
            layer.release()


def clear(directory: Inode, name: bytes) -> None:
    """Remove an entry of a layer with all that is below it. ENOENT."""
    victim = directory.lookup(name)
    if victim.kind != S.IFDIR:
        directory.unlink(name)
        return
    clear_out(victim)
    directory.rmdir(name)


def clear_out(directory: Inode) -> None:
    """Remove all entries of a directory of a layer, which are deeper than Python's stack if a program wants them to be:
    so what lies deeper is moved to the top first.
    """
    serial = itertools.count()
    while names := _unlink_files(directory):
        for name in names:
            inner = directory.lookup(name)
            for below in _unlink_files(inner):
                _move(inner, below, directory, serial)
            directory.rmdir(name)


def _unlink_files(directory: Inode) -> list[bytes]:
    """Remove all but directories; their names."""
    directories = []
    for _, kind, name in directory.listing():
        if kind == DT.DIR and name not in (b".", b".."):
            directories.append(name)
        elif kind != DT.DIR:
            directory.unlink(name)
    return directories


def _move(directory: Inode, name: bytes, target: Inode, serial: Iterator[int]) -> None:
    """To a name that is free."""
    for number in serial:
        try:
            directory.rename(name, target, b"removed-%x" % number, 0)
        except LinuxError as error:
            if error.errno not in (Errno.EEXIST, Errno.ENOTEMPTY, Errno.ENOTDIR):
                raise
        else:
            return
