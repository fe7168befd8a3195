"""A file of the host as an open file description, without a file system around it."""

import os

from aionoah.abi.fcntl import O
from aionoah.fs.file import File, HostMapping
from aionoah.fs.inode import Attributes


class HostFile(File):
    """For what maps files. The descriptor stays the caller's; `syncs` and `holes` tell what was asked."""

    def __init__(self, fd: int, flags: int = O.RDWR) -> None:
        super().__init__(O(flags))
        self.fd = fd
        self.syncs = 0
        self.holes: list[tuple[int, int, int]] = []
        self.is_released = False

    @property
    def references(self) -> int:
        return self._references

    def release(self) -> None:
        self.is_released = True

    def mapping(self) -> HostMapping:
        return HostMapping(self.fd, 0)

    def attributes(self) -> Attributes:
        stat = os.fstat(self.fd)
        return Attributes(stat.st_mode, stat.st_ino, stat.st_dev, size=stat.st_size)

    def sync(self, *, data_only: bool) -> None:
        self.syncs += 1 if data_only else 100
        os.fsync(self.fd)

    def allocate(self, mode: int, offset: int, length: int) -> None:
        self.holes.append((mode, offset, length))
