"""A process that dumps its core: one thread writes it, and the others stay where they are until that is done (core(5);
Linux fs/coredump.c: coredump_wait, do_coredump).

    takes a deadly signal ──begin──▶ all others are on their way ──write──▶ everybody ends

The others are told by a SIGKILL of their own, which ends whatever they sleep for. A SIGKILL from outside ends the dump.
"""

import contextlib
from typing import TYPE_CHECKING

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.ptrace import NT
from aionoah.abi.resource import RLIMIT
from aionoah.abi.signal import SIG
from aionoah.abi.wait import killed_status
from aionoah.host.waiting import Source, WaitQueue, sleep_on
from aionoah.process.coredump.file import (
    Interrupted,
    helper_arguments,
    open_core,
    require_alive,
    uninterrupted,
)
from aionoah.process.coredump.helper import PipedCore, open_helper
from aionoah.process.coredump.image import CoreFile, Full, Rests, Sink, write_image
from aionoah.process.coredump.notes import RegisterSets, mapped_files, note, process_info, thread_status
from aionoah.signals.info import SigInfo, from_kernel

if TYPE_CHECKING:
    from aionoah.process.task import Task


class CoreDump:
    """Of one process. All under the kernel lock."""

    def __init__(self, task: "Task", info: SigInfo) -> None:
        """`task` dies of the signal `info`, and writes the core."""
        self.task = task
        self._info = info
        self._threads: dict[Task, RegisterSets] = {}
        self._awaited: set[Task] = set()
        self._joined = WaitQueue()
        self._over = WaitQueue()
        self._is_over = False
        self._is_written = False

    @property
    def wait_status(self) -> int:
        """What the process ends with, once the dump is over."""
        return killed_status(self._info.si_signo, core=self._is_written)

    def begin(self) -> None:
        """From now on no thread goes back to its program."""
        process = self.task.process
        process.core_dump = self
        for other in process.tasks.values():
            if other is not self.task and not _has_left(other):
                self._awaited.add(other)
                other.signals.pending.add(from_kernel(SIG.KILL))
                other.signals.interrupt()

    def add(self, task: "Task", registers: RegisterSets) -> None:
        """A thread is out of its program."""
        self._threads[task] = registers
        self._awaited.discard(task)
        if not self._awaited:
            self._joined.wake()

    async def stay(self) -> None:
        """Sleep until the dump is over."""
        while not self._is_over:
            await _sleep(Source(self._over))

    async def write(self) -> None:
        """Write the core, if there can be a file for it."""
        try:
            await self._write()
        except Interrupted:
            self._is_written = False
        finally:
            self._is_over = True
            self._threads.clear()  # a zombie may be left for long
            self._over.wake()

    async def _write(self) -> None:
        task, process = self.task, self.task.process
        while self._awaited:
            self._awaited = {other for other in self._awaited if not _has_left(other)}
            if self._awaited:
                await _sleep(Source(self._joined, process.ended))
                require_alive(task)
        sink = await self._open()
        if sink is None:
            return
        self._is_written = True  # in part is enough
        rests = Rests(task)
        try:
            with contextlib.suppress(Full, LinuxError):
                await write_image(task, sink, await self._notes(rests), rests)
        finally:
            sink.close()
        await sink.settle()

    async def _open(self) -> Sink | None:
        """Where the core goes. Interrupted."""
        task, signal = self.task, self._info.si_signo
        if task.kernel.core_settings.is_piped:
            pipe = await open_helper(task, helper_arguments(task, signal))
            return PipedCore(task, pipe) if pipe is not None else None
        file = await open_core(task, signal)
        limit = task.process.limits.soft(RLIMIT.CORE)
        return CoreFile(task, file, limit) if file is not None else None

    async def _notes(self, rests: Rests) -> list[bytes]:
        """In Linux's order: the dying thread first, with what is of the process right behind its status."""
        task, found = self.task, []
        files = await uninterrupted(task, lambda: mapped_files(task))
        of_process = {
            NT.PRPSINFO: process_info(task),
            NT.SIGINFO: self._info.pack(),
            NT.AUXV: task.process.auxiliary_vector,
            **({NT.FILE: files} if files is not None else {}),
        }
        others = [other for other in self._threads if other is not task and not other.has_exited]
        for thread in (task, *others):
            registers = self._threads[thread]
            status = {NT.PRSTATUS: thread_status(thread, self._info.si_signo, registers)}
            known = {kind: data for kind, data in registers.items() if kind != NT.PRSTATUS}
            parts = status | (of_process if thread is task else {}) | known
            found += [note(kind, data) for kind, data in parts.items()]
            await rests.rest()
        return found


def _has_left(task: "Task") -> bool:
    """Who shows a tracer that it is about to end does not run any more either."""
    return task.has_exited or (task.tracing is not None and task.tracing.ends_with is not None)


async def _sleep(source: Source) -> None:
    """No signal ends it, but one may cut it short."""
    try:
        await sleep_on(source)
    except LinuxError as error:
        if error.errno is not Errno.ERESTARTSYS:
            raise
