"""Which file of a layer below a copy in an upper layer was made from, for those who mount the layers again.

It is noted as Linux's overlay file system does, in the attribute `origin` of the copy: a handle of the original
and the number of its file system. The directory that has the copy is marked `impure`. So a copy keeps the inode
number of its original, here and there.

A handle is believed only if it is that of the file below of the same name, or if the host opens it for us, which it
does for its root. As on Linux without an index, a file of several names is not noted: its copy is one of its own.

Source: Linux fs/overlayfs (struct ovl_fb in overlayfs.h, copy_up.c, namei.c).
"""

import os
import sys
from collections.abc import Iterable
from typing import Final

from aionoah.abi.errno import LinuxError
from aionoah.abi.stat import S
from aionoah.fs.host_attributes import device_number
from aionoah.fs.hostfs import HostDirectory
from aionoah.fs.hostfs_inode import HostInode
from aionoah.fs.inode import Attributes, Inode
from aionoah.fs.overlay_marks import is_impure, make_impure, origin_of, set_origin
from aionoah.host.errors import host_errors
from aionoah.host.file_details import file_handle, filesystem_uuid, open_handle

Identity = tuple[int, int]  # inode number and device

_VERSION: Final = 0
_MAGIC: Final = 0xFB
_BIG_ENDIAN: Final = 1
_HEADER_LENGTH: Final = 21  # version, magic, length, flags, type, 16 bytes of UUID


class Origins:
    """The notes in one upper layer."""

    def __init__(self) -> None:
        self._uuids: dict[int, bytes | None] = {}  # by device
        self._impure: set[Identity] = set()  # directories that are marked for sure
        self._may_open = True  # until the host refuses

    # -- writing ------------------------------------------------------------------------------------------

    def note(self, made: Inode, lower: Inode, attributes: Attributes) -> None:
        """Say of a new copy what it was made from, as far as both hosts' file systems let us."""
        if attributes.nlink > 1 and attributes.mode & S.IFMT != S.IFDIR:
            return
        value = self._describe(lower)
        if value is not None:
            set_origin(made, value)

    def note_directory(self, directory: Inode) -> None:
        """Say of a directory of the upper layer that copies are in it."""
        seen = directory.looked_up_attributes()
        if (seen.ino, seen.dev) not in self._impure:
            self._impure.add((seen.ino, seen.dev))
            make_impure(directory)

    def forget(self, directory: Identity) -> None:
        """It is removed, and another one with its number would have to be marked."""
        self._impure.discard(directory)

    def _describe(self, inode: Inode) -> bytes | None:
        """The value of the attribute; None for what is no file of the host or has no handle."""
        if not isinstance(inode, HostInode):
            return None
        uuid = self._uuid(inode)
        if uuid is None:
            return None
        try:
            with inode.pinned() as fd, host_errors():
                kind, handle = file_handle(fd)
        except LinuxError:
            return None
        flags = _BIG_ENDIAN if sys.byteorder == "big" else 0
        header = bytes((_VERSION, _MAGIC, _HEADER_LENGTH + len(handle), flags, kind & 0xFF))
        return header + uuid + handle

    def _uuid(self, inode: HostInode) -> bytes | None:
        device = inode.identity[0]
        if device not in self._uuids:
            self._uuids[device] = _read_uuid(inode)
        return self._uuids[device]

    # -- reading ------------------------------------------------------------------------------------------

    def has_copies(self, directory: Inode) -> bool:
        """Whether a directory of the upper layer may have copies in it."""
        return is_impure(directory)

    def find(self, copy: Inode, below: Iterable[Inode | None], tops: Iterable[Inode]) -> Identity | None:
        """Number and device of what a file of the upper layer was made from.

        `below` are the files of its name in the other layers, `tops` the roots of those.
        """
        noted = origin_of(copy)
        if noted is None or not _is_well_formed(noted):
            return None
        for candidate in below:
            if candidate is not None and self._describe(candidate) == noted:
                seen = candidate.looked_up_attributes()
                return seen.ino, seen.dev
        return self._open(noted, tops)

    def _open(self, noted: bytes, tops: Iterable[Inode]) -> Identity | None:
        for top in tops:
            if not self._may_open or not isinstance(top, HostInode) or self._uuid(top) != noted[5:21]:
                continue
            try:
                fd = open_handle(_directory(top).descriptor(), noted[4], noted[_HEADER_LENGTH:])
            except PermissionError:
                self._may_open = False
                continue
            except (OSError, LinuxError):
                continue  # it is no more
            try:
                status = os.fstat(fd)
            finally:
                os.close(fd)
            return status.st_ino, device_number(status.st_dev)
        return None


def _is_well_formed(noted: bytes) -> bool:
    return (
        len(noted) > _HEADER_LENGTH
        and noted[:2] == bytes((_VERSION, _MAGIC))
        and noted[2] == len(noted)
        and noted[3] == (_BIG_ENDIAN if sys.byteorder == "big" else 0)
    )


def _directory(inode: HostInode) -> HostDirectory:
    """Itself, or the one that it is in."""
    if isinstance(inode, HostDirectory):
        return inode
    assert inode.directory is not None  # noqa: S101 - only directories are roots of file systems with several files
    return inode.directory


def _read_uuid(inode: HostInode) -> bytes | None:
    try:
        fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=_directory(inode).descriptor())
    except (OSError, LinuxError):
        return None
    try:
        return filesystem_uuid(fd)
    except OSError:
        return None
    finally:
        os.close(fd)
