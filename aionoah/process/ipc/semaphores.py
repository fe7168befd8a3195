"""System V semaphores (semget(2), semop(2), semctl(2); Linux ipc/sem.c).

A group of operations is done as a whole or not at all. One that cannot be done yet waits in the set's list, and
whoever changes a semaphore does it on the waiter's behalf as soon as it can be done.
"""

from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.ipc import IPC, SEM_UNDO, Seminfo
from aionoah.fs.file import has_passed
from aionoah.host.waiting import Source, WaitQueue, sleep_on
from aionoah.process.ipc.ids import IpcObject, IpcTable, now
from aionoah.process.ipc.undo import UndoList

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aionoah.process.credentials import Credentials
    from aionoah.process.ipc.limits import IpcLimits
    from aionoah.process.task import Task

VALUE_MAX: Final = 32767  # SEMVMX, and SEMAEM of what is to be undone
_UNDO_SIZE: Final = 20  # SEMUSZ
_MODE: Final = 0o777


class Operation(NamedTuple):
    """One of a group; `flags` are IPC_NOWAIT and SEM_UNDO."""

    number: int
    change: int
    flags: int


class Semaphore:
    """One of a set."""

    __slots__ = ("pid", "value")

    def __init__(self) -> None:
        self.value = 0
        self.pid = 0  # who changed it last


class Waiter:
    """A thread with a group of operations that cannot be done yet."""

    __slots__ = ("blocking", "error", "is_done", "operations", "queue", "task", "undo")

    def __init__(self, task: "Task", operations: "Sequence[Operation]", undo: UndoList | None) -> None:
        self.task = task
        self.operations = operations
        self.undo = undo
        self.blocking = operations[0]  # the first that cannot be done
        self.queue = WaitQueue()
        self.is_done = False
        self.error: Errno | None = None

    def finish(self, error: Errno | None = None) -> None:
        self.is_done, self.error = True, error
        self.queue.wake()


class SemaphoreSet(IpcObject):
    """One set."""

    def __init__(self, key: int, mode: int, count: int, credentials: "Credentials") -> None:
        super().__init__(key, mode & _MODE, credentials)
        self.semaphores = [Semaphore() for _ in range(count)]
        self.operated = 0  # when, in seconds since the epoch
        self.waiters: dict[Waiter, None] = {}
        self.undo_lists: dict[UndoList, None] = {}

    def __len__(self) -> int:
        return len(self.semaphores)

    def at(self, number: int) -> Semaphore:
        """EINVAL for a semaphore that is not of the set."""
        if not 0 <= number < len(self.semaphores):
            raise LinuxError(Errno.EINVAL)
        return self.semaphores[number]

    # -- values -----------------------------------------------------------------------------------------

    def set_value(self, number: int, value: int, pid: int) -> None:
        """SETVAL, after which nothing of it is left to undo. EINVAL."""
        semaphore = self.at(number)
        semaphore.value, semaphore.pid = value, pid
        for undo in self.undo_lists:
            undo.adjustments[self][number] = 0
        self.changed = now()
        self._let_go_on()

    def set_all(self, values: "Sequence[int]", pid: int) -> None:
        """SETALL."""
        for semaphore, value in zip(self.semaphores, values, strict=True):
            semaphore.value, semaphore.pid = value, pid
        for undo in self.undo_lists:
            undo.adjustments[self] = [0] * len(self)
        self.changed = now()
        self._let_go_on()

    def count_waiting(self, number: int, *, for_zero: bool) -> int:
        """GETZCNT and GETNCNT: threads whose next operation waits for this semaphore. EINVAL."""
        self.at(number)
        blocking = [waiter.blocking for waiter in self.waiters]
        return sum(one.number == number and (one.change == 0) == for_zero for one in blocking)

    # -- operations -------------------------------------------------------------------------------------

    async def operate(
        self, task: "Task", operations: "Sequence[Operation]", undo: UndoList | None, deadline_ns: int | None
    ) -> None:
        """Do a group, sleeping until it can be done. ERANGE, EAGAIN, EIDRM, EINTR.

        `deadline_ns` is of time.monotonic_ns; after it EAGAIN.
        """
        waiter = Waiter(task, operations, undo)
        if not self._try(waiter):
            self.waiters[waiter] = None
            try:
                await self._sleep(waiter, deadline_ns)
            finally:
                self.waiters.pop(waiter, None)
        elif waiter.error is None:
            self.operated = now()
            if any(one.change for one in operations):
                self._let_go_on()
        if waiter.error is not None:
            raise LinuxError(waiter.error)

    @staticmethod
    async def _sleep(waiter: Waiter, deadline_ns: int | None) -> None:
        """What has been done on the waiter's behalf counts, even if a signal comes before it runs."""
        try:
            while not waiter.is_done:
                if has_passed(deadline_ns):
                    waiter.finish(Errno.EAGAIN)
                else:
                    await sleep_on(Source(waiter.queue), deadline_ns)
        except LinuxError:
            if not waiter.is_done:
                waiter.finish(Errno.EINTR)

    def _try(self, waiter: Waiter) -> bool:
        """Do a waiter's group if it can be done, or has failed; false if it has to wait."""
        values: dict[int, int] = {}
        undone: dict[int, int] = {}
        for operation in waiter.operations:
            number, change, flags = operation
            value = values.get(number, self.semaphores[number].value)
            if (value and not change) or value + change < 0:
                waiter.blocking = operation
                if flags & IPC.NOWAIT:
                    waiter.finish(Errno.EAGAIN)
                return waiter.is_done
            values[number] = value + change
            if flags & SEM_UNDO and waiter.undo is not None:
                undone[number] = undone.get(number, waiter.undo.of(self)[number]) - change
            if value + change > VALUE_MAX or not -VALUE_MAX - 1 <= undone.get(number, 0) <= VALUE_MAX:
                waiter.finish(Errno.ERANGE)
                return True
        for number, value in values.items():
            self.semaphores[number].value = value
            self.semaphores[number].pid = waiter.task.process.pid
        if waiter.undo is not None:
            adjustments = waiter.undo.of(self)
            for number, adjustment in undone.items():
                adjustments[number] = adjustment
        waiter.finish()
        return True

    def _let_go_on(self) -> None:
        """A value has changed: do all that can be done now, in the order in which it was asked for."""
        has_changed = bool(self.waiters)
        while has_changed:
            has_changed = False
            for waiter in list(self.waiters):
                if waiter.task.has_exited or not self._try(waiter):
                    continue
                del self.waiters[waiter]
                if waiter.error is None:
                    self.operated = now()
                    if any(one.change for one in waiter.operations):
                        has_changed = True
                        break

    def undo(self, undo: UndoList, changes: "Sequence[int]", pid: int) -> None:
        """A process ends: its operations with SEM_UNDO are taken back, as far as that is possible."""
        del self.undo_lists[undo]
        for semaphore, change in zip(self.semaphores, changes, strict=True):
            if change:
                semaphore.value = min(max(semaphore.value + change, 0), VALUE_MAX)
                semaphore.pid = pid
        self.operated = now()
        self._let_go_on()

    def remove(self) -> None:
        """IPC_RMID: whoever waits gets EIDRM."""
        for undo in self.undo_lists:
            del undo.adjustments[self]
        self.undo_lists.clear()
        waiters, self.waiters = self.waiters, {}
        for waiter in waiters:
            waiter.finish(Errno.EIDRM)


class SemaphoreSets:
    """All sets."""

    def __init__(self, limits: "IpcLimits") -> None:
        self.objects: IpcTable[SemaphoreSet] = IpcTable()
        self.semaphore_count = 0
        self.limits = limits

    def get(self, key: int, count: int, flags: int, task: "Task") -> SemaphoreSet:
        """semget(2). ENOENT, EEXIST, EACCES, EINVAL, ENOSPC."""
        if not 0 <= count <= self.limits.semmsl:
            raise LinuxError(Errno.EINVAL)

        def check(found: SemaphoreSet) -> None:
            if count > len(found):
                raise LinuxError(Errno.EINVAL)

        return self.objects.get(
            key, flags, task.credentials, lambda: self._make(key, count, flags, task), check
        )

    def _make(self, key: int, count: int, flags: int, task: "Task") -> SemaphoreSet:
        if not count:
            raise LinuxError(Errno.EINVAL)
        if self.semaphore_count + count > self.limits.semmns:
            raise LinuxError(Errno.ENOSPC)
        made = self.objects.add(SemaphoreSet(key, flags, count, task.credentials), self.limits.semmni)
        self.semaphore_count += count
        return made

    def remove(self, semaphores: SemaphoreSet) -> None:
        self.objects.remove(semaphores)
        self.semaphore_count -= len(semaphores)
        semaphores.remove()

    def info(self, *, of_used: bool) -> Seminfo:
        """IPC_INFO, or SEM_INFO, which has counts in two fields."""
        limits = self.limits
        size = len(self.objects) if of_used else _UNDO_SIZE
        adjustment = self.semaphore_count if of_used else VALUE_MAX
        return Seminfo(
            semmap=_SEMMNS,
            semmni=limits.semmni,
            semmns=limits.semmns,
            semmnu=_SEMMNS,
            semmsl=limits.semmsl,
            semopm=limits.semopm,
            semume=_SEMUME,
            semusz=size,
            semvmx=VALUE_MAX,
            semaem=adjustment,
        )


_SEMMNS: Final = 1024000000  # whatever the limits are now
_SEMUME: Final = 500
