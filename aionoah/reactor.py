"""Sleeping calls: what happens after a handler has decided to sleep.

The vCPU thread that has stepped the handler arms its `Waiter` and parks. Whoever has news for the waiter wakes the
thread, which steps the handler again, until it ends. A wait queue is woken by other kernel code, mostly another
guest's system call, and takes no turn of the event loop; the loop watches for all threads what the host has to
say: that descriptors are ready, and that a deadline has passed.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

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


class SleepingCall:
    """A system call that sleeps: a suspended handler, and the thread that is parked for it.

    Everything is called under the kernel lock. `interrupt` and `abandon` are asked for by any thread and act
    when the sleeper's own wakes of them.
    """

    def __init__(self, reactor: "Reactor", task: "Task", table: "SyscallTable", suspended: Suspended) -> None:
        self._coroutine, self.waiter, self._again = suspended
        self.task = task
        self._reactor = reactor
        self._table = table
        self._is_interrupted = False
        self._has_looked = False  # since it was interrupted
        self._is_abandoned = False
        self._parked = threading.Lock()  # free once there is news: the cheapest event there is
        self._parked.acquire()

    @property
    def arguments(self) -> Sequence[int] | None:
        """Of the call, as the words of their registers; None for a sleep outside of calls."""
        return self._again[2] if self._again is not None else None

    def interrupt(self) -> None:
        """A signal is there: the sleep ends with ERESTARTSYS, unless what it waits for has happened too."""
        self._is_interrupted = True
        self.waiter.notify()

    def abandon(self) -> None:
        """The task dies: the handler is closed and never returns."""
        self._is_abandoned = True
        self.waiter.notify()

    def finish(self) -> int | Outcome:
        """Park until there is news, step the handler, and so on until it ends; the kernel lock is free while
        the thread is parked. Returns and raises what SyscallTable.step does.
        """
        self._reactor.add(self)
        try:
            while True:
                self._sleep()
                if self._is_abandoned:
                    return Outcome.KEEP_REGISTERS
                result = self._step()
                if not isinstance(result, Suspended):
                    return result
                self._coroutine, self.waiter, self._again = result
        finally:
            self._coroutine.close()
            self._reactor.sleeping.discard(self)

    def _step(self) -> int | Outcome | Suspended:
        """Let the handler look whether it need not sleep any more, before a signal ends that (___wait_event); what a
        process that is about to be killed would only take from others, it does not look for.
        """
        thrown = None
        if self._is_interrupted:
            if self._has_looked or self.task.signals.is_dying:
                thrown = LinuxError(Errno.ERESTARTSYS)
                self._is_interrupted = False
            self._has_looked = not self._has_looked and thrown is None
        set_current(self.task)
        return self._table.step(self._coroutine, thrown, self._again)

    def _sleep(self) -> None:
        waiter = self.waiter
        if waiter.is_woken or self._is_interrupted or self._is_abandoned:
            return
        waiter.on_wake = self._wake  # wait queues know the waiter already
        self.task.is_sleeping = True
        if waiter.needs_host:
            with self._reactor.watching(waiter):
                self._park()
        else:
            self._park()

    def _wake(self) -> None:
        self.task.is_sleeping = False
        self._parked.release()

    def _park(self) -> None:
        kernel_lock.release()
        try:
            self._parked.acquire()
        finally:
            kernel_lock.acquire_in_turn()


class Reactor:
    """What one Linux instance has its event loop for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._thread_id = threading.get_ident()
        self.sleeping: set[SleepingCall] = set()
        self.timers = Timers(self._arm)
        self.edges = HostEdges(lambda fd: self._watch_always(fd, partial(self._edges_came, self.edges)))
        self._sleepers = HostEdges(
            lambda fd: self._watch_always(fd, partial(self._edges_came, self._sleepers)), only_data=True
        )
        self._timer: HostTimer | None = None  # made when the first deadline is
        self._clock: ClockWatch | None = None
        self._watched: list[int] = []  # descriptors of ours that the loop watches
        self._is_closed: asyncio.Future[None] = loop.create_future()
        self._is_over = False
        self._keeper = loop.create_task(self._keep())

    def call_soon(self, function: Callable[[], None]) -> None:
        """Run something on the loop, from whatever thread this is."""
        if threading.get_ident() == self._thread_id:
            self.loop.call_soon(function)
        else:
            self.loop.call_soon_threadsafe(function)

    async def _keep(self) -> None:
        """An application that ends its loop cancels all tasks: nobody could wake the guests any more."""
        try:
            await self._is_closed
        except asyncio.CancelledError:
            with kernel_lock:
                self._is_over = True
                for call in list(self.sleeping):
                    call.task.process.exit_group(SIG.KILL)
            raise

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

    # -- sleeps, under the kernel lock ---------------------------------------------------------------------

    def add(self, call: SleepingCall) -> None:
        self.sleeping.add(call)
        if self._is_over:
            call.task.process.exit_group(SIG.KILL)

    @contextlib.contextmanager
    def watching(self, waiter: Waiter) -> Iterator[None]:
        """While a waiter sleeps: it is notified of what the host says. The lock is held at both ends. OSError for
        what is no descriptor.
        """
        source, timer = waiter.source, None
        descriptors = source.descriptors
        try:
            if waiter.deadline_ns is not None:
                timer = self.timers.schedule(waiter.deadline_ns, waiter.notify)
            for fd in descriptors:
                reading, writing = fd in source.readable, fd in source.writable
                with contextlib.suppress(PermissionError):  # of files like /dev/null there is never news
                    self._sleepers.watch(fd, waiter, reading=reading, writing=writing)
            yield
        finally:
            if timer is not None:
                timer.cancel()
            for fd in descriptors:
                self._sleepers.forget(fd, waiter)

    async def _sleep(self, waiter: Waiter) -> None:
        """The application's own sleep, on the loop."""
        woken = self.loop.create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        with kernel_lock:
            if waiter.is_woken:
                return
            waiter.on_wake = lambda: self.call_soon(wake)
            with self.watching(waiter):
                kernel_lock.release()
                try:
                    await woken
                finally:
                    kernel_lock.acquire()

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
        if not self._is_closed.done():
            self._is_closed.set_result(None)
        with kernel_lock:
            while self._watched:
                self.loop.remove_reader(self._watched.pop())
            self.edges.close()
            self._sleepers.close()
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

    @staticmethod
    def _edges_came(edges: HostEdges) -> None:
        with kernel_lock:
            edges.dispatch()
