"""A directory of an overlay: the names of all its layers, and how names are made and removed above them."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import RENAME, O
from aionoah.abi.stat import DT, S
from aionoah.fs.directory import DirectoryFile
from aionoah.fs.file import File
from aionoah.fs.inode import Attributes, DirectoryEntry, Inode
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

if TYPE_CHECKING:
    from aionoah.fs.path import Dentry


def find(directory: Inode, name: bytes) -> Inode | None:
    """An entry of a layer, a whiteout too; None if there is none."""
    try:
        return directory.lookup(name)
    except LinuxError as error:
        if error.errno is not Errno.ENOENT:
            raise
        return None


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
            return found._replace(nlink=0)
        return found._replace(nlink=1) if self.is_merged else found

    @property
    def is_merged(self) -> bool:
        return len(self.lowers) > (self.upper is None)

    def open(self, flags: O, dentry: "Dentry") -> File:
        return OverlayDirectoryFile(flags, dentry)

    # -- looking ------------------------------------------------------------------------------------------

    def lookup(self, name: bytes) -> Inode:
        upper = self._lookup_upper(name)
        place = Place(self, name)
        if upper is not None and upper.kind != S.IFDIR:
            return self.filesystem.node(place, upper, None)
        lowers: list[Inode] = []
        for found in self._below(name):
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
        return self.parent is None and name == self.filesystem.WORK

    def _below(self, name: bytes) -> Iterator[Inode]:
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
        return next(self._below(name), None) is not None

    def entries(self, cookie: int) -> Iterator[DirectoryEntry]:
        parent = self.parent or self
        listing = [(self.number[0], int(DT.DIR), b"."), (parent.number[0], int(DT.DIR), b"..")]
        listing += self._merged()
        for position, (ino, kind, name) in enumerate(listing[cookie:], cookie + 1):
            yield DirectoryEntry(ino, position, kind, name)

    def _merged(self) -> list[tuple[int, int, bytes]]:
        """Number, type and name of all entries that are not hidden; each layer is read once."""
        layers = self.lowers if self.upper is None else [self.upper, *self.lowers]
        found: dict[bytes, tuple[int, int, bytes]] = {}
        done = {b".", b".."}  # and whatever has been found or hidden, so that lower layers add nothing to it
        for layer in layers:
            device = layer.looked_up_attributes().dev
            marked = self._is_marked(layer)
            for entry in layer.entries(0):
                name, kind = entry.name, entry.kind
                if name not in done:
                    done.add(name)
                    may_hide = kind == DT.CHR or (marked and kind == DT.REG)
                    if not (may_hide and self._is_hiding(layer, name)):
                        found[name] = (self._number_of(layer, entry, device), kind, name)
                elif kind == DT.DIR and (known := found.get(name)) and known[1] == DT.DIR:
                    found[name] = (self.filesystem.number(entry.ino, device)[0], kind, name)
        if self.parent is None:
            found.pop(self.filesystem.WORK, None)
        return list(found.values())

    def _number_of(self, layer: Inode, entry: DirectoryEntry, device: int) -> int:
        if layer is self.upper and (origin := self.filesystem.origins.get((entry.ino, device))):
            return origin[0]
        return self.filesystem.number(entry.ino, device)[0]

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
        if self.is_below(name):
            self.put_whiteout(name)
        else:
            victim.clear_whiteouts()
            self.copied_up().rmdir(name)
        victim.is_removed = True

    def require_empty(self) -> None:
        """ENOTEMPTY."""
        if self._merged():
            raise LinuxError(Errno.ENOTEMPTY)

    def clear_whiteouts(self) -> None:
        """Make a directory of the upper layer without visible entries really empty."""
        if self.upper is None:
            return
        for entry in list(self.upper.entries(0)):
            if entry.name not in (b".", b".."):
                self.upper.unlink(entry.name)

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
