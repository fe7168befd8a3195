"""Owners, modes and device nodes that guests see and set where the host would not let us.

What differs from the host's own is kept in an extended attribute of the file, in the form that containers/storage
gave it: `uid:gid:mode:type`, mode in octal, type one of file, dir, symlink, pipe, socket, char-MAJOR-MINOR and
block-MAJOR-MINOR; a device is an empty file on the host. The host's own mode then lets us read and write, and has no
set-user-ID bit. Links, FIFOs and sockets cannot carry attributes: theirs are remembered by the instance, and belong
to whoever has their directory later on.
"""

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.stat import S, major, makedev, minor
from aionoah.fs.host_io import on_descriptor
from aionoah.host.errors import errno_of

if TYPE_CHECKING:
    from aionoah.fs.hostfs_inode import HostInode

OVERRIDE: Final = b"user.containers.override_stat"

_TYPES: Final = {
    S.IFREG: "file",
    S.IFDIR: "dir",
    S.IFLNK: "symlink",
    S.IFIFO: "pipe",
    S.IFSOCK: "socket",
    S.IFCHR: "char",
    S.IFBLK: "block",
}
_DEVICES: Final = {"char": S.IFCHR, "block": S.IFBLK}
_CAN_CARRY: Final = (S.IFREG, S.IFDIR)
_FILES: Final = frozenset(_TYPES) - {S.IFLNK, S.IFDIR}  # what a regular file can stand for
_ID_MAX: Final = (1 << 32) - 1  # which stands for none
_TRUE_MAX: Final = 1 << 14


class Belief(NamedTuple):
    """What guests are told of a file."""

    uid: int
    gid: int
    mode: int  # with the type
    rdev: int = 0

    def text(self) -> bytes:
        kind = self.mode & S.IFMT
        name = _TYPES[S(kind)]
        if kind in _DEVICES.values():
            name += f"-{major(self.rdev)}-{minor(self.rdev)}"
        return f"{self.uid}:{self.gid}:0{self.mode & S.IALLUGO:o}:{name}".encode()


def parse(text: bytes, kind: int) -> Belief | None:
    """The attribute's value; `kind` is the host's type. None for nonsense."""
    words = text.decode("ascii", "replace").split(":")
    try:
        uid, gid, mode = int(words[0]), int(words[1]), int(words[2], 8)
        name, *numbers = words[3].split("-") if len(words) > 3 else ["file"]
        rdev = makedev(int(numbers[0]), int(numbers[1])) if name in _DEVICES else 0
    except (ValueError, IndexError):
        return None
    is_sense = 0 <= uid < _ID_MAX and 0 <= gid < _ID_MAX and mode >= 0 and 0 <= rdev < 1 << 64
    if kind == S.IFREG:
        kind = _DEVICES.get(name, mode & S.IFMT or kind)
        is_sense = is_sense and kind in _FILES
    return Belief(uid, gid, kind | mode & S.IALLUGO, rdev) if is_sense else None


class Owners:
    """The beliefs about the files of one file system."""

    def __init__(self, *, is_ours_alone: bool = False) -> None:
        """`is_ours_alone`: nobody else changes attributes there."""
        self._is_ours_alone = is_ours_alone
        self._uid, self._gid = os.geteuid(), os.getegid()
        self._groups = {self._gid, *os.getgroups()}
        self._remembered: dict[tuple[int, int], Belief] = {}
        self._true: dict[tuple[int, int], int] = {}  # files without a belief, and the st_ctime_ns of that

    # -- reading ------------------------------------------------------------------------------------------

    def belief(self, inode: "HostInode", status: os.stat_result) -> Belief | None:
        """What guests are to believe of a file with this status; None if it is the truth."""
        stamp = status.st_ctime_ns
        if inode.belief is not None and (self._is_ours_alone or inode.belief[0] == stamp):
            return inode.belief[1]
        if self.is_true(status):
            inode.belief = stamp, None
            return None
        found = self._remembered.get((status.st_dev, status.st_ino))
        kind = status.st_mode & S.IFMT
        if found is not None:
            found = found if found.mode & S.IFMT == kind or kind == S.IFREG else None
        elif kind in _CAN_CARRY:
            found = self._read(inode, kind)
        elif self._uid:
            found = self._heir(inode, status)
        inode.belief = stamp, found
        if found is None:
            self._note_true(status)
        return found

    def is_true(self, status: os.stat_result) -> bool:
        """Whether it is known already that guests are to believe what the host says of a file."""
        stamp = self._true.get((status.st_dev, status.st_ino))
        return stamp == status.st_ctime_ns or (self._is_ours_alone and stamp is not None)

    def _note_true(self, status: os.stat_result) -> None:
        if len(self._true) >= _TRUE_MAX:
            self._true.clear()
        self._true[status.st_dev, status.st_ino] = status.st_ctime_ns

    @staticmethod
    def _read(inode: "HostInode", kind: int) -> Belief | None:
        try:
            return parse(inode.read_mark(OVERRIDE), kind)
        except (OSError, AttributeError, LinuxError):  # AttributeError: a host without extended attributes
            return None

    def _heir(self, inode: "HostInode", status: os.stat_result) -> Belief | None:
        """Of something that we have made earlier and forgotten: it belongs to its directory's owner."""
        if inode.directory is None or status.st_uid != self._uid:
            return None
        above = inode.directory.looked_up_attributes()
        return Belief(above.uid, above.gid, status.st_mode)

    @property
    def remembers(self) -> bool:
        """Whether there are files that cannot carry what is to be believed of them."""
        return bool(self._remembered)

    def forget(self, identity: tuple[int, int]) -> None:
        """The file is no more."""
        self._remembered.pop(identity, None)
        self._true.pop(identity, None)

    # -- writing ------------------------------------------------------------------------------------------

    def settle(self, inode: "HostInode", fd: int, wanted: Belief, *, is_new: bool = False) -> None:
        """Give a file owner and mode: the host's own where we may, else what guests believe. OSError."""
        status = os.fstat(fd)
        kind = status.st_mode & S.IFMT
        mode = wanted.mode & S.IALLUGO
        if self._may_give_to(wanted) and (status.st_uid, status.st_gid) != (wanted.uid, wanted.gid):
            on_descriptor(fd, lambda file: os.chown(file, wanted.uid, wanted.gid))
            status = os.fstat(fd)
        is_true = self._may_give_to(wanted) and wanted.mode & S.IFMT == kind
        if not is_true:
            mode = (mode | (0o700 if kind == S.IFDIR else 0o600)) & S.IRWXUGO
        elif kind in _CAN_CARRY and not is_new:
            self._forget(fd)
        if kind != S.IFLNK and status.st_mode & S.IALLUGO != mode:
            on_descriptor(fd, lambda file: os.chmod(file, mode))  # noqa: PTH101 - takes descriptors
        self._remembered.pop(inode.identity, None)
        self._true.pop(inode.identity, None)
        if not is_true:
            self._record(inode, fd, kind, wanted)
        inode.seen = os.fstat(fd)
        if is_true:
            self._note_true(inode.seen)
        inode.belief = inode.seen.st_ctime_ns, None if is_true else wanted

    def _may_give_to(self, wanted: Belief) -> bool:
        return self._uid == 0 or (wanted.uid == self._uid and wanted.gid in self._groups)

    @staticmethod
    def _forget(fd: int) -> None:
        try:
            on_descriptor(fd, lambda file: os.removexattr(file, OVERRIDE))
        except (OSError, AttributeError):
            return  # there is none

    def _record(self, inode: "HostInode", fd: int, kind: int, wanted: Belief) -> None:
        if kind in _CAN_CARRY and hasattr(os, "setxattr"):
            try:
                on_descriptor(fd, lambda file: os.setxattr(file, OVERRIDE, wanted.text()))
            except OSError as error:
                if errno_of(error) not in (Errno.EOPNOTSUPP, Errno.EPERM, Errno.EACCES):
                    raise
            else:
                return
        self._remembered[inode.identity] = wanted
