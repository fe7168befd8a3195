"""/proc/PID/uid_map, gid_map, projid_map and setgroups: a task's user name space (user_namespaces(7); Linux fs/proc/base.c).

Who may write is decided by whoever has opened the file, too: so nobody gets a program of another user to write for him.
"""

from collections.abc import Callable
from typing import Final

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.fs.file import File
from aionoah.fs.path import Dentry
from aionoah.fs.proc.subject import Subject, task_of
from aionoah.fs.synthetic import MAX_WRITE, Place, SyntheticInode, Text, TextFile
from aionoah.memory.buffer import Buffer
from aionoah.process.credentials import Credentials
from aionoah.process.current import current_task
from aionoah.process.user_namespaces import UserNamespace, callers_names, map_text, write_map, write_setgroups

Write = Callable[[UserNamespace, bytes, Credentials], None]


class _Settable(Text[Subject]):
    """A file that may be written by those whom `writes` lets."""

    def __init__(
        self, read: Callable[[Subject], bytes], writes: Write, *, is_for_administrators: bool
    ) -> None:
        """`is_for_administrators`: opening it for writing needs CAP_SYS_ADMIN in the user name space (EACCES)."""
        super().__init__(read, mode=0o644)
        self.writes = writes
        self.is_for_administrators = is_for_administrators

    def make_inode(self, place: Place) -> "SyntheticInode[_Settable]":
        return _SettableInode(place, self)


class _SettableInode(SyntheticInode[_Settable]):
    def open(self, flags: O, dentry: Dentry) -> File:
        return _SettableFile(flags, dentry, self.node, self.owner)


class _SettableFile(TextFile):
    """It is about the user name space that the task has when it is opened."""

    def __init__(self, flags: O, dentry: Dentry, node: _Settable, owner: Subject) -> None:
        super().__init__(flags, dentry, node, owner)
        self._writes = node.writes
        self._namespace = _names_of(owner)
        if flags & O.ACCMODE != O.RDONLY:
            self._opener = current_task().credentials.copy()
            if node.is_for_administrators and not self._opener.may(CAP.SYS_ADMIN, self._namespace):
                raise LinuxError(Errno.EACCES)

    def pwrite(self, src: Buffer, offset: int) -> int:
        if offset:
            raise LinuxError(Errno.EINVAL)
        data = src.take(MAX_WRITE)
        self._writes(self._namespace, data, self._opener)
        return len(data)


def _names_of(subject: Subject) -> UserNamespace:
    return task_of(subject).credentials.user_namespace


def id_map(kind: str) -> _Settable:
    """The file of one of "uids", "gids" and "projects"."""

    def read(subject: Subject) -> bytes:
        namespace, reader = _names_of(subject), callers_names()
        outer = namespace.parent if reader is namespace and namespace.parent is not None else reader
        return map_text(getattr(namespace, kind).extents, getattr(outer, kind))

    def write(namespace: UserNamespace, data: bytes, opener: Credentials) -> None:
        write_map(namespace, kind, data, opener, current_task().credentials)

    return _Settable(read, write, is_for_administrators=False)


def _setgroups(subject: Subject) -> bytes:
    return b"allow\n" if _names_of(subject).allows_setgroups else b"deny\n"


SETGROUPS: Final = _Settable(
    _setgroups,
    lambda namespace, data, _opener: write_setgroups(namespace, data),
    is_for_administrators=True,
)
