"""Inodes of the host's files: what directories and other files have in common, and the others.

No path of the host is ever resolved: every host call names one component below a directory descriptor and
follows nothing. A name may come to mean another file between two calls; so what a call finds is
compared by device and inode number with what the walk had found, and ESTALE starts the walk again.
"""

import os
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from operator import attrgetter
from time import time_ns
from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.stat import S
from aionoah.fs.acl import Entry
from aionoah.fs.devices import open_device
from aionoah.fs.file import File
from aionoah.fs.host_attributes import attributes_of, device_number
from aionoah.fs.host_io import on_descriptor
from aionoah.fs.hostfs_file import HostFile
from aionoah.fs.hostfs_owners import Belief
from aionoah.fs.hostfs_xattrs import HostAttributed
from aionoah.fs.hostwatch import as_own
from aionoah.fs.inode import NOW, Attributes, Change, Details, Inode, MustWait
from aionoah.fs.path import Dentry
from aionoah.fs.pipe import open_fifo
from aionoah.host import platform, reserve
from aionoah.host.errors import errno_of, host_errors, raise_linux_error

if TYPE_CHECKING:
    from aionoah.fs.hostfs import HostDirectory, HostFileSystem

_FOR_HOST: Final = O.SYNC | O.DSYNC | O.APPEND


_likeness: Final = attrgetter("st_ino", "st_dev", "st_mode", "st_uid", "st_gid")


def stale() -> LinuxError:
    """The name means another file by now: walk again."""
    return LinuxError(Errno.ESTALE)


class HostInode(HostAttributed):
    """A file of the host, known by device and inode number."""

    filesystem: "HostFileSystem"

    def __init__(
        self,
        filesystem: "HostFileSystem",
        directory: "HostDirectory | None",
        name: bytes,
        status: os.stat_result,
    ) -> None:
        self.filesystem = filesystem
        self.identity = (status.st_dev, status.st_ino)
        self.directory = directory  # None for the root of the file system
        self.name = name
        self.seen = status  # by the latest lookup
        self._kind = status.st_mode & S.IFMT  # on the host
        # With the st_ctime_ns that it is good for:
        self.belief: tuple[int, Belief | None] | None = None
        self._list: tuple[int, list[Entry] | None] | None = None
        self._marks: tuple[int, dict[bytes, bytes | None]] | None = None

    @property
    def kind(self) -> int:
        return self._kind

    @property
    def key(self) -> Hashable:
        """The same in all mounts of a file."""
        return self.identity

    def on_host(self) -> AbstractContextManager[int]:
        return self.pinned()

    def where(self) -> tuple[Inode, bytes] | None:
        return None if self.directory is None else (self.directory, self.name)

    def found_at(self, directory: "HostDirectory", name: bytes, status: os.stat_result) -> None:
        """A lookup has found it, maybe at a new place."""
        self.directory = directory
        self.name = name
        self.seen = status

    def attributes(self) -> Attributes:
        return self._shown(self.status())

    def looked_up_attributes(self) -> Attributes:
        return self._shown(self.seen)

    def looked_up_number(self) -> tuple[int, int]:
        device, number = self.identity
        return number, device_number(device)

    def _shown(self, status: os.stat_result) -> Attributes:
        """What guests are told, which need not be what the host says (hostfs_owners)."""
        found = attributes_of(status)
        owners = self.filesystem.owners
        belief = None if owners is None else owners.belief(self, status)
        if belief is None:
            return found
        return found._replace(mode=belief.mode, uid=belief.uid, gid=belief.gid, rdev=belief.rdev)

    def details(self) -> Details:
        from aionoah.host.file_details import details  # noqa: PLC0415 - slow to import, and few ask

        with self.pinned() as fd, host_errors():
            return Details(*details(fd))

    def flags(self) -> int:
        from aionoah.host.file_details import flags  # noqa: PLC0415

        if self._kind not in (S.IFREG, S.IFDIR):
            raise LinuxError(Errno.ENOTTY)
        with self.pinned() as fd, host_errors():
            return flags(fd)

    def status(self) -> os.stat_result:
        raise NotImplementedError

    def require_same(self, status: os.stat_result) -> os.stat_result:
        """ESTALE for another file. One that took over the number of this one has its kind at least."""
        if (status.st_dev, status.st_ino) != self.identity or status.st_mode & S.IFMT != self._kind:
            raise stale()
        return status

    # -- changes ----------------------------------------------------------------------------------------

    @as_own
    def change(self, change: Change) -> None:
        if change.size is not None:
            self.resize(change.size)
        with self.pinned() as fd, host_errors():
            if change.mode is not None or change.uid is not None or change.gid is not None:
                self._set_owner(fd, change)
            if change.atime_ns is not None or change.mtime_ns is not None:
                _set_times(fd, change)
            self.seen = os.fstat(fd)

    def _set_owner(self, fd: int, change: Change) -> None:
        owners, mode = self.filesystem.owners, change.mode
        if owners is not None:
            present = self._shown(os.fstat(fd))
            wanted = Belief(
                present.uid if change.uid is None else change.uid,
                present.gid if change.gid is None else change.gid,
                present.mode if mode is None else present.mode & S.IFMT | mode,
                present.rdev,
            )
            owners.settle(self, fd, wanted)
            if self.directory is not None:
                self.directory.names.rights_changed()
            return
        if change.uid is not None or change.gid is not None:
            uid = -1 if change.uid is None else change.uid
            gid = -1 if change.gid is None else change.gid
            on_descriptor(fd, lambda file: os.chown(file, uid, gid))
        if mode is not None:
            on_descriptor(fd, lambda file: os.chmod(file, mode))  # noqa: PTH101 - takes descriptors

    def resize(self, size: int) -> None:  # noqa: ARG002 - for regular files
        raise LinuxError(Errno.EINVAL)


def _set_times(fd: int, change: Change) -> None:
    if change.atime_ns == change.mtime_ns == NOW:
        on_descriptor(fd, os.utime)  # allowed for whoever may write, where explicit times are for the owner
        return
    status = os.fstat(fd)
    now = time_ns()

    def chosen(wanted: int | None, present: int) -> int:
        return present if wanted is None else now if wanted == NOW else wanted

    times = (chosen(change.atime_ns, status.st_atime_ns), chosen(change.mtime_ns, status.st_mtime_ns))
    on_descriptor(fd, lambda file: os.utime(file, ns=times))


class HostNode(HostInode):
    """Anything but a directory: an entry of a directory, and the descriptors that are open on it."""

    directory: "HostDirectory"
    is_linkable = False  # made without a name, and may still get one
    is_guests_fifo = False  # though the file system does not know any more: it has lost its last name

    def __init__(
        self,
        filesystem: "HostFileSystem",
        directory: "HostDirectory",
        name: bytes,
        status: os.stat_result,
    ) -> None:
        super().__init__(filesystem, directory, name, status)
        self._open: list[int] = []  # host descriptors of open files
        self._spare = -1  # of a file just made, for whoever opens it

    def __del__(self) -> None:
        if self._spare >= 0:
            os.close(self._spare)

    @property
    def held(self) -> int:
        """One of its descriptors, or -1."""
        return self._open[-1] if self._open else self._spare

    @property
    def kind(self) -> int:
        """An empty file may stand for a device."""
        owners = self.filesystem.owners
        if owners is None or self._kind != S.IFREG or self.seen.st_size:
            return self._kind
        belief = owners.belief(self, self.seen)
        return self._kind if belief is None else belief.mode & S.IFMT

    def read_mark(self, name: bytes) -> bytes:
        if self._open or self._spare >= 0:
            return super().read_mark(name)
        path = b"/proc/self/fd/%d/%s" % (self.directory.descriptor(), self.name)
        return os.getxattr(path, name, follow_symlinks=False)

    def _get_xattr(self, name: bytes) -> bytes:
        """Most files have none: so first ask by the name, and then make sure whose answer it was."""
        if self._open or self._spare >= 0 or not hasattr(os, "getxattr"):
            return super()._get_xattr(name)
        with host_errors():
            value = self.read_mark(name)
        self.status()
        return value

    def status(self) -> os.stat_result:
        held = self.held
        try:
            if held >= 0:
                return os.fstat(held)
            found = os.stat(self.name, dir_fd=self.directory.descriptor(), follow_symlinks=False)
        except OSError as error:
            raise_linux_error(error)
        return self.require_same(found)

    @contextmanager
    def pinned(self) -> Iterator[int]:
        if self._open or self._spare >= 0:
            yield self.held
            return
        with host_errors():
            fd = platform.path_open(self.name, self.directory.descriptor(), directory=False)
        try:
            self.require_same(os.fstat(fd))
            yield fd
        finally:
            os.close(fd)

    def readlink(self) -> bytes:
        if self._kind != S.IFLNK:
            raise LinuxError(Errno.EINVAL)
        try:
            return os.readlink(self.name, dir_fd=self.directory.descriptor())
        except OSError as error:
            if errno_of(error) is Errno.EINVAL:
                raise stale() from None  # no link any more
            held = self.held
            if errno_of(error) is Errno.ENOENT and held >= 0:
                with host_errors():
                    return os.readlink(b"", dir_fd=held)
            raise_linux_error(error)

    @as_own
    def resize(self, size: int) -> None:
        fd = self._open_host(os.O_WRONLY)
        try:
            with host_errors():
                os.ftruncate(fd, size)
        finally:
            os.close(fd)

    # -- opening ------------------------------------------------------------------------------------------

    @as_own
    def open(self, flags: O, dentry: Dentry) -> File:
        """EACCES for devices, ENXIO for sockets and for FIFOs that no guest has made: the host's programs
        are behind those.
        """
        if self.kind != self._kind:
            self._keep_hold()
            return open_device(self._shown(self.seen).rdev, flags, dentry)
        if self._kind != S.IFREG:
            return self._open_other(flags, dentry)
        fd, self._spare = self._spare, -1
        host_appends = fd < 0 and O.APPEND in flags
        if fd < 0:  # a file that may only be appended to is opened for nothing else
            fd = self._open_host(platform.host_open_flags(_access(flags) | flags & _FOR_HOST))
        self.opened(fd)
        return HostFile(flags, dentry, self, fd, host_appends=host_appends)

    def _open_other(self, flags: O, dentry: Dentry) -> File:
        if self._kind == S.IFIFO and (self.is_guests_fifo or self.filesystem.is_guests_fifo(self.identity)):
            self._keep_hold()
            raise MustWait(lambda: open_fifo(self, flags, dentry))
        raise LinuxError(Errno.EACCES if self._kind in (S.IFCHR, S.IFBLK) else Errno.ENXIO)

    def _keep_hold(self) -> None:
        """Its name may go while it is open, and nothing else of the host's leads to what is ours behind it."""
        if self.held < 0:
            with self.pinned() as fd, host_errors():
                self._spare = reserve.require_more(os.dup(fd))

    def _open_host(self, host_flags: int) -> int:
        """Open the regular file that the walk has found and no other. O_NONBLOCK: what another program
        puts in its place must not make us wait. EACCES for the host's /proc.
        """
        if self.identity[0] in self.filesystem.closed_devices:
            raise LinuxError(Errno.EACCES)
        host_flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        held = self.held
        if held >= 0 and not os.fstat(held).st_nlink:
            return _reopened(held, host_flags)
        try:
            fd = reserve.require_more(os.open(self.name, host_flags, dir_fd=self.directory.descriptor()))
        except OSError as error:
            if errno_of(error) in (Errno.ELOOP, Errno.ENXIO, Errno.EISDIR):
                raise stale() from None
            if errno_of(error) is Errno.ENOENT and held >= 0:
                return _reopened(held, host_flags)  # it may have another name, which nobody has looked up
            raise_linux_error(error)
        try:
            self._require_checked(os.fstat(fd))
        except LinuxError:
            os.close(fd)
            raise
        return fd

    def _require_checked(self, status: os.stat_result) -> None:
        """What has been opened must be what permissions were checked for. A file that took over the
        number may have other ones: then check again.
        """
        is_checked = _likeness(status) == _likeness(self.seen)
        self.seen = status if is_checked else self.require_same(status)
        if not is_checked:
            raise stale()

    @as_own
    def keep_spare(self, fd: int) -> None:
        """The read-write descriptor that made this file: opening it anew could fail for its mode."""
        if self._spare >= 0:
            os.close(self._spare)
        self._spare = fd

    @as_own
    def keep_open(self) -> None:
        if self._kind == S.IFREG and self._spare < 0:
            self._spare = self._open_host(os.O_RDWR)

    def opened(self, fd: int) -> None:
        """A descriptor of it is there until `closed`: the file outlives its names."""
        self._open.append(fd)

    def closed(self, fd: int) -> None:
        self._open.remove(fd)


def _access(flags: O) -> int:
    """Mode 3, which allows neither reading nor writing, opens for reading: all hosts have that."""
    mode = flags & O.ACCMODE
    return O.RDONLY if mode == O.ACCMODE else mode


def _reopened(held: int, host_flags: int) -> int:
    """A further descriptor of a file without a name that is known."""
    with host_errors():
        return reserve.require_more(os.open(f"/proc/self/fd/{held}", host_flags & ~os.O_NOFOLLOW))
