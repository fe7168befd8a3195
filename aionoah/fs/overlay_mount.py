"""An overlay that a program mounts: directories of the tree that it sees become layers.

Source: Documentation/filesystems/overlayfs.rst; Linux fs/overlayfs (params.c, super.c), whose errors these are.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.stat import S
from aionoah.fs.inode import FileSystem, FileSystemStatus, Inode
from aionoah.fs.overlay import OverlayFileSystem, clear
from aionoah.fs.path import Dentry

Locate = Callable[[bytes], Dentry]

_MAX_STACK_DEPTH: Final = 2  # FILESYSTEM_MAX_STACK_DEPTH
_WORK: Final = b"work"  # in the directory that is given for it
_PATHS: Final = (b"lowerdir", b"upperdir", b"workdir")
_ACCEPTED: Final = {
    b"index": (b"off",),
    b"metacopy": (b"off",),
    b"nfs_export": (b"off",),
    b"redirect_dir": (b"off", b"nofollow"),
    b"xino": (b"off", b"auto"),
    b"uuid": (b"off", b"null", b"auto"),
    b"volatile": (b"",),
    b"userxattr": (b"",),  # both kinds of marks are read everywhere
    b"override_creds": (b"",),
}  # the values that say what is done anyway


class Layer(FileSystem):
    """A directory of another file system, which lives as long as this."""

    def __init__(self, place: Dentry) -> None:
        self._whole = place.mount.filesystem
        self._whole.users += 1
        self.root = place.inode
        self.device = self._whole.device
        self.stack_depth = self._whole.stack_depth
        self.is_read_only = place.mount.is_read_only

    def status(self) -> FileSystemStatus:
        return self._whole.status()

    def release(self) -> None:
        self._whole.users -= 1
        if not self._whole.users and self._whole.is_unmounted:
            self._whole.release()


def new_overlay(data: bytes, locate: Locate) -> OverlayFileSystem:
    """EINVAL, ENOENT, ELOOP for one directory in two roles."""
    options = dict(_options(data))
    lowers = [_directory(locate, path) for path in _split(options.get(b"lowerdir", b""))]
    upper, work = (
        _directory(locate, options[name]) if name in options else None for name in (b"upperdir", b"workdir")
    )
    if upper is None and (work is not None or len(lowers) < 2):
        raise LinuxError(Errno.EINVAL)
    places = lowers if upper is None else [*lowers, upper]
    if any(place.mount.filesystem.stack_depth >= _MAX_STACK_DEPTH for place in places):
        raise LinuxError(Errno.EINVAL)
    if len({place.inode.key for place in places}) < len(places):
        raise LinuxError(Errno.ELOOP)
    if upper is None:
        return OverlayFileSystem([Layer(place) for place in lowers])
    workshop = _workshop(upper, work)
    layers = [Layer(place) for place in lowers]
    return OverlayFileSystem(layers, Layer(upper), work=workshop)


def _options(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Separated by commas, which a backslash makes part of a path."""
    for word in re.split(rb"(?<!\\),", data):
        name, _, value = word.partition(b"=")
        if not word:
            continue
        if name not in _PATHS and value not in _ACCEPTED.get(name, ()):
            raise LinuxError(Errno.EINVAL)
        yield name, re.sub(rb"\\(,)", rb"\1", value)


def _split(paths: bytes) -> list[bytes]:
    """Separated by colons, the topmost first. Layers that are only looked up by others (`::`) there are not: EINVAL."""
    found = [re.sub(rb"\\(.)", rb"\1", path) for path in re.split(rb"(?<!\\):", paths)]
    if not all(found):
        raise LinuxError(Errno.EINVAL)
    return found


def _directory(locate: Locate, path: bytes) -> Dentry:
    if not path:
        raise LinuxError(Errno.EINVAL)
    place = locate(re.sub(rb"\\(.)", rb"\1", path))
    if place.inode.kind != S.IFDIR:
        raise LinuxError(Errno.EINVAL)
    return place


def _workshop(upper: Dentry, work: Dentry | None) -> Inode:
    """The empty directory in which things are made. An overlay cannot be above another one: EINVAL."""
    if work is None or upper.mount is not work.mount or upper.mount.is_read_only:
        raise LinuxError(Errno.EINVAL)
    if (
        isinstance(upper.mount.filesystem, OverlayFileSystem)
        or upper.is_within(work)
        or work.is_within(upper)
    ):
        raise LinuxError(Errno.EINVAL)
    try:
        clear(work.inode, _WORK)
    except LinuxError as error:
        if error.errno is not Errno.ENOENT:
            raise
    return work.inode.mkdir(_WORK, 0, 0, 0)
