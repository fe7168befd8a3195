"""A directory of the host as a file system.

Directories are held as descriptors, everything else as an entry of one; see hostfs_inode for why nothing
the host's other programs do to names can lead outside. Users and groups are the host's numbers.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from weakref import WeakValueDictionary

from aionoah.abi.dirent import PackedEntries
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import RENAME, O
from aionoah.abi.stat import DT, S, directory_type
from aionoah.abi.statfs import MAGIC
from aionoah.fs.directory import DirectoryFile
from aionoah.fs.file import File
from aionoah.fs.handles import GivesHandles
from aionoah.fs.host_attributes import attributes_of, device_number, status_of
from aionoah.fs.host_io import on_descriptor
from aionoah.fs.hostfs_inode import HostInode, HostNode, stale
from aionoah.fs.hostfs_names import Finding, Names
from aionoah.fs.hostfs_owners import Belief, Owners
from aionoah.fs.hostwatch import HELD, as_own
from aionoah.fs.inode import Attributes, FileSystemStatus, Inode, Row
from aionoah.fs.path import Dentry
from aionoah.fs.trails import Test
from aionoah.host import platform, reserve
from aionoah.host.errors import errno_of, host_errors, raise_linux_error

HIDDEN: Final[set[tuple[int, int]]] = set()
"""Device and inode numbers of directories that no guest is shown: where the private layers of instances are."""

# Plain numbers: a listing has many.
_FILE: Final = int(DT.REG)
_DIRECTORY: Final = int(DT.DIR)
_LINK: Final = int(DT.LNK)


class HostFileSystem(GivesHandles):
    """What is below a directory of the host, or a single file of it."""

    type_name = b"hostfs"
    has_fine_times = True
    has_lists = False  # guests have set access control lists
    is_ours_alone = False  # nobody else changes anything in it
    is_volatile = False  # it will not outlive us: nothing has to reach the disk

    def __init__(self, path: str | bytes, *, owners: Owners | None = None, is_guests: bool = False) -> None:
        """`path` is resolved by the host, once and now. OSError if it is not there or may not be opened.

        `owners` lets guests see and set what the host would not let us. `is_guests`: nobody else has files there,
        so every FIFO is theirs.
        """
        self.owners = owners
        self.directories_kept = reserve.held_directories()
        self._is_guests = is_guests
        self._inodes: WeakValueDictionary[tuple[int, int], HostInode] = WeakValueDictionary()
        self.attributes_of: dict[
            tuple[int, int], dict[bytes, bytes]
        ] = {}  # extended ones, that the host cannot keep
        self.guest_fifos: set[tuple[int, int]] = set()  # made through us: guests may open them
        self.closed_devices = _process_devices()
        real = os.path.realpath(os.fsencode(path), strict=True)
        status = os.lstat(real)
        is_directory = status.st_mode & S.IFMT == S.IFDIR
        parent, _, name = real.rpartition(b"/")
        top = HostDirectory.at(self, real if is_directory else parent or b"/")
        self._top = top
        self.root: HostInode = top if is_directory else top.lookup(name)
        self.device = device_number(status.st_dev)

    def inode_for(self, directory: "HostDirectory", name: bytes, status: os.stat_result) -> HostInode:
        """The inode of an entry; while somebody holds it, always the same object."""
        known = self._inodes.get((status.st_dev, status.st_ino))
        if known is None or known.kind != status.st_mode & S.IFMT:
            kind = HostDirectory if status.st_mode & S.IFMT == S.IFDIR else HostNode
            known = kind(self, directory, name, status)
            self._inodes[known.identity] = known
        elif known is not self._top:
            known.found_at(directory, name, status)
        return known

    def was_found(self, directory: "HostDirectory", name: bytes, status: os.stat_result) -> None:
        """Who holds the inode of an entry, if anybody does, shall know the name: another one may have gone."""
        known = self._inodes.get((status.st_dev, status.st_ino))
        if known is None or known is self._top:
            return
        if known.seen.st_mode & S.IFMT == status.st_mode & S.IFMT:
            known.found_at(directory, name, status)

    def know(self, inode: HostInode) -> None:
        """Remember an inode that no lookup has made."""
        self._inodes[inode.identity] = inode

    @property
    def remembers(self) -> bool:
        """Whether anything is known of files that the host does not keep."""
        owners = self.owners
        return bool(self.guest_fifos or self.attributes_of or (owners is not None and owners.remembers))

    def forget(self, identity: tuple[int, int]) -> None:
        """A file has lost its last name, and its number may become another one's, unless somebody still has it open."""
        if identity in self.guest_fifos:
            self.guest_fifos.discard(identity)
            known = self._inodes.get(identity)
            if isinstance(known, HostNode) and known.held >= 0:
                known.is_guests_fifo = True
        self.attributes_of.pop(identity, None)
        if self.owners is not None:
            self.owners.forget(identity)

    def is_guests_fifo(self, identity: tuple[int, int]) -> bool:
        return self._is_guests or identity in self.guest_fifos

    def status(self) -> FileSystemStatus:
        return status_of(self._top.descriptor(), MAGIC.HOSTFS)

    def release(self) -> None:
        """Close every directory. Files that are open stay so until they are closed."""
        for inode in list(self._inodes.values()):
            if isinstance(inode, HostDirectory):
                inode.close()
        self._top.close()


def _process_devices() -> frozenset[int]:
    """The host's /proc shows this very process, its memory among the rest: its files stay closed."""
    try:
        return frozenset({os.stat("/proc").st_dev} - {os.stat("/").st_dev})  # noqa: PTH116 - pathlib is slow to import
    except OSError:
        return frozenset()


class HostDirectoryFile(DirectoryFile):
    """An open directory whose fsync reaches the host."""

    def __init__(self, flags: O, dentry: Dentry, directory: "HostDirectory") -> None:
        super().__init__(flags, dentry)
        self._directory = directory

    def sync(self, *, data_only: bool) -> None:  # noqa: ARG002 - entries are all there is
        self._directory.sync_entries()


class HostDirectory(HostInode):
    """A directory of the host, with a descriptor that is opened when it is first needed."""

    def __init__(
        self,
        filesystem: HostFileSystem,
        directory: "HostDirectory | None",
        name: bytes,
        status: os.stat_result,
    ) -> None:
        super().__init__(filesystem, directory, name, status)
        self._fd = -1
        self.is_watched = False
        self.names = Names()

    @classmethod
    def at(cls, filesystem: HostFileSystem, path: bytes) -> "HostDirectory":
        """The directory at a path of the host. OSError."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        made = cls(filesystem, None, b"", os.fstat(fd))
        made._fd = fd
        return made

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
            self.names.forget()

    def let_go(self) -> None:
        """The descriptor is opened anew when it is needed. The top of the file system could not be."""
        self.is_watched = True
        if self.directory is not None:
            self.close()

    def descriptor(self) -> int:
        """Of this directory and no other: ESTALE if its name has come to mean something else."""
        if self._fd < 0:
            closed: list[HostDirectory] = []
            here: HostDirectory | None = self
            while here is not None and here._fd < 0:  # noqa: SLF001 - of the same class
                closed.append(here)
                here = here.directory
            if here is None:
                raise LinuxError(Errno.EIO)  # unmounted
            for directory in reversed(closed):  # there may be more of them than Python's stack is deep
                directory._reopen()  # noqa: SLF001
        return self._fd

    def _reopen(self) -> None:
        assert self.directory is not None  # noqa: S101 - the top cannot be opened anew
        try:
            fd = reserve.require_more(
                platform.path_open(self.name, self.directory.descriptor(), directory=True)
            )
        except OSError as error:
            if errno_of(error) in (Errno.ENOTDIR, Errno.ELOOP):
                raise stale() from None
            raise_linux_error(error)
        self._fd = fd
        if self.is_watched:
            HELD.add(self)
        try:
            self.require_same(os.fstat(fd))
        except LinuxError:
            self.close()
            raise

    def status(self) -> os.stat_result:
        with host_errors():
            return os.fstat(self.descriptor())

    @contextmanager
    def pinned(self) -> Iterator[int]:
        yield self.descriptor()

    def lookup(self, name: bytes) -> HostInode:
        status = self._status_of(name)
        if status is None:
            raise LinuxError(Errno.ENOENT)
        return self.filesystem.inode_for(self, name, status)

    def find(self, name: bytes) -> HostInode | None:
        status = self._status_of(name)
        return None if status is None else self.filesystem.inode_for(self, name, status)

    def lacks(self, name: bytes) -> bool:
        return self.names.lacks(name)

    def peek(self, name: bytes) -> Attributes:
        status = self._status_of(name)
        if status is None:
            raise LinuxError(Errno.ENOENT)
        filesystem = self.filesystem
        if filesystem.owners is None or filesystem.owners.is_true(status):
            filesystem.was_found(self, name, status)
            return attributes_of(status)
        return filesystem.inode_for(self, name, status).looked_up_attributes()

    def _status_of(self, name: bytes) -> os.stat_result | None:
        """What the host says of an entry; None for what is not there."""
        if self.names.lacks(name):
            return None
        fd = self._fd
        try:
            status = os.stat(name, dir_fd=fd if fd >= 0 else self.descriptor(), follow_symlinks=False)
        except FileNotFoundError:
            if self.filesystem.is_ours_alone and not self.names.are_found:
                self.names.found({each for _, _, each in self._scan()})
            return None
        except OSError as error:
            raise_linux_error(error)
        if HIDDEN and (status.st_dev, status.st_ino) in HIDDEN:
            return None
        return status

    def confirmer(self, name: bytes, found: Inode | None) -> Test | None:
        if found is None:
            return lambda: self._fd >= 0 and self._status_of(name) is None
        if not isinstance(found, HostInode):
            return None
        finding = Finding(self, name, found)
        return finding.is_unchanged if self.filesystem.is_ours_alone else finding.is_there

    @property
    def open_descriptor(self) -> int:
        """The descriptor if there is one at present, else -1."""
        return self._fd

    def open(self, flags: O, dentry: Dentry) -> File:
        return HostDirectoryFile(flags, dentry, self)

    @as_own
    def sync_entries(self) -> None:
        """A descriptor of ours need not be good enough for fsync."""
        if self.filesystem.is_volatile:
            return
        with host_errors():
            fd = self._open_readable()
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def _open_readable(self) -> int:
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.descriptor())

    def listing(self) -> list[Row]:
        parent = self.directory or self
        dots = [(self.identity[1], _DIRECTORY, b"."), (parent.identity[1], _DIRECTORY, b"..")]
        return dots + self._scan()

    @as_own
    def plain_listing(self) -> PackedEntries | None:
        from aionoah.host.directory import read_entries  # noqa: PLC0415 - many programs list nothing

        if self.directory is None:  # the parent of the top is not to be seen
            return None
        with host_errors():
            fd = self._open_readable()
            try:
                return read_entries(fd, self._hidden_numbers())
            finally:
                os.close(fd)

    def _hidden_numbers(self) -> set[int]:
        """Of directories on this device that are not to be shown."""
        return {ino for device, ino in HIDDEN if device == self.identity[0]} if HIDDEN else set()

    @as_own
    def _scan(self) -> list[Row]:
        with host_errors():
            fd = self._open_readable()
            try:
                hidden = self._hidden_numbers()
                with os.scandir(fd) as found:
                    listing = [(each.inode(), _kind_of(each), os.fsencode(each.name)) for each in found]
                return [each for each in listing if each[0] not in hidden] if hidden else listing
            finally:
                os.close(fd)

    # -- changes --------------------------------------------------------------------------------------------

    @as_own
    def create(self, name: bytes, mode: int, uid: int, gid: int) -> Inode:
        return self._create(name, Belief(uid, gid, S.IFREG | mode))

    def _create(self, name: bytes, wanted: Belief) -> HostInode:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with host_errors():
            fd = os.open(name, flags, wanted.mode & 0o777, dir_fd=self.descriptor())
            if reserve.is_kept(fd):
                os.close(fd)
                os.unlink(name, dir_fd=self.descriptor())
                raise LinuxError(Errno.ENFILE)
        self.names.made(name)
        try:
            with host_errors():
                made = self.filesystem.inode_for(self, name, os.fstat(fd))
                self._settle(made, fd, wanted)
        except LinuxError:
            os.close(fd)
            raise
        if isinstance(made, HostNode):
            made.keep_spare(fd)
        return made

    def create_nameless(self, mode: int, uid: int, gid: int, *, is_linkable: bool) -> Inode:
        """EOPNOTSUPP where the host has no O_TMPFILE, EOPNOTSUPP or EISDIR of its file system."""
        if not hasattr(os, "O_TMPFILE"):
            raise LinuxError(Errno.EOPNOTSUPP)
        flags = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC | (0 if is_linkable else os.O_EXCL)
        with host_errors():
            fd = reserve.require_more(os.open(".", flags, mode & 0o777, dir_fd=self.descriptor()))
        made = HostNode(self.filesystem, self, b"", os.fstat(fd))
        made.keep_spare(fd)
        made.is_linkable = is_linkable
        with host_errors():
            self._settle(made, fd, Belief(uid, gid, S.IFREG | mode))
        self.filesystem.know(made)
        return made

    @as_own
    def mkdir(self, name: bytes, mode: int, uid: int, gid: int) -> Inode:
        with host_errors():
            os.mkdir(name, mode & 0o777, dir_fd=self.descriptor())
        return self._new_entry(name, Belief(uid, gid, S.IFDIR | mode))

    @as_own
    def mknod(self, name: bytes, mode: int, rdev: int, uid: int, gid: int) -> Inode:
        """FIFOs, sockets and whiteouts. Devices are only believed in, for a guest's root is not the host's: EPERM
        where there are no beliefs.
        """
        kind, wanted = mode & S.IFMT, Belief(uid, gid, mode, rdev)
        if kind in (S.IFCHR, S.IFBLK) and (rdev or kind == S.IFBLK):
            if self.filesystem.owners is None:
                raise LinuxError(Errno.EPERM)
            return self._create(name, wanted)
        with host_errors():
            os.mknod(name, kind | mode & 0o777, dir_fd=self.descriptor())
        made = self._new_entry(name, wanted)
        if kind == S.IFIFO:
            self.filesystem.guest_fifos.add(made.identity)
        return made

    @as_own
    def symlink(self, name: bytes, target: bytes, uid: int, gid: int) -> Inode:
        with host_errors():
            os.symlink(target, name, dir_fd=self.descriptor())
        return self._new_entry(name, Belief(uid, gid, S.IFLNK | S.IRWXUGO))

    def _new_entry(self, name: bytes, wanted: Belief) -> HostInode:
        self.names.made(name)
        made = self.lookup(name)
        self.filesystem.attributes_of.pop(made.identity, None)  # of a file that had the number before
        with made.pinned() as fd, host_errors():
            self._settle(made, fd, wanted)
        return made

    def _settle(self, made: HostInode, fd: int, wanted: Belief) -> None:
        """Give a new file the owner and mode that the guest wants. OSError."""
        owners = self.filesystem.owners
        if owners is not None:
            owners.settle(made, fd, wanted, is_new=True)
        else:
            _settle(fd, wanted)

    @as_own
    def link(self, name: bytes, inode: Inode) -> None:
        if not isinstance(inode, HostNode) or inode.filesystem is not self.filesystem:
            raise LinuxError(Errno.EXDEV)
        if not inode.status().st_nlink:  # ESTALE if it has moved
            self._link_nameless(name, inode)
            return
        try:
            os.link(
                inode.name,
                name,
                src_dir_fd=inode.directory.descriptor(),
                dst_dir_fd=self.descriptor(),
                follow_symlinks=False,
            )
        except OSError as error:
            if errno_of(error) is not Errno.ENOENT or inode.held < 0:
                raise_linux_error(error)
            self._link_held(name, inode)  # it may have another name, which nobody has looked up
        self.names.made(name)

    def _link_nameless(self, name: bytes, inode: HostNode) -> None:
        if not inode.is_linkable:
            raise LinuxError(Errno.ENOENT)
        self._link_held(name, inode)
        inode.is_linkable = False
        self.names.made(name)
        self.lookup(name)  # so that the inode knows its name

    def _link_held(self, name: bytes, inode: HostNode) -> None:
        with host_errors():
            os.link(f"/proc/self/fd/{inode.held}", name, dst_dir_fd=self.descriptor(), follow_symlinks=True)

    @as_own
    def unlink(self, name: bytes) -> None:
        leaving = self._last_of(name)
        with host_errors():
            os.unlink(name, dir_fd=self.descriptor())
        self.names.gone(name)
        if leaving is not None:
            self.filesystem.forget(leaving)

    def _last_of(self, name: bytes) -> tuple[int, int] | None:
        """The file that this is the last name of, if anything could have to be forgotten with it."""
        status = self._status_of(name) if self.filesystem.remembers else None
        return None if status is None or status.st_nlink > 1 else (status.st_dev, status.st_ino)

    @as_own
    def rmdir(self, name: bytes) -> None:
        with host_errors():
            os.rmdir(name, dir_fd=self.descriptor())
        self.names.gone(name)

    @as_own
    def rename(self, name: bytes, directory: Inode, new_name: bytes, flags: int) -> None:
        if not isinstance(directory, HostDirectory) or directory.filesystem is not self.filesystem:
            raise LinuxError(Errno.EXDEV)
        leaving = None if flags & RENAME.EXCHANGE else directory._last_of(new_name)  # noqa: SLF001 - of the same class
        with host_errors():
            platform.rename(self.descriptor(), name, directory.descriptor(), new_name, flags)
        self.names.moved(name, directory.names, new_name, flags)
        if leaving is not None:
            self.filesystem.forget(leaving)
        places = [(directory, new_name), (self, name)] if flags & RENAME.EXCHANGE else [(directory, new_name)]
        for parent, moved in places:
            try:
                parent.lookup(moved)  # so that the inode knows its new place
            except LinuxError:
                continue


def _settle(fd: int, wanted: Belief) -> None:
    """Without beliefs: as far as the host lets us. Without privilege everything belongs to the user that runs us."""
    status = os.fstat(fd)
    if (status.st_uid, status.st_gid) != (wanted.uid, wanted.gid) and os.geteuid() == 0:
        on_descriptor(fd, lambda file: os.chown(file, wanted.uid, wanted.gid))
        status = os.fstat(fd)
    mode = wanted.mode & S.IALLUGO
    if status.st_mode & S.IFMT != S.IFLNK and status.st_mode & S.IALLUGO != mode:
        on_descriptor(fd, lambda file: os.chmod(file, mode))  # noqa: PTH101 - takes descriptors


def _kind_of(entry: os.DirEntry[str]) -> int:
    """DT_*. What readdir says of FIFOs and the like, Python does not tell: ask the entry itself."""
    if entry.is_file(follow_symlinks=False):
        return _FILE
    if entry.is_dir(follow_symlinks=False):
        return _DIRECTORY
    if entry.is_symlink():
        return _LINK
    try:
        return directory_type(entry.stat(follow_symlinks=False).st_mode)
    except OSError:
        return DT.UNKNOWN  # gone meanwhile
