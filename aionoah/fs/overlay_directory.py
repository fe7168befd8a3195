"""A directory of an overlay: the names of all its layers, and how names are made and removed above them."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from aionoah.abi.dirent import PackedEntries
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import RENAME, O
from aionoah.abi.stat import DT, S
from aionoah.fs.directory import DirectoryFile
from aionoah.fs.file import File
from aionoah.fs.inode import Attributes, Inode, Row
from aionoah.fs.overlay_inode import OverlayInode, Place
from aionoah.fs.overlay_marks import (
    expect_file_whiteouts,
    has_file_whiteouts,
    is_device_whiteout,
    is_file_whiteout,
    is_opaque,
    make_opaque,
    make_whiteout,
)
from aionoah.fs.overlay_trails import confirmer

if TYPE_CHECKING:
    from aionoah.fs.path import Dentry
    from aionoah.fs.trails import Test

# Plain numbers: a listing has many.
_DEVICE: Final = int(DT.CHR)
_DIRECTORY: Final = int(DT.DIR)
_DOTS: Final = (b".", b"..")


def find(directory: Inode, name: bytes) -> Inode | None:
    """An entry of a layer, a whiteout too; None if there is none."""
    return directory.find(name)


class OverlayDirectoryFile(DirectoryFile):
    """An open directory whose fsync reaches the upper layer."""

    def sync(self, *, data_only: bool) -> None:  # noqa: ARG002 - entries are all there is
        directory = self.dentry.inode
        if isinstance(directory, OverlayInode) and directory.upper is not None:
            directory.upper.sync_entries()


class OverlayDirectory(OverlayInode):
    """`lowers` are the layers below that have it, as far down as it is not hidden; `upper` may be none."""

    is_removed = False
    _marked: dict[Inode, bool] | None = None  # layers, and whether empty files here may be whiteouts there

    def attributes(self) -> Attributes:
        """A merged directory has one link, which says that nobody has counted (as on Linux)."""
        found = super().attributes()
        if self.is_removed:
            return found.known_as(found.ino, found.dev, 0)
        return found.known_as(found.ino, found.dev, 1) if self.is_merged else found

    @property
    def is_merged(self) -> bool:
        return len(self.lowers) > (self.upper is None)

    def open(self, flags: O, dentry: "Dentry") -> File:
        return OverlayDirectoryFile(flags, dentry)

    # -- looking ------------------------------------------------------------------------------------------

    def lookup(self, name: bytes) -> Inode:
        if len(self.lowers) == 1 and (self.upper is None or self.upper.lacks(name)):
            return self._lookup_below(self.lowers[0], name)
        upper = self._lookup_upper(name)
        place = Place(self, name)
        if upper is not None and upper.kind != S.IFDIR:
            return self.filesystem.node(place, upper, None)
        lowers: list[Inode] = []
        for found in self.lower_entries(name) if upper is None else self.filesystem.below(self, name, upper):
            if found.kind != S.IFDIR:
                if upper is None and not lowers:
                    return self.filesystem.node(place, None, found)
                break
            if upper is not None and not lowers and is_opaque(upper):
                break
            lowers.append(found)
        if upper is None and not lowers:
            raise LinuxError(Errno.ENOENT)
        return self.filesystem.directory(place, upper, lowers)

    def _lookup_below(self, layer: Inode, name: bytes) -> Inode:
        """An entry that only one lower layer can have."""
        found = layer.lookup(name)
        if found.kind == S.IFDIR:
            return self.filesystem.directory(Place(self, name), None, [found])
        if self.is_whiteout(found, layer):
            raise LinuxError(Errno.ENOENT)
        return self.filesystem.node(Place(self, name), None, found)

    def peek(self, name: bytes) -> Attributes:
        layer = self._only_layer(name)
        if layer is not None:
            found = layer.peek(name)
            kind = found.mode & S.IFMT
            if kind == S.IFCHR and found.rdev == 0:
                raise LinuxError(Errno.ENOENT)
            if found.nlink == 1 or kind == S.IFDIR:  # else it may have been changed under another name
                return self.filesystem.shown(found)
        return self.lookup(name).looked_up_attributes()

    def _only_layer(self, name: bytes) -> Inode | None:
        """The layer that alone can have an entry, if that is plain, and nothing has to be known of it but what it says."""
        upper, lowers = self.upper, self.lowers
        if upper is None or upper.lacks(name):
            layer = lowers[0] if len(lowers) == 1 else None
        else:
            layer = None if lowers or self.parent is None or self.filesystem.has_history else upper
        return None if layer is None or self._is_marked(layer) else layer

    def confirmer(self, name: bytes, found: Inode | None) -> "Test | None":
        return confirmer(self, name, found) if isinstance(found, OverlayInode) else None

    def _lookup_upper(self, name: bytes) -> Inode | None:
        """ENOENT if the upper layer hides the name."""
        if self.upper is None:
            return None
        found = find(self.upper, name)
        if found is not None and (self.is_whiteout(found, self.upper) or self._is_work(name)):
            raise LinuxError(Errno.ENOENT)
        return found

    def is_whiteout(self, found: Inode, layer: Inode) -> bool:
        """Whether an entry of a layer of this directory, just looked up, is a whiteout."""
        if is_device_whiteout(found):
            return True
        return found.kind == S.IFREG and self._is_marked(layer) and is_file_whiteout(found)

    def _is_marked(self, layer: Inode) -> bool:
        if layer.filesystem is self.filesystem.lowers[-1]:
            return False  # it can hide nothing (as on Linux)
        if self._marked is None:
            self._marked = {}
        marked = self._marked.get(layer)
        if marked is None:
            marked = self._marked[layer] = has_file_whiteouts(layer)
        return marked

    def upper_entry(self, name: bytes) -> Inode | None:
        """What the upper layer has under a name, but a whiteout."""
        found = None if self.upper is None else find(self.upper, name)
        if found is None or self.upper is None or self.is_whiteout(found, self.upper):
            return None
        return found

    def _is_work(self, name: bytes) -> bool:
        return self.parent is None and name == self.filesystem.hidden_name

    def lower_entries(self, name: bytes) -> Iterator[Inode]:
        """What the lower layers have under a name, down to the first that hides the rest."""
        last = len(self.lowers) - 1
        for position, layer in enumerate(self.lowers):
            found = find(layer, name)
            if found is None:
                continue
            if self.is_whiteout(found, layer):
                return
            yield found
            if found.kind != S.IFDIR or (position < last and is_opaque(found)):
                return

    def is_below(self, name: bytes) -> bool:
        """Whether a lower layer has something to show under a name."""
        return next(self.lower_entries(name), None) is not None

    def listing(self) -> list[Row]:
        parent = self.parent or self
        dots = [(self.number[0], _DIRECTORY, b"."), (parent.number[0], _DIRECTORY, b"..")]
        return dots + self._merged()

    def plain_listing(self) -> PackedEntries | None:
        """That of the only layer, if its numbers are the overlay's: what is no device hides nothing."""
        if self.upper is not None or len(self.lowers) != 1 or self.parent is None:
            return None
        return self.lowers[0].plain_listing() if self._is_shown_by(self.lowers[0]) else None

    def _is_shown_by(self, layer: Inode) -> bool:
        """Whether a layer has the overlay's numbers, and nothing but devices in it can hide anything."""
        device = layer.looked_up_number()[1]
        if self._is_marked(layer):
            return False
        return self.filesystem.number(0, device) == (0, self.filesystem.device)

    def _merged(self) -> list[Row]:
        """Number, type and name of all entries that are not hidden; each layer is read once."""
        if self.upper is None and len(self.lowers) == 1:
            rows = self._unchanged(self.lowers[0])
            if rows is not None:
                return rows
        if self.upper is not None and self.filesystem.may_have_copies(self.upper):
            self._recall_copies(self.upper)
        layers = self.lowers if self.upper is None else [self.upper, *self.lowers]
        found: dict[bytes, Row] = {}
        done = {b".", b".."}  # and whatever has been found or hidden, so that lower layers add nothing to it
        for layer in layers:
            device = layer.looked_up_attributes().dev
            marked = self._is_marked(layer)
            for ino, kind, name in layer.listing():
                if name not in done:
                    done.add(name)
                    may_hide = kind == _DEVICE or (marked and kind == DT.REG)
                    if not (may_hide and self._is_hiding(layer, name)):
                        found[name] = (self._number_of(layer, ino, device), kind, name)
                elif kind == _DIRECTORY and (known := found.get(name)) and known[1] == _DIRECTORY:
                    found[name] = (self.filesystem.number(ino, device)[0], kind, name)
        if self.parent is None:
            found.pop(self.filesystem.hidden_name, None)
        return list(found.values())

    def _unchanged(self, layer: Inode) -> list[Row] | None:
        """The listing of the only layer, if that has nothing in it that hides and its numbers are the overlay's."""
        if not self._is_shown_by(layer):
            return None
        rows = [row for row in layer.listing() if row[2] not in _DOTS]
        return None if any(kind == _DEVICE for _, kind, _ in rows) else rows

    def _number_of(self, layer: Inode, ino: int, device: int) -> int:
        if layer is self.upper and (origin := self.filesystem.origins.get((ino, device))):
            return origin[0]
        return self.filesystem.number(ino, device)[0]

    def _recall_copies(self, upper: Inode) -> None:
        """Let the entries have the numbers that lookups will show (Linux: ovl_cache_update)."""
        for _, kind, name in upper.listing():
            found = find(upper, name) if kind != _DIRECTORY else None
            if found is not None:
                self.filesystem.recall(Place(self, name), found)

    def _is_hiding(self, layer: Inode, name: bytes) -> bool:
        found = find(layer, name)
        return found is None or self.is_whiteout(found, layer)

    # -- making -------------------------------------------------------------------------------------------

    def create(self, name: bytes, mode: int, uid: int, gid: int) -> Inode:
        return self._add(name, lambda directory, new: directory.create(new, mode, uid, gid))

    def create_nameless(self, mode: int, uid: int, gid: int, *, is_linkable: bool) -> Inode:
        self._require_alive()
        made = self.copied_up().create_nameless(mode, uid, gid, is_linkable=is_linkable)
        return self.filesystem.node(Place(self, b""), made, None)

    def mkdir(self, name: bytes, mode: int, uid: int, gid: int) -> Inode:
        return self._add(name, lambda directory, new: directory.mkdir(new, mode, uid, gid))

    def mknod(self, name: bytes, mode: int, rdev: int, uid: int, gid: int) -> Inode:
        if mode & S.IFMT == S.IFCHR and rdev == 0:
            raise LinuxError(Errno.EPERM)  # it would be a whiteout (ovl_mknod)
        return self._add(name, lambda directory, new: directory.mknod(new, mode, rdev, uid, gid))

    def symlink(self, name: bytes, target: bytes, uid: int, gid: int) -> Inode:
        return self._add(name, lambda directory, new: directory.symlink(new, target, uid, gid))

    def link(self, name: bytes, inode: Inode) -> None:
        if not isinstance(inode, OverlayInode) or inode.filesystem is not self.filesystem:
            raise LinuxError(Errno.EXDEV)
        if inode.index is not None and not inode.attributes().nlink:
            raise LinuxError(Errno.ENOENT)  # what the work directory calls it is no name
        source = self.filesystem.refreshed(inode)

        def make(directory: Inode, new: bytes) -> Inode:
            directory.link(new, source)
            return source

        self._add(name, make)

    def _add(self, name: bytes, make: Callable[[Inode, bytes], Inode]) -> Inode:
        """Make an entry, over a whiteout if there is one."""
        self._require_alive()
        directory = self.copied_up()
        place = Place(self, name)
        known = find(directory, name) if self.lowers else None
        if known is None:
            made = make(directory, name)
        elif not self.is_whiteout(known, directory):
            raise LinuxError(Errno.EEXIST)
        else:
            made = self._make_over_whiteout(directory, name, make)
        self.filesystem.is_made(made)
        if made.kind == S.IFDIR:
            return self.filesystem.directory(place, made, [])
        return self.filesystem.node(place, made, None)

    def _make_over_whiteout(
        self, directory: Inode, name: bytes, make: Callable[[Inode, bytes], Inode]
    ) -> Inode:
        """What is made appears in one step: never does the file below show through."""
        work, temporary = self.filesystem.work(), self.filesystem.temporary_name()
        made = make(work, temporary)
        is_directory = made.kind == S.IFDIR
        if is_directory:
            make_opaque(made)
        work.rename(temporary, directory, name, int(RENAME.EXCHANGE) if is_directory else 0)
        if is_directory:
            work.unlink(temporary)
        return made

    def _require_alive(self) -> None:
        if self.is_removed:
            raise LinuxError(Errno.ENOENT)

    # -- removing -----------------------------------------------------------------------------------------

    def unlink(self, name: bytes) -> None:
        victim = self.lookup(name)
        assert isinstance(victim, OverlayInode)  # noqa: S101 - lookup makes nothing else
        if victim.kind == S.IFDIR:
            raise LinuxError(Errno.EISDIR)
        self.lost(name, victim)
        if self.is_below(name):
            self.put_whiteout(name)
        else:
            self.copied_up().unlink(name)
        self.filesystem.lost_name(victim)

    def lost(self, name: bytes, victim: OverlayInode) -> None:
        """Account for a name that is about to go: whoever has the file open shall see the right number of links."""
        filesystem = self.filesystem
        entry = self.upper_entry(name)
        if entry is not None:
            filesystem.forget_origin(entry.attributes())
            return
        victim.extra_links -= 1
        if victim.lowers and victim.lowers[0].looked_up_attributes().nlink > 1:
            filesystem.linked.add(victim)  # the count must outlive whoever holds it now

    def rmdir(self, name: bytes) -> None:
        victim = self.lookup(name)
        if not isinstance(victim, OverlayDirectory):
            raise LinuxError(Errno.ENOTDIR)
        victim.require_empty()
        victim.is_going()
        if self.is_below(name):
            self.put_whiteout(name)
        else:
            victim.clear_whiteouts()
            self.copied_up().rmdir(name)
        victim.is_removed = True

    def is_going(self) -> None:
        """It is about to be removed: what the number of its copy stood for must not be another directory's."""
        if self.upper is not None:
            self.filesystem.forget_origin(self.upper.attributes())

    def require_empty(self) -> None:
        """ENOTEMPTY."""
        if self._merged():
            raise LinuxError(Errno.ENOTEMPTY)

    def clear_whiteouts(self) -> None:
        """Make a directory of the upper layer without visible entries really empty."""
        if self.upper is None:
            return
        for _, _, name in self.upper.listing():
            if name not in (b".", b".."):
                self.upper.unlink(name)

    def put_whiteout(self, name: bytes) -> None:
        """Hide what is below, in one step with the removal of what is here."""
        directory, filesystem = self.copied_up(), self.filesystem
        work, temporary = filesystem.work(), filesystem.temporary_name()
        if make_whiteout(work, temporary):
            expect_file_whiteouts(directory)
            self._marked = None
        here = find(directory, name)
        is_directory = here is not None and here.kind == S.IFDIR
        work.rename(temporary, directory, name, int(RENAME.EXCHANGE) if is_directory else 0)
        if is_directory:
            filesystem.discard(temporary)

    def rename(self, name: bytes, directory: Inode, new_name: bytes, flags: int) -> None:
        from aionoah.fs.overlay_rename import rename  # noqa: PLC0415 - many programs rename nothing

        if not isinstance(directory, OverlayDirectory) or directory.filesystem is not self.filesystem:
            raise LinuxError(Errno.EXDEV)
        rename(self, name, directory, new_name, flags)
