"""The event loop's half of a system call: what happens after a handler has decided to sleep.

The vCPU thread hands over the suspended coroutine and parks. Here, on the loop, the handler's `Waiter` is
armed (wait queues are already; host descriptors and the deadline need the loop) and, once it is woken, the
handler is stepped again under the kernel lock, until it ends and the thread can go on.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.signal import SIG
from aionoah.clocks.timers import Timers
from aionoah.host.edges import HostEdges
from aionoah.host.events import ClockWatch, HostTimer
from aionoah.host.waiting import Waiter, kernel_lock
from aionoah.process.current import set_current
from aionoah.syscalls.results import Outcome, Suspended

if TYPE_CHECKING:
    from aionoah.process.task import Task
    from aionoah.syscalls.dispatch import SyscallTable

T = TypeVar("T")
Result = int | Outcome | BaseException
"""A result register, the sentinel, the ERESTART error of a call that a signal interrupted, or our own bug."""


class SleepingCall:
    """A system call that sleeps: a coroutine on the loop, awaited by a parked thread.

    States: sleeping → finished, by `finish`, exactly once. `interrupt` and `abandon` are asked for under
    the kernel lock by any thread; they act on the loop, at the sleep.
    """

    def __init__(self, reactor: "Reactor", task: "Task", table: "SyscallTable", suspended: Suspended) -> None:
        self.coroutine: Coroutine[Waiter, None, Any] = suspended.coroutine
        self.waiter = suspended.waiter
        self._again = suspended.again
        self.result: Result = Outcome.KEEP_REGISTERS
        self.is_interrupted = False
        self.is_abandoned = False
        self._reactor = reactor
        self._task = task
        self._table = table
        self._finished = threading.Lock()
        self._finished.acquire()

    # -- on the vCPU thread --------------------------------------------------------------------------

    def wait(self) -> Result:
        """Park until the call has ended. Without the kernel lock."""
        self._finished.acquire()  # released by finish(); a lock is the cheapest one-shot event
        return self.result

    # -- under the kernel lock ----------------------------------------------------------------------------

    def interrupt(self) -> None:
        """A signal is there: the sleep ends with ERESTARTSYS."""
        self.is_interrupted = True
        self.waiter.notify()

    def abandon(self) -> None:
        """The task dies: the handler is closed and never returns."""
        self.is_abandoned = True
        self.waiter.notify()

    def kill(self) -> None:
        """The whole process dies of it."""
        self._task.process.exit_group(SIG.KILL)
        self.is_abandoned = True
        self.step()

    def fail(self, bug: Exception) -> None:
        """The sleep itself went wrong."""
        self.coroutine.close()
        self.finish(bug)

    def step(self) -> bool:
        """Run the handler to its next sleep or its end; True if it has ended."""
        if self.is_abandoned:
            self.coroutine.close()
            self.finish(Outcome.KEEP_REGISTERS)
            return True
        thrown = None
        if self.is_interrupted:
            self.is_interrupted = False
            thrown = LinuxError(Errno.ERESTARTSYS)
        set_current(self._task)
        try:
            result = self._table.step(self.coroutine, thrown, self._again)
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            self.finish(error)
            return True
        if isinstance(result, Suspended):
            self.coroutine, self.waiter, self._again = result
            return False
        self.finish(result)
        return True

    def finish(self, result: Result) -> None:
        self.result = result
        self._finished.release()


class Reactor:
    """Sleeping calls of one Linux instance on one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._thread_id = threading.get_ident()
        self.tasks: set[asyncio.Task[None]] = set()  # one for each call that sleeps
        self._readers: dict[int, list[Waiter]] = {}
        self._writers: dict[int, list[Waiter]] = {}
        self.timers = Timers(self._arm)
        self.edges = HostEdges(lambda fd: self._watch_always(fd, self._edges_came))
        self._timer: HostTimer | None = None  # made when the first deadline is
        self._clock: ClockWatch | None = None
        self._watched: list[int] = []  # descriptors of ours that the loop watches

    def hand_over(self, task: "Task", table: "SyscallTable", suspended: Suspended) -> SleepingCall:
        """Take a suspended handler to the loop. On the vCPU thread, under the kernel lock."""
        call = SleepingCall(self, task, table, suspended)
        self.loop.call_soon_threadsafe(self._start, call)
        return call

    def call_soon(self, function: Callable[[], None]) -> None:
        """Run something on the loop, from whatever thread this is."""
        if threading.get_ident() == self._thread_id:
            self.loop.call_soon(function)
        else:
            self.loop.call_soon_threadsafe(function)

    async def run(self, coroutine: Coroutine[Waiter, None, T]) -> T:
        """Kernel code for the application itself, from its loop: no task is the current one."""
        step: Callable[[], Waiter] = partial(coroutine.send, None)
        while True:
            with kernel_lock:
                set_current(None)
                try:
                    waiter = step()
                except StopIteration as stop:
                    result: T = stop.value
                    return result
            try:
                await self._sleep(waiter)
                step = partial(coroutine.send, None)
            except asyncio.CancelledError as cancelled:
                step = partial(coroutine.throw, cancelled)

    # -- deadlines and edges of host descriptors, under the kernel lock -------------------------------------

    def _arm(self, deadline_ns: int) -> None:
        """The timers ask to be called at a time. On any thread, and mostly without waking the loop."""
        if self._timer is None:
            self._timer, self._clock = HostTimer(), ClockWatch()
            self._watch_always(self._timer.fileno(), self._time_has_come)
            self._watch_always(self._clock.fileno(), self._clock_was_set)
        self._timer.set(deadline_ns)

    def _watch_always(self, fd: int, callback: Callable[[], None]) -> None:
        self._watched.append(fd)

        def start() -> None:
            if fd in self._watched:
                self.loop.add_reader(fd, callback)

        self.call_soon(start)

    def close(self) -> None:
        """Nothing sleeps any more. On the loop."""
        with kernel_lock:
            while self._watched:
                self.loop.remove_reader(self._watched.pop())
            self.edges.close()
            for opened in (self._timer, self._clock):
                if opened is not None:
                    opened.close()
            self._timer = self._clock = None

    # -- on the loop ---------------------------------------------------------------------------------------

    def _time_has_come(self) -> None:
        with kernel_lock:
            if self._timer is not None:
                self._timer.acknowledge()
                self.timers.expire()

    def _clock_was_set(self) -> None:
        with kernel_lock:
            if self._clock is not None and self._clock.acknowledge():
                self.timers.clock_set.wake()

    def _edges_came(self) -> None:
        with kernel_lock:
            self.edges.dispatch()

    def _start(self, call: SleepingCall) -> None:
        running = self.loop.create_task(self._finish_call(call))
        self.tasks.add(running)
        running.add_done_callback(lambda _: self._has_finished(running, call))

    def _has_finished(self, running: "asyncio.Task[None]", call: SleepingCall) -> None:
        self.tasks.discard(running)
        if running.cancelled():  # the application ends its loop: nobody could wake the guest any more
            with kernel_lock:
                call.kill()

    async def _finish_call(self, call: SleepingCall) -> None:
        has_ended = False
        while not has_ended:
            try:
                await self._sleep(call.waiter)
            except Exception as bug:  # noqa: BLE001 - raised again by the thread that waits
                with kernel_lock:
                    call.fail(bug)
                return
            with kernel_lock:
                has_ended = call.step()

    async def _sleep(self, waiter: Waiter) -> None:
        """Wait for a waiter's queues, descriptors or deadline, whichever comes first."""
        woken = self.loop.create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        timer = None
        with kernel_lock:
            if waiter.is_woken:
                return
            waiter.on_wake = lambda: self.call_soon(wake)
            if waiter.deadline_ns is not None:
                timer = self.timers.schedule(waiter.deadline_ns, wake)
        try:
            self._watch(waiter)
            await woken
        finally:
            if timer is not None:
                with kernel_lock:
                    timer.cancel()
            self._forget(waiter)

    def _watch(self, waiter: Waiter) -> None:
        for fd in waiter.source.readable:
            self._listen(waiter, self._readers, fd, self.loop.add_reader)
        for fd in waiter.source.writable:
            self._listen(waiter, self._writers, fd, self.loop.add_writer)

    def _listen(
        self, waiter: Waiter, waiting: dict[int, list[Waiter]], fd: int, add: Callable[..., None]
    ) -> None:
        if fd not in waiting:
            try:
                add(fd, self._ready, waiting, fd)
            except PermissionError:  # epoll's word for files like /dev/null: there will never be news of it
                return
        waiting.setdefault(fd, []).append(waiter)

    def _forget(self, waiter: Waiter) -> None:
        for fd in waiter.source.readable:
            if _is_last(self._readers, fd, waiter):
                self.loop.remove_reader(fd)
        for fd in waiter.source.writable:
            if _is_last(self._writers, fd, waiter):
                self.loop.remove_writer(fd)

    @staticmethod
    def _ready(waiting: dict[int, list[Waiter]], fd: int) -> None:
        """A host descriptor is ready: whoever comes first gets it, the others look and sleep again."""
        with kernel_lock:
            for waiter in waiting[fd]:
                waiter.notify()


def _is_last(waiting: dict[int, list[Waiter]], fd: int, waiter: Waiter) -> bool:
    """Take a waiter out, which may never have got in; whether nobody waits for the descriptor any more."""
    waiters = waiting.get(fd, [])
    if waiter not in waiters:
        return False
    waiters.remove(waiter)
    if waiters:
        return False
    del waiting[fd]
    return True
