"""A POSIX message queue: messages by priority, who waits, who is told (mq_overview(7); Linux ipc/mqueue.c).

What a sender brings goes to a waiting receiver directly, and the message of a waiting sender into the place that
a receiver has made; so a thread that comes later takes nothing away from one that waits.
"""

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple, Protocol

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.poll import Poll
from aionoah.fs.file import WouldBlock
from aionoah.host.waiting import Source, WaitQueue, sleep_on
from aionoah.process.futex import Deadline, end_of_sleep

if TYPE_CHECKING:
    from aionoah.process.task import Process, Task


class Message(NamedTuple):
    """One message; a higher priority comes first."""

    priority: int
    text: bytes


class Notification(Protocol):
    """How a process wants to be told that a message has come to an empty queue."""

    owner: "Process"
    kind: int  # SIGEV
    signal: int  # of SIGEV_SIGNAL, else 0

    def send(self, sender: "Task") -> None: ...

    def cancel(self) -> None:
        """It will never be sent."""
        ...


class Waiter:
    """A thread that waits for a message, or with one for room."""

    __slots__ = ("is_done", "message", "queue", "task")

    def __init__(self, task: "Task", message: Message | None = None) -> None:
        self.task = task
        self.message = message
        self.is_done = False
        self.queue = WaitQueue()

    def finish(self) -> None:
        self.is_done = True
        self.queue.wake()


class PosixQueue:
    """The queue. Limits are in messages, and bytes of each."""

    def __init__(self, max_messages: int, max_size: int) -> None:
        self.max_messages = max_messages
        self.max_size = max_size
        self.size = 0  # bytes
        self.notification: Notification | None = None
        self._messages: list[Message] = []
        self._order: list[int] = []  # negated priorities, of the same length
        self._receivers: dict[Waiter, None] = {}
        self._senders: dict[Waiter, None] = {}
        self._readable = WaitQueue()
        self._writable = WaitQueue()

    def __len__(self) -> int:
        return len(self._messages)

    # -- sending ----------------------------------------------------------------------------------------

    def send_nowait(self, task: "Task", message: Message) -> None:
        """WouldBlock if it is full."""
        if len(self) >= self.max_messages:
            raise WouldBlock
        receiver = _first(self._receivers)
        if receiver is not None:
            receiver.message = message
            receiver.finish()
            return
        self._insert(message)
        if len(self) == 1 and self.notification is not None:
            notification, self.notification = self.notification, None  # it is for once
            notification.send(task)

    async def send(self, task: "Task", message: Message, deadline: Deadline | None) -> None:
        """Sleep until it is in the queue. ETIMEDOUT, ERESTARTSYS."""
        try:
            self.send_nowait(task, message)
        except WouldBlock:
            await _sleep(self._senders, Waiter(task, message), deadline)

    def _insert(self, message: Message) -> None:
        place = bisect_right(self._order, -message.priority)
        self._order.insert(place, -message.priority)
        self._messages.insert(place, message)
        self.size += len(message.text)
        self._readable.wake()

    # -- receiving --------------------------------------------------------------------------------------

    def receive_nowait(self) -> Message:
        """WouldBlock if it is empty."""
        if not self._messages:
            raise WouldBlock
        message = self._messages.pop(0)
        del self._order[0]
        self.size -= len(message.text)
        sender = _first(self._senders)
        if sender is None or sender.message is None:
            self._writable.wake()
        else:
            self._insert(sender.message)
            sender.finish()
        return message

    async def receive(self, task: "Task", deadline: Deadline | None) -> Message:
        """Sleep until there is one. ETIMEDOUT, ERESTARTSYS."""
        try:
            return self.receive_nowait()
        except WouldBlock:
            waiter = Waiter(task)
            await _sleep(self._receivers, waiter, deadline)
            assert waiter.message is not None  # noqa: S101 - else it would still sleep
            return waiter.message

    # -- readiness and notification ----------------------------------------------------------------------

    def poll(self) -> Poll:
        mask = Poll.IN | Poll.RDNORM if self._messages else 0
        return Poll(mask | Poll.OUT | Poll.WRNORM if len(self) < self.max_messages else mask)

    def source(self) -> Source:
        return Source(self._readable, self._writable)

    def notify(self, notification: Notification) -> None:
        """Register for the next message. EBUSY if somebody has."""
        if self.notification is not None:
            raise LinuxError(Errno.EBUSY)
        self.notification = notification

    def forget_notification(self, process: "Process") -> None:
        """A process wants no notification any more."""
        if self.notification is not None and self.notification.owner is process:
            notification, self.notification = self.notification, None
            notification.cancel()

    def status(self) -> bytes:
        """What the file of the queue reads as."""
        kind, signal, pid = 0, 0, 0
        if self.notification is not None:
            kind, signal, pid = self.notification.kind, self.notification.signal, self.notification.owner.pid
        return b"QSIZE:%-10d NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6d\n" % (self.size, kind, signal, pid)


def _first(waiters: dict[Waiter, None]) -> Waiter | None:
    """Take out who waits with the highest real-time priority, and of those the longest."""
    living = [waiter for waiter in waiters if not waiter.task.has_exited]
    if not living:
        return None
    chosen = max(living, key=lambda waiter: waiter.task.scheduling.priority)
    del waiters[chosen]
    return chosen


async def _sleep(waiters: dict[Waiter, None], waiter: Waiter, deadline: Deadline | None) -> None:
    """What another thread has done for the waiter counts, even if a signal comes before it runs."""
    waiters[waiter] = None
    try:
        while not waiter.is_done:
            await sleep_on(Source(waiter.queue), end_of_sleep(deadline))
    except LinuxError:
        if not waiter.is_done:
            raise
    finally:
        waiters.pop(waiter, None)
