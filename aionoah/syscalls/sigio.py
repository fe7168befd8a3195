"""Signal-driven input and output: O_ASYNC and FIOASYNC (fcntl(2), signal(7); Linux fs/fcntl.c, fasync_helper).

An open file that has it listens to itself, as an epoll entry would, and tells its owner by SIGIO, or by the
signal of F_SETSIG. Data is told whenever some comes; room only after a write has found none.
"""

from typing import TYPE_CHECKING, Final

from aionoah.abi.fcntl import O
from aionoah.abi.poll import Poll
from aionoah.abi.siginfo import POLL_CODE
from aionoah.fs.file import File, SpaceWatcher
from aionoah.fs.inotify import InotifyFile
from aionoah.fs.pipe import PipeEnd
from aionoah.host.errors import host_errors
from aionoah.host.waiting import Source
from aionoah.net.socket import Socket
from aionoah.syscalls.owners import send_io_signal
from aionoah.terminal.files import TerminalFile

if TYPE_CHECKING:
    from aionoah.process.kernel import Kernel

_KINDS: Final = (PipeEnd, Socket, TerminalFile, InotifyFile)
_DATA: Final = Poll(Poll.IN | Poll.PRI | Poll.RDHUP)
_ROOM: Final = Poll(Poll.OUT)


def can_signal(file: File) -> bool:
    """Whether Linux has signals for this kind of file; of others, O_ASYNC is ignored."""
    return isinstance(file, _KINDS)


def set_asynchronous(kernel: "Kernel", file: File, fd: int, *, is_on: bool) -> None:
    """Begin or end signals of a file; `fd` is the one that si_fd will show."""
    if is_on == (O.ASYNC in file.flags):
        return
    if is_on:
        file.flags = O(file.flags | O.ASYNC)
        file.space_watcher = _AsynchronousFile(kernel, file, fd)
    else:
        file.flags = O(file.flags & ~O.ASYNC)
        for each in [each for each in file.dependents or () if isinstance(each, _AsynchronousFile)]:
            each.end()


class _Direction:
    """The listener of one direction."""

    __slots__ = ("_owner", "_tell")

    def __init__(self, owner: "_AsynchronousFile", *, reads: bool) -> None:
        self._owner = owner
        self._tell = owner.data_came if reads else owner.room_came

    def notify(self) -> None:
        self._tell()


class _AsynchronousFile(SpaceWatcher):
    """One open file that has O_ASYNC."""

    def __init__(self, kernel: "Kernel", file: File, fd: int) -> None:
        self._kernel = kernel
        self._file = file
        self._fd = fd
        self._lacks_room = not file.poll() & Poll.OUT
        self._sources: list[tuple[_Direction, Source]] = []
        if file.dependents is None:
            file.dependents = {}
        file.dependents[self] = None
        self.source_has_changed()

    def end(self) -> None:
        self.source_will_change()
        self._file.space_watcher = None
        if self._file.dependents is not None:
            self._file.dependents.pop(self, None)

    # -- what happens ---------------------------------------------------------------------------------------

    def lacks_room(self) -> None:
        self._lacks_room = True

    def data_came(self) -> None:
        events = self._file.poll()
        if events & Poll.PRI:
            self._tell(POLL_CODE.PRI)
        if events & Poll.IN:
            self._tell(POLL_CODE.IN)
        elif events & (Poll.HUP | Poll.RDHUP):
            self._tell(POLL_CODE.HUP)
        elif events & Poll.ERR:
            self._tell(POLL_CODE.ERR)

    def room_came(self) -> None:
        if self._lacks_room and self._file.poll() & (Poll.OUT | Poll.ERR):
            self._lacks_room = False
            self._tell(POLL_CODE.OUT)

    def _tell(self, code: int) -> None:
        send_io_signal(self._kernel, self._file, self._fd, code)

    # -- as a dependent of the file -------------------------------------------------------------------------

    def file_released(self) -> None:
        self.end()

    def source_will_change(self) -> None:
        for listener, source in self._sources:
            for queue in source.queues:
                queue.remove(listener)
            for host_fd in source.descriptors:
                self._kernel.host_edges.forget(host_fd, listener)
        self._sources.clear()

    def source_has_changed(self) -> None:
        if self._file.is_readable:
            self._listen(_DATA, reads=True)
        if self._file.is_writable:
            self._listen(_ROOM, reads=False)

    def _listen(self, events: Poll, *, reads: bool) -> None:
        listener, source = _Direction(self, reads=reads), self._file.source(events)
        for queue in source.queues:
            queue.add(listener)
        for host_fd in source.descriptors:
            with host_errors():
                self._kernel.host_edges.watch(
                    host_fd, listener, reading=host_fd in source.readable, writing=host_fd in source.writable
                )
        self._sources.append((listener, source))
