"""Contexts of asynchronous input and output: requests under way, and the ring of those that have ended.

The ring lies in memory that the program sees too: libaio and others take events out of it without a call. What the
program writes there is believed no further than it can do harm to itself. Source: Linux fs/aio.c.
"""

from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.aio import (
    AIO_RING_COMPAT_FEATURES,
    AIO_RING_INCOMPAT_FEATURES,
    AIO_RING_MAGIC,
    AioRing,
    IoEvent,
)
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.poll import Poll
from aionoah.fs.file import File, WouldBlock
from aionoah.host.errors import host_errors
from aionoah.host.waiting import Source, WaitQueue
from aionoah.memory.buffer import KernelBuffer

if TYPE_CHECKING:
    from collections.abc import Callable

    from aionoah.host.edges import HostEdges

_HEAD: Final = 8  # offsets in AioRing
_TAIL: Final = 12
_ONE: Final = (1).to_bytes(8, "little")


class Origin(NamedTuple):
    """What an event says of its request, and who else is told."""

    data: int
    address: int
    notified: File | None  # an eventfd, held


class AioContext:
    """One context. `close` is to be called at the end."""

    def __init__(self, memory: memoryview, number: int) -> None:
        """`memory`: zeros, for the ring."""
        self._memory = memory
        self._count = (len(memory) - AioRing.SIZE) // IoEvent.SIZE
        self.done = WaitQueue()
        self.polls: dict[PollRequest, None] = {}  # that wait; several may have come from one address
        self._pending = 0
        self.is_closed = False
        self.mapped_length = len(memory)  # bytes
        self.on_close: Callable[[], None] = self.close  # whoever made it may have more to give back
        ring = AioRing(
            *(number, self._count, 0, 0, AIO_RING_MAGIC),
            *(AIO_RING_COMPAT_FEATURES, AIO_RING_INCOMPAT_FEATURES, AioRing.SIZE),
        )
        memory[: AioRing.SIZE] = ring.pack()
        self._tail = 0

    @property
    def most(self) -> int:
        """Requests that one call may bring."""
        return self._count

    @property
    def _head(self) -> int:
        return int.from_bytes(self._memory[_HEAD : _HEAD + 4], "little") % self._count

    @property
    def waiting(self) -> int:
        """Events in the ring."""
        return (self._tail - self._head) % self._count

    def begin(self) -> None:
        """A request starts; it ends with `complete` or `give_up`. EAGAIN if its event might find no room."""
        if self._pending + self.waiting >= self._count - 1:
            raise LinuxError(Errno.EAGAIN)
        self._pending += 1

    def give_up(self) -> None:
        """A request was none."""
        self._pending -= 1

    def complete(self, origin: Origin, result: int) -> None:
        self._pending -= 1
        if not self.is_closed:
            at = AioRing.SIZE + self._tail * IoEvent.SIZE
            self._memory[at : at + IoEvent.SIZE] = IoEvent(origin.data, origin.address, result, 0).pack()
            self._tail = (self._tail + 1) % self._count
            self._memory[_TAIL : _TAIL + 4] = self._tail.to_bytes(4, "little")
        if origin.notified is not None:
            try:
                origin.notified.write_nowait(KernelBuffer(_ONE))
            except WouldBlock:
                pass  # its counter is as high as it gets
            finally:
                origin.notified.drop()
        self.done.wake()

    def take(self, limit: int) -> bytes:
        """At most `limit` events, one behind the other; they stay until `taken`."""
        count, head = min(limit, self.waiting), self._head
        start = AioRing.SIZE + head * IoEvent.SIZE
        first = min(count, self._count - head)
        data = bytes(self._memory[start : start + first * IoEvent.SIZE])
        rest = (count - first) * IoEvent.SIZE
        return data + bytes(self._memory[AioRing.SIZE : AioRing.SIZE + rest])

    def taken(self, count: int) -> None:
        head = (self._head + count) % self._count
        self._memory[_HEAD : _HEAD + 4] = head.to_bytes(4, "little")

    def find_poll(self, address: int) -> "PollRequest | None":
        """The oldest request that waits and has come from there."""
        return next((request for request in self.polls if request.address == address), None)

    @property
    def is_idle(self) -> bool:
        return not self._pending

    def close(self) -> None:
        """Nobody will ask any more. Requests that wait for something are given up, others end by themselves."""
        self.is_closed = True
        for request in list(self.polls):
            request.end(0)
        self._memory = memoryview(bytearray(AioRing.SIZE))
        self.done.wake()


class PollRequest:
    """A request that ends once something has happened to a file."""

    def __init__(
        self, context: AioContext, origin: Origin, file: File, events: int, edges: "HostEdges"
    ) -> None:
        self._context = context
        self._origin = origin
        self._file = file.hold()
        self._events = events | Poll.ERR | Poll.HUP
        self._edges = edges
        self._source = Source()

    @property
    def address(self) -> int:
        """Of the program's structure."""
        return self._origin.address

    def start(self) -> None:
        """LinuxError: EPERM for a descriptor of the host that cannot be waited for."""
        found = self._file.poll() & self._events
        if found:
            self._finish(found)
            return
        source = self._file.source(Poll(self._events))
        for fd in source.descriptors:
            with host_errors():
                self._edges.watch(fd, self, reading=fd in source.readable, writing=fd in source.writable)
        for queue in source.queues:
            queue.add(self)
        self._source = source
        self._context.polls[self] = None

    def notify(self) -> None:
        """The event names all that has come with what was wanted, as whoever wakes in Linux does."""
        found = self._file.poll()
        if found & self._events:
            normal = (Poll.RDNORM if found & self._events & Poll.IN else 0) | (
                Poll.WRNORM if found & self._events & Poll.OUT else 0
            )
            self.end(found & (self._events | normal))

    def end(self, found: int) -> None:
        """Stop waiting, with what has happened."""
        for queue in self._source.queues:
            queue.remove(self)
        for fd in self._source.descriptors:
            self._edges.forget(fd, self)
        del self._context.polls[self]
        self._finish(found)

    def _finish(self, found: int) -> None:
        self._file.drop()
        self._context.complete(self._origin, found)
