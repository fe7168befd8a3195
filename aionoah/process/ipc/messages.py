"""System V message queues (msgget(2), msgop(2), msgctl(2); Linux ipc/msg.c)."""

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.ipc import MSGRCV, Msginfo, MsqidDs
from aionoah.abi.stat import S
from aionoah.abi.words import INT_MAX
from aionoah.host.waiting import Source, WaitQueue, sleep_on
from aionoah.process.ipc.ids import READ, WRITE, IpcObject, IpcTable, now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aionoah.process.credentials import Credentials
    from aionoah.process.ipc.limits import IpcLimits
    from aionoah.process.task import Task

_MODE: Final = S.IRWXUGO
_LONG_MAX: Final = (1 << 63) - 1
# What the INFO commands say of limits that there are no more (linux/msg.h).
_MAP: Final = 16384
_SEGMENT_SIZE: Final = 16
_SEGMENTS: Final = 0xFFFF
_POOL: Final = 512000


class Message(NamedTuple):
    """One message."""

    type: int  # positive
    text: bytes


class Search(Enum):
    """By what a message is chosen."""

    ANY = "the first"
    EQUAL = "the first of a type"
    NOT_EQUAL = "the first of another type"
    UP_TO = "the first of the lowest type that is not above one"
    NUMBER = "the one with a number, counted from 0"


class Wanted(NamedTuple):
    """What a receiver takes."""

    search: Search
    number: int  # a type, or with NUMBER a position
    size: int  # bytes that there is room for
    may_be_cut: bool

    @classmethod
    def of(cls, number: int, size: int, flags: int) -> "Wanted":
        """The arguments of msgrcv (convert_mode)."""
        may_be_cut = bool(flags & MSGRCV.NOERROR)
        if flags & MSGRCV.COPY:
            return cls(Search.NUMBER, number, size, may_be_cut)
        if number == 0:
            return cls(Search.ANY, 0, size, may_be_cut)
        if number < 0:
            return cls(Search.UP_TO, min(-number, _LONG_MAX), size, may_be_cut)
        search = Search.NOT_EQUAL if flags & MSGRCV.EXCEPT else Search.EQUAL
        return cls(search, number, size, may_be_cut)

    def accepts(self, message: Message) -> bool:
        if self.search is Search.EQUAL:
            return message.type == self.number
        if self.search is Search.NOT_EQUAL:
            return message.type != self.number
        return self.search is not Search.UP_TO or message.type <= self.number

    def choose(self, messages: "Sequence[Message]") -> int | None:
        """The position of the message that is meant; None if there is none."""
        if self.search is Search.NUMBER:
            return self.number if 0 <= self.number < len(messages) else None
        found = [position for position, message in enumerate(messages) if self.accepts(message)]
        if self.search is Search.UP_TO:
            return min(found, key=lambda position: messages[position].type, default=None)
        return found[0] if found else None

    def fits(self, message: Message) -> bool:
        return len(message.text) <= self.size or self.may_be_cut


class Receiver:
    """A thread that waits for a message."""

    __slots__ = ("error", "message", "queue", "task", "wanted")

    def __init__(self, task: "Task", wanted: Wanted) -> None:
        self.task = task
        self.wanted = wanted
        self.queue = WaitQueue()
        self.message: Message | None = None
        self.error: Errno | None = None  # EAGAIN: look again


class MessageQueue(IpcObject):
    """One queue."""

    def __init__(self, key: int, mode: int, capacity: int, credentials: "Credentials") -> None:
        super().__init__(key, mode & _MODE, credentials)
        self.messages: list[Message] = []
        self.capacity = capacity  # bytes, and also messages, as empty ones are not free
        self.size = 0  # bytes
        self.sent = self.received = 0  # when last, in seconds since the epoch
        self.sender = self.receiver = 0  # process ids of the last ones
        self._receivers: dict[Receiver, None] = {}
        self._has_room = WaitQueue()

    # -- sending ----------------------------------------------------------------------------------------

    async def send(self, task: "Task", message: Message, *, may_wait: bool) -> None:
        """EACCES, EAGAIN, EIDRM; a signal without a handler lets it go on."""
        while True:
            self.require(WRITE, task.credentials)
            if self._fits(message):
                break
            if not may_wait:
                raise LinuxError(Errno.EAGAIN)
            await _sleep(self._has_room)
            if self.is_removed:
                raise LinuxError(Errno.EIDRM)
        self.sender, self.sent = task.process.pid, now()
        if not self._hand_over(message):
            self.messages.append(message)
            self.size += len(message.text)

    def _fits(self, message: Message) -> bool:
        return self.size + len(message.text) <= self.capacity and len(self.messages) < self.capacity

    def _hand_over(self, message: Message) -> bool:
        """Give a message to the first who waits for it. Those who have no room for it are told so."""
        for receiver in list(self._receivers):
            if receiver.task.has_exited or not receiver.wanted.accepts(message):
                continue
            del self._receivers[receiver]
            if receiver.wanted.fits(message):
                receiver.message = message
                self._note_receiver(receiver.task)
            else:
                receiver.error = Errno.E2BIG
            receiver.queue.wake()
            if receiver.message is not None:
                return True
        return False

    # -- receiving --------------------------------------------------------------------------------------

    async def receive(self, task: "Task", wanted: Wanted, *, may_wait: bool) -> Message:
        """EACCES, E2BIG, ENOMSG, EIDRM."""
        while True:
            self.require(READ, task.credentials)
            position = wanted.choose(self.messages)
            if position is not None:
                return self._take(task, wanted, position)
            if not may_wait:
                raise LinuxError(Errno.ENOMSG)
            receiver = Receiver(task, wanted)
            await self._wait(receiver)
            if receiver.message is not None:
                return receiver.message
            if receiver.error is not None and receiver.error is not Errno.EAGAIN:
                raise LinuxError(receiver.error)

    def _take(self, task: "Task", wanted: Wanted, position: int) -> Message:
        message = self.messages[position]
        if not wanted.fits(message):
            raise LinuxError(Errno.E2BIG)
        if wanted.search is Search.NUMBER:  # MSG_COPY: it stays, and cannot be cut
            if len(message.text) > wanted.size:
                raise LinuxError(Errno.EINVAL)
            return message
        del self.messages[position]
        self.size -= len(message.text)
        self._note_receiver(task)
        self._has_room.wake()
        return message

    def _note_receiver(self, task: "Task") -> None:
        self.receiver, self.received = task.process.pid, now()

    async def _wait(self, receiver: Receiver) -> None:
        """A message that has been handed over counts, even if a signal comes before the thread runs."""
        self._receivers[receiver] = None
        try:
            while receiver.message is None and receiver.error is None:
                await _sleep(receiver.queue)
        except LinuxError:
            if receiver.message is None and receiver.error is None:
                raise
        finally:
            self._receivers.pop(receiver, None)

    # -- control ----------------------------------------------------------------------------------------

    def status(self) -> MsqidDs:
        return MsqidDs(
            self.permissions(),
            self.sent,
            self.received,
            self.changed,
            self.size,
            len(self.messages),
            self.capacity,
            self.sender,
            self.receiver,
        )

    def change(self, wanted: MsqidDs, credentials: "Credentials", most: int) -> None:
        """IPC_SET. `most` is what the capacity may be without CAP_SYS_RESOURCE. EPERM, EINVAL."""
        if wanted.msg_qbytes > most:
            credentials.require(CAP.SYS_RESOURCE)
        self.change_permissions(wanted.msg_perm)
        self.capacity = wanted.msg_qbytes
        self._end_waits(Errno.EAGAIN)

    def _end_waits(self, error: Errno) -> None:
        receivers, self._receivers = self._receivers, {}
        for receiver in receivers:
            receiver.error = error
            receiver.queue.wake()
        self._has_room.wake()

    def remove(self) -> None:
        """IPC_RMID: whoever waits gets EIDRM."""
        self._end_waits(Errno.EIDRM)


async def _sleep(queue: WaitQueue) -> None:
    """Such waits are begun again after a signal only if no handler runs (signal(7))."""
    try:
        await sleep_on(Source(queue))
    except LinuxError as error:
        if error.errno is Errno.ERESTARTSYS:
            raise LinuxError(Errno.ERESTARTNOHAND) from None
        raise


class MessageQueues:
    """All queues."""

    def __init__(self, limits: "IpcLimits") -> None:
        self.objects: IpcTable[MessageQueue] = IpcTable()
        self.limits = limits

    def get(self, key: int, flags: int, task: "Task") -> MessageQueue:
        """msgget(2). ENOENT, EEXIST, EACCES, ENOSPC."""

        def make() -> MessageQueue:
            made = MessageQueue(key, flags, self.limits.msgmnb, task.credentials)
            return self.objects.add(made, self.limits.msgmni)

        return self.objects.get(key, flags, task.credentials, make, lambda _found: None)

    def remove(self, queue: MessageQueue) -> None:
        self.objects.remove(queue)
        queue.remove()

    def info(self, *, of_used: bool) -> Msginfo:
        """IPC_INFO, or MSG_INFO, which has counts in three fields."""
        limits, queues = self.limits, list(self.objects)
        pool, headers, size = _POOL, _MAP, _MAP
        if of_used:
            pool = len(queues)
            headers = sum(len(queue.messages) for queue in queues)
            size = min(sum(queue.size for queue in queues), INT_MAX)
        return Msginfo(
            msgpool=pool,
            msgmap=headers,
            msgmax=limits.msgmax,
            msgmnb=limits.msgmnb,
            msgmni=limits.msgmni,
            msgssz=_SEGMENT_SIZE,
            msgtql=size,
            msgseg=_SEGMENTS,
        )
