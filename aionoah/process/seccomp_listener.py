"""Whoever answers the calls of others: the descriptor of a filter (seccomp_unotify(2); Linux kernel/seccomp.c).

A call is NEW until it is received, then SENT until it is answered, and then its thread goes on. A signal, or the end of
the thread, has it forgotten before.
"""

import os
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.poll import Poll
from aionoah.abi.signal import SIG, signal_bit
from aionoah.abi.words import WORD_MASK
from aionoah.fs.anonymous import AnonymousFile
from aionoah.host.waiting import Source, WaitQueue, sleep_on

if TYPE_CHECKING:
    from aionoah.process.task import Task


class State(Enum):
    NEW = "nobody has received it"
    SENT = "somebody has"
    ANSWERED = "the call goes on"


class Notification:
    """One call that waits for its answer."""

    __slots__ = ("_changed", "data", "error", "is_interrupted", "is_made", "number", "state", "task", "value")

    def __init__(self, number: int, task: "Task", data: bytes) -> None:
        self.number = number
        self.task = task
        self.data = data  # struct seccomp_data
        self.state = State.NEW
        self.is_made = False  # the call, after all
        self.is_interrupted = False
        self.value = 0
        self.error = 0  # negative, as it is given
        self._changed = WaitQueue()

    @property
    def result(self) -> int:
        """What the call returns that is not made, as a word."""
        return (self.error or self.value) & WORD_MASK

    def answer(self, value: int, error: int, *, is_made: bool) -> None:
        self.value, self.error, self.is_made = value, error, is_made
        self.state = State.ANSWERED
        self._changed.wake()

    async def wait(self, listener: "SeccompListener") -> None:
        """Sleep until it is answered. A signal ends that (`is_interrupted`); with `waits_killable` only SIGKILL does
        once somebody has received it.
        """
        try:
            while self.state is not State.ANSWERED and not self.is_interrupted:
                await self._sleep(holds_out=listener.waits_killable)
        finally:
            listener.forget(self)

    async def _sleep(self, *, holds_out: bool) -> None:
        try:
            await sleep_on(Source(self._changed))
        except LinuxError:
            is_killed = bool(self.task.signals.all_pending & signal_bit(SIG.KILL))
            self.is_interrupted = is_killed or not (holds_out and self.state is State.SENT)


class SeccompListener(AnonymousFile):
    """The file. `count_users` says how many threads have the filter."""

    label = b"seccomp notify"

    def __init__(self, count_users: Callable[[], int], *, waits_killable: bool) -> None:
        super().__init__(O(O.RDWR))
        self.waits_killable = waits_killable
        self._count_users = count_users
        self.is_closed = False
        self.changed = WaitQueue()
        self._waiting: dict[int, Notification] = {}
        self._next_number = int.from_bytes(os.urandom(8), "little")

    def ask(self, task: "Task", data: bytes) -> Notification:
        """A thread makes a call that is to be answered here; it calls `wait` next."""
        note = Notification(self._next_number, task, data)
        self._next_number = self._next_number + 1 & WORD_MASK
        self._waiting[note.number] = note
        self.changed.wake()
        return note

    def forget(self, note: Notification) -> None:
        self._waiting.pop(note.number, None)

    def next_new(self) -> Notification | None:
        """The oldest that nobody has received. ENOENT if there will be none."""
        found = next((note for note in self._waiting.values() if note.state is State.NEW), None)
        if found is None and not self._count_users():
            raise LinuxError(Errno.ENOENT)
        return found

    def find(self, number: int, *, otherwise: Errno) -> Notification:
        """One that has been received and not answered: ENOENT for none, `otherwise` for what is in another state."""
        note = self._waiting.get(number)
        if note is None:
            raise LinuxError(Errno.ENOENT)
        if note.state is not State.SENT:
            raise LinuxError(otherwise)
        return note

    def describe(self) -> bytes:
        return b"anon_inode:" + self.label

    def poll(self) -> Poll:
        states = {note.state for note in self._waiting.values()}
        events = Poll.IN | Poll.RDNORM if State.NEW in states else 0
        events |= Poll.OUT | Poll.WRNORM if State.SENT in states else 0
        return Poll(events if self._count_users() else events | Poll.HUP)

    def source(self, events: Poll) -> Source:  # noqa: ARG002 - one queue for all
        return Source(self.changed)

    def release(self) -> None:
        """Who waits is told that there is no such call, as is everybody from now on."""
        self.is_closed = True
        for note in self._waiting.values():
            if note.state is not State.ANSWERED:
                note.answer(0, -Errno.ENOSYS, is_made=False)
