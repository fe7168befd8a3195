"""Open regular files of the host."""

import fcntl
import os
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.uio import RWF, RWF_FOR_ALL
from aionoah.fs import notify
from aionoah.fs.file import HostMapping
from aionoah.fs.host_io import read_at, write_at
from aionoah.fs.hostwatch import OBSERVERS, own_doing
from aionoah.fs.lending import LENDERS
from aionoah.fs.path import Dentry
from aionoah.fs.regular import RegularFile
from aionoah.host import platform
from aionoah.host.errors import host_errors, raise_linux_error
from aionoah.memory.buffer import Buffer

if TYPE_CHECKING:
    from aionoah.fs.hostfs_inode import HostNode


_NOT_LENT: Final = O.APPEND | O.DIRECT | O.SYNC | O.DSYNC


class HostFile(RegularFile):
    """A file of the host, read and written at our own position: the host's stays unused."""

    read_flags = write_flags = RWF_FOR_ALL | RWF.DONTCACHE
    _loan: object | None = None

    def __init__(
        self, flags: O, dentry: Dentry, node: "HostNode", fd: int, *, host_appends: bool = False
    ) -> None:
        """`host_appends`: the host's descriptor has O_APPEND."""
        super().__init__(flags, dentry)
        self.fd = fd
        self._node = node
        self._host_appends = host_appends
        self.waits_for_disk = not node.filesystem.is_volatile

    @property
    def offset(self) -> int:
        """The position, which nobody else has any more."""
        if self._loan is not None:
            self.take_back()
        return self._offset

    @offset.setter
    def offset(self, offset: int) -> None:
        if self._loan is not None:
            self.take_back()
        self._offset = offset

    def lend(self) -> object | None:
        """For reading and writing without us (lending.py). None if somebody is to be told of that."""
        if notify.WATCHES or OBSERVERS or self.flags & _NOT_LENT:
            return None
        if self._loan is None and LENDERS:
            may_write = self.is_writable and self.before_write is None and not self._host_appends
            self._loan = LENDERS[0].begin(
                self.fd, may_read=self.is_readable, may_write=may_write, position=self._offset
            )
        return self._loan

    def take_back(self) -> None:
        loan, self._loan = self._loan, None
        if loan is not None:
            self._offset = LENDERS[0].end(loan)

    def release(self) -> None:
        self._node.closed(self.fd)
        if not OBSERVERS:
            os.close(self.fd)
            return
        with own_doing(self._node):
            os.close(self.fd)

    def size(self) -> int:
        try:
            return os.lseek(self.fd, 0, os.SEEK_END)  # whose position nobody uses; a third of fstat's price
        except OSError as error:
            raise_linux_error(error)

    def pread(self, dst: Buffer, offset: int) -> int:
        if not OBSERVERS:
            return read_at(self.fd, dst, offset)
        with own_doing(self._node):
            return read_at(self.fd, dst, offset)

    def _store(self, src: Buffer, offset: int) -> int:
        if self._host_appends != (self.flags & O.APPEND != 0):
            self._set_appending()
        if not OBSERVERS:
            return write_at(self.fd, src, offset)
        with own_doing(self._node):
            return write_at(self.fd, src, offset)

    def read_with(self, dst: Buffer, offset: int, flags: int) -> int:
        with own_doing(self._node), host_errors():
            return os.preadv(self.fd, dst.segments(), offset, platform.transfer_flags(flags))

    def _store_with(self, src: Buffer, offset: int, flags: int) -> int:
        with host_errors():
            host_flags = platform.transfer_flags(flags)
        if not host_flags:
            return self._store(src, offset)
        if self._host_appends != (self.flags & O.APPEND != 0):
            self._set_appending()
        with own_doing(self._node), host_errors():
            return os.pwritev(self.fd, src.segments(), offset, host_flags)

    def _set_appending(self) -> None:
        """Let the host append too, so that no other program's line is overwritten; who has a loan would append with it."""
        self.take_back()
        self._host_appends = not self._host_appends
        with host_errors():
            present = fcntl.fcntl(self.fd, fcntl.F_GETFL)
            wanted = present | os.O_APPEND if self._host_appends else present & ~os.O_APPEND
            fcntl.fcntl(self.fd, fcntl.F_SETFL, wanted)

    def _seek_extent(self, offset: int, whence: int) -> int:
        if offset < 0:
            raise LinuxError(Errno.ENXIO)
        with host_errors():
            return os.lseek(self.fd, offset, platform.host_whence(whence))

    def truncate(self, length: int) -> None:
        self.changing()
        with own_doing(self._node), host_errors():
            os.ftruncate(self.fd, length)

    def allocate(self, mode: int, offset: int, length: int) -> None:
        self.changing()
        with own_doing(self._node), host_errors():
            platform.fallocate(self.fd, mode, offset, length)

    def clone_from(self, source: "HostFile", offset: int, length: int, target_offset: int) -> None:
        """Share the blocks of another file (FICLONERANGE), if the host's file system can: EOPNOTSUPP, EXDEV, EINVAL."""
        from aionoah.host.file_details import share_blocks  # noqa: PLC0415 - slow to import, and few ask

        self.changing()
        with own_doing(self._node), host_errors():
            share_blocks(source.fd, offset, length, self.fd, target_offset)

    def advise(self, offset: int, length: int, advice: int) -> None:
        platform.advise(self.fd, offset, length, advice)

    def sync(self, *, data_only: bool) -> None:
        if not self.waits_for_disk:
            return
        with host_errors():
            if data_only and hasattr(os, "fdatasync"):
                os.fdatasync(self.fd)
            else:
                os.fsync(self.fd)

    def lock_descriptor(self) -> int:
        return self.fd

    def unobserved(self) -> AbstractContextManager[None]:
        return own_doing(self._node)

    def mapping(self) -> HostMapping:
        return HostMapping(self.fd, 0)
