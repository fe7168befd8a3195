"""Copying large files up while other guests go on: the call sleeps until the host has copied the data.

The call is then begun anew and finds the copy in the work directory. Who is killed meanwhile stops the copying, unless
others wait for it too; a mere signal does not, as on Linux.
"""

import contextlib
import os
from functools import partial
from typing import TYPE_CHECKING

from aionoah.abi.errno import LinuxError
from aionoah.fs.hostfs import HostDirectory
from aionoah.fs.hostfs_file import HostFile
from aionoah.fs.hostfs_inode import HostInode
from aionoah.fs.overlay_copy import make_empty, opened
from aionoah.fs.overlay_inode import OverlayInode
from aionoah.host.application import Answer, ask
from aionoah.host.blocking import start_blocking
from aionoah.host.copying import copy_contents
from aionoah.host.errors import host_errors

if TYPE_CHECKING:
    from aionoah.fs.inode import Inode


class Copying:
    """One file whose data are being copied, or have been. Used under the kernel lock but for `_copy`."""

    name = b""  # in the work directory

    def __init__(self, inode: OverlayInode) -> None:
        """Begin. ENOSPC, EROFS and the like."""
        self._filesystem = inode.filesystem
        lower, work = inode.lowers[0], self._filesystem.work()
        self.original = lower.attributes()
        self._work, self.name = work, self._filesystem.temporary_name()
        self.made = make_empty(work, self.name, lower, self.original)
        self._inode: OverlayInode | None = inode
        self._waiting: list[Answer] = []
        self._is_stopped = False
        self.is_under_way = True
        self._source, self._target = _host_file(lower), _host_file(self.made, is_written=True)
        start_blocking(self._copy, self._ended)

    def __del__(self) -> None:
        self._discard()

    def _discard(self) -> None:
        """Nobody wants it, or nobody came for it."""
        name, self.name = self.name, b""
        if name and isinstance(self._work, HostDirectory):
            with contextlib.suppress(OSError, LinuxError):
                os.unlink(name, dir_fd=self._work.descriptor())

    def wait(self) -> Answer:
        answer = Answer()
        self._waiting.append(answer)
        answer.stop = partial(self._leave, answer)
        return answer

    def _leave(self, answer: Answer) -> None:
        self._waiting.remove(answer)
        if not self._waiting:
            self._is_stopped = True
            self._forget()

    def _forget(self) -> None:
        """Whoever asks from now on begins anew."""
        if self._inode is not None:
            self._filesystem.copies.pop(self._inode, None)
            self._inode = None

    def _copy(self) -> None:
        """On a thread of the host's pool."""
        with host_errors():
            copy_contents(
                self._source.fd, self._target.fd, self.original.size, is_stopped=lambda: self._is_stopped
            )
            if self._filesystem.notes is not None:
                os.fsync(self._target.fd)  # or the host's crash would leave less than was there before

    def _ended(self, failure: LinuxError | None) -> None:
        self._source.drop()
        self._target.drop()
        self.is_under_way = False
        is_wanted = self._inode is not None and self._inode.upper is None  # nobody has emptied it meanwhile
        self._forget()
        waiting, self._waiting = self._waiting, []
        if failure is not None or not is_wanted:
            self._discard()
        for answer in waiting:
            answer.stop = None
            answer.give(None if failure is not None else self, failure)

    def take(self) -> "tuple[bytes, Inode]":
        """The copy, which is the caller's from now on: its name in the work directory, and itself."""
        name, self.name = self.name, b""
        return name, self.made


def _host_file(inode: "Inode", *, is_written: bool = False) -> HostFile:
    file = opened(inode, is_written=is_written)
    assert isinstance(file, HostFile)  # noqa: S101 - regular files of the host are that
    return file


def copy_aside(inode: OverlayInode) -> "tuple[bytes, Inode] | None":
    """A copy of the data in the work directory; None for what had better be copied at once. NotYet.

    A file that the host's programs change meanwhile is copied once too: a log that always grows would keep us for ever.
    """
    lower, work = inode.lowers[0], inode.filesystem.upper.root
    while isinstance(lower, OverlayInode):  # of an overlay that is a layer of this one
        lower = lower.real
    if not isinstance(lower, HostInode) or not isinstance(work, HostDirectory):
        return None
    answer = ask(("copy up", inode), partial(_begin, inode))
    if isinstance(answer.error, LinuxError):
        raise LinuxError(answer.error.errno)
    copying = answer.value
    assert isinstance(copying, Copying)  # noqa: S101 - what _ended gives
    return copying.take() if copying.name else None


def _begin(inode: OverlayInode) -> Answer:
    """Several guests may want the same file at the same time."""
    copying = inode.filesystem.copies.get(inode)
    if copying is None:
        copying = inode.filesystem.copies[inode] = Copying(inode)
    answer = copying.wait()
    answer.is_uninterruptible = True
    return answer
