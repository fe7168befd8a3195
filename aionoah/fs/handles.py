"""File handles: numbers by which a file can be opened again (name_to_handle_at(2), open_by_handle_at(2)).

A handle of Linux finds a file anywhere in its file system, whatever became of its names; the host's would lead guests out of
what was mounted. So those of host files are ours: they stand for what an instance has lately given handles to, and
a file is found by the name that it has by now, with no more rights to the host than a path has.
"""

import itertools
import struct
from collections import OrderedDict
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.errno import Errno, LinuxError
from aionoah.fs.inode import FileSystem, Inode

if TYPE_CHECKING:
    from aionoah.fs.mount import Mount
    from aionoah.fs.path import Dentry

_CODE: Final = struct.Struct("<QI")  # inode number, generation
_REMEMBERED: Final = 512


class FILEID:
    """Types of handles (include/linux/exportfs.h)."""

    INO32_GEN: Final = 1  # the generation and two words of the number, for tmpfs
    INO64_GEN: Final = 0x81
    INVALID: Final = 0xFF


class Handle(NamedTuple):
    kind: int  # one of FILEID
    data: bytes


class GivesHandles(FileSystem):
    """A file system that knows its files by their names. A handle is good until too many others have got one."""

    @cached_property
    def _handles(self) -> dict[Inode, Handle]:
        return {}

    @cached_property
    def _by_handle(self) -> OrderedDict[Handle, Inode]:
        return OrderedDict()

    @cached_property
    def _generations(self) -> Iterator[int]:
        return itertools.count(1)

    def handle_of(self, inode: Inode) -> Handle:
        handle = self._handles.get(inode)
        if handle is None:
            generation = next(self._generations) & 0xFFFF_FFFF
            handle = Handle(FILEID.INO64_GEN, _CODE.pack(inode.attributes().ino, generation))
            self._handles[inode] = handle
            self._by_handle[handle] = inode
            if len(self._by_handle) > _REMEMBERED:
                _, oldest = self._by_handle.popitem(last=False)
                del self._handles[oldest]
        self._by_handle.move_to_end(handle)
        return handle

    def names_of(self, handle: Handle) -> list[bytes]:
        inode = self._by_handle.get(handle)
        if inode is None:
            raise stale_handle()
        names: list[bytes] = []
        while (place := inode.where()) is not None:
            inode, name = place
            names.append(name)
        return names[::-1]


def stale_handle() -> LinuxError:
    return LinuxError(Errno.ESTALE)


def tmpfs_handle(ino: int) -> Handle:
    """As Linux makes them (shmem_encode_fh), but for the generation."""
    return Handle(FILEID.INO32_GEN, struct.pack("<IQ", 0, ino))


def nameless_handle(ino: int) -> Handle:
    """Of a file that can be told from others by it, and not be opened (AT_HANDLE_FID)."""
    return Handle(FILEID.INO64_GEN, _CODE.pack(ino, 0))


def find(mount: "Mount", handle: Handle) -> "Dentry":
    """The position of a file in a mount of its file system. ESTALE, for what is outside of the mount too."""
    names = mount.filesystem.names_of(handle)
    above = [part for part in mount.root_path.split(b"/") if part]
    if names[: len(above)] != above:
        raise stale_handle()
    place = mount.root
    try:
        for name in names[len(above) :]:
            place = place.attach(name, place.inode.lookup(name))  # below what other mounts cover
        if mount.filesystem.handle_of(place.inode) != handle:
            raise stale_handle()
    except LinuxError as error:
        if error.errno in (Errno.ENOENT, Errno.ENOTDIR):
            raise stale_handle() from None
        raise
    return place
