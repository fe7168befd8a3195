"""A file of an overlay: where it is in the layers, and what that means for its attributes."""

from collections.abc import Hashable
from typing import TYPE_CHECKING, NamedTuple

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.stat import S
from aionoah.fs.file import File
from aionoah.fs.inode import Attributes, Change, Details, Inode
from aionoah.fs.overlay_marks import is_private

if TYPE_CHECKING:
    from aionoah.fs.acl import Entry
    from aionoah.fs.holding import Hold
    from aionoah.fs.overlay import OverlayFileSystem
    from aionoah.fs.overlay_directory import OverlayDirectory
    from aionoah.fs.path import Dentry


class Place(NamedTuple):
    """Where a lookup has found an inode."""

    parent: "OverlayDirectory"
    name: bytes


class OverlayInode(Inode):
    """A file in the upper layer, in a lower one, or in both once it has been copied up."""

    filesystem: "OverlayFileSystem"
    _held: "Hold | None" = None
    """Of a copy that somebody has open who opened what is below: the copy's names may go."""

    def __init__(
        self,
        filesystem: "OverlayFileSystem",
        parent: "OverlayDirectory | None",
        name: bytes,
        upper: Inode | None,
        lowers: list[Inode],
    ) -> None:
        self.filesystem = filesystem
        self.parent = parent  # None for the root
        self.name = name
        self.upper = upper
        self.lowers = lowers  # the topmost first; one, if this is no directory
        self.extra_links = 0  # names that the real file does not count; negative for those that are hidden
        self.index: bytes | None = None  # a name in the work directory, for the copy of a file with several
        self._kind = self.real.kind
        number = (lowers[0] if lowers else self.real).looked_up_number()
        self.number = filesystem.origins.get(number) or filesystem.number(*number)

    @property
    def real(self) -> Inode:
        """What the file is at present."""
        return self.upper or self.lowers[0]

    @property
    def kind(self) -> int:
        return self._kind

    @property
    def key(self) -> Hashable:
        """The same before and after the file is copied up, and when it is nowhere any more."""
        return self.filesystem, self.number

    def where(self) -> tuple[Inode, bytes] | None:
        return None if self.parent is None else (self.parent, self.name)

    def found_at(self, parent: "OverlayDirectory", name: bytes) -> None:
        self.parent = parent
        self.name = name

    def attributes(self) -> Attributes:
        return self._shown(self.real.attributes())

    def looked_up_attributes(self) -> Attributes:
        return self._shown(self.real.looked_up_attributes())

    def details(self) -> Details:
        return self.real.details()

    def flags(self) -> int:
        return self.real.flags()

    def _shown(self, found: Attributes) -> Attributes:
        ino, device = self.number
        if found.ino == ino and found.dev == device and not self.extra_links:
            return found
        return found.known_as(ino, device, max(found.nlink + self.extra_links, 0))

    def readlink(self) -> bytes:
        return self.real.readlink()

    # -- changes ------------------------------------------------------------------------------------------

    def copied_up(self, *, with_data: bool = True) -> Inode:
        """The file in the upper layer, copied there if it has not been yet. EROFS, ENOSPC and the like."""
        if self.upper is None:
            from aionoah.fs.overlay_copy import copy_up  # noqa: PLC0415 - many programs change nothing

            missing: list[OverlayInode] = []
            here: OverlayInode | None = self.parent
            while here is not None and here.upper is None:
                missing.append(here)
                here = here.parent
            for directory in reversed(missing):  # there may be more of them than Python's stack is deep
                directory.upper = copy_up(directory, with_data=True)
            self.upper = copy_up(self, with_data=with_data)
            if self.opens:
                self._held = _hold(self.upper)
        return self.upper

    def open(self, flags: O, dentry: "Dentry") -> File:
        if flags & O.ACCMODE != O.RDONLY and self._kind == S.IFREG:
            return self.copied_up().open(flags, dentry)
        return self.real.open(flags, dentry)

    def will_be_emptied(self) -> None:
        self.copied_up(with_data=False)

    def change(self, change: Change) -> None:
        self.copied_up(with_data=change.size != 0).change(change)

    def access_list(self) -> "list[Entry] | None":
        return self.real.access_list()

    def keeps_lists(self) -> bool:
        return self.real.keeps_lists()

    def get_xattr(self, name: bytes) -> bytes:
        if is_private(name):
            raise LinuxError(Errno.EOPNOTSUPP)
        return self.real.get_xattr(name)

    def set_xattr(self, name: bytes, value: bytes, flags: int) -> None:
        if is_private(name):
            raise LinuxError(Errno.EOPNOTSUPP)
        self.copied_up().set_xattr(name, value, flags)

    def list_xattrs(self) -> list[bytes]:
        return [name for name in self.real.list_xattrs() if not is_private(name)]

    def remove_xattr(self, name: bytes) -> None:
        self.get_xattr(name)  # ENODATA, before anything is copied
        self.copied_up().remove_xattr(name)


def real_of(inode: Inode) -> Inode:
    """What a file is at present in the layer that shows it; itself in no overlay."""
    while isinstance(inode, OverlayInode):
        inode = inode.real
    return inode


def _hold(upper: Inode) -> "Hold | None":
    from aionoah.fs.holding import hold  # noqa: PLC0415 - which imports this

    return hold(upper)
