"""Ends the test session when a test hangs, and says why: where every thread is, and what every guest is doing.

pytest's own `faulthandler_timeout` stands behind it, for hangs in which no Python code can run any more, not even this.
"""

import asyncio
import contextlib
import faulthandler
import gc
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from aionoah.linux import Linux
    from aionoah.process.task import Process
    from aionoah.vcpu_thread import VcpuThread


class Watchdog:
    """A thread that reports to `output` and calls `end` once a test has taken `patience_s`."""

    def __init__(self, patience_s: float, output: IO[str], end: Callable[[], None]) -> None:
        self._patience_s = patience_s
        self._output = output
        self._end = end
        self._changed = threading.Condition()
        self._test: str | None = None
        self._began = 0.0
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    @contextlib.contextmanager
    def watching(self, test: str) -> Iterator[None]:
        self._set(test)
        try:
            yield
        finally:
            self._set(None)

    def _set(self, test: str | None) -> None:
        with self._changed:
            self._test, self._began = test, time.monotonic()
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while True:
                if self._test is None:
                    self._changed.wait()
                elif (left := self._began + self._patience_s - time.monotonic()) > 0:
                    self._changed.wait(left)
                else:
                    break
            test = self._test
        print(f"\n{test} hangs after {self._patience_s} s", file=self._output)
        report(self._output)
        self._end()


def report(output: IO[str]) -> None:
    """Everything that may tell why nothing goes on. It takes no lock, since whoever has it may be what hangs."""
    for line in guests():
        print(line, file=output)
    output.flush()
    faulthandler.dump_traceback(output, all_threads=True)


def guests() -> Iterator[str]:
    """Each instance of Linux with its processes, threads and the tasks of its loop."""
    from aionoah.host.waiting import kernel_lock
    from aionoah.linux import Linux

    yield f"the kernel lock is {'taken' if kernel_lock.locked() else 'free'}"
    for thing in gc.get_objects():
        if isinstance(thing, Linux) and hasattr(thing, "_threads"):
            yield from _told(lambda linux=thing: _linux(linux))


def _told(tell: Callable[[], Iterator[str]]) -> Iterator[str]:
    """As much as can be told while everything may be changing."""
    try:
        yield from tell()
    except Exception:  # noqa: BLE001 - the rest of the report is worth more
        yield f"and then {traceback.format_exc()}"


def _linux(linux: "Linux") -> Iterator[str]:
    yield f"{linux}: {len(linux._threads.running)} threads, starting {linux._launches}"
    for process in list(linux.kernel.processes.values()):
        yield from _told(lambda process=process: _process(process))
    for thread in list(linux._threads.running):
        yield from _told(lambda thread=thread: _thread(thread))
    for task in asyncio.all_tasks(linux._loop):
        yield f"  {task}"
        for frame in task.get_stack(limit=8):
            yield f"    {frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}"


def _process(process: "Process") -> Iterator[str]:
    parent = process.parent.pid if process.parent is not None else None
    yield (
        f"  process {process.pid} {process.name!r} of {parent} in group {process.process_group}: threads "
        f"{sorted(process.tasks)}, vCPUs {process.cpus}, stop {process.stop.signal}, exit {process.exit_status}, "
        f"status {process.wait_status}, pending {process.signals.pending.bits:#x}"
    )


def _thread(thread: "VcpuThread") -> Iterator[str]:
    os_thread = thread._thread
    if os_thread is None:
        yield "  a thread that has not begun"
        return
    yield (
        f"  {os_thread.name} ({os_thread.native_id}, {'alive' if os_thread.is_alive() else 'ended'}): "
        f"attention {thread._needs_attention}, exiting {thread._is_exiting}, program {thread._program is not None}, "
        f"in guest {thread.is_in_guest}, turns {thread._turns}"
    )
    yield from _told(lambda: _host_side(os_thread.native_id))
    if hasattr(thread, "_task"):
        signals = thread.task.signals
        yield f"    blocked {signals.mask:#x}, pending {signals.pending.bits:#x}, exited {thread.task.has_exited}"
    if (call := thread._sleeping) is not None:
        waiter = call.waiter
        yield (
            f"    sleeps in {call._coroutine}: interrupted {call._is_interrupted}, abandoned {call._is_abandoned}, "
            f"woken {waiter.is_woken}, armed {waiter.on_wake is not None}, until {waiter.deadline_ns}, "
            f"on {waiter.source.queues} {waiter.source.readable} {waiter.source.writable}"
        )
    if (vcpu := thread._vcpu) is not None:
        yield f"    {vcpu.describe()}"


def _host_side(thread_id: int | None) -> Iterator[str]:
    """What the host's kernel says of a thread."""
    directory = Path(f"/proc/self/task/{thread_id}")
    for name in ("stat", "wchan", "syscall", "stack"):
        try:
            yield f"    {name}: {(directory / name).read_text().strip()}"
        except OSError as error:
            yield f"    {name}: {error.strerror}"


def original_stderr() -> IO[str]:
    """Standard error as it is now, before tests capture it."""
    return os.fdopen(os.dup(2), "w", buffering=1)


def give_up() -> None:
    """End without any clean-up, which might hang too."""
    os._exit(1)
