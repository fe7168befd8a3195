"""A vCPU thread's turns on the CPUs of its process: one CpuNumbers' runner, where its thread waits."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from aionoah.host.waiting import kernel_lock
from aionoah.process.cpu_numbers import SLICE_NS, CpuNumbers

if TYPE_CHECKING:
    from aionoah.process.rseq import Registration
    from aionoah.process.task import Task


class Turns:
    """Of one task. Under the kernel lock, which `take` lets go while it waits."""

    def __init__(self, task: "Task", leave: Callable[[], None]) -> None:
        """`leave` makes the guest leave, and take a turn anew with `must_end` set."""
        self.must_end = False  # others have waited long enough
        self.is_waiting = False
        self._task = task
        self._news = kernel_lock.condition()  # of its own: thousands of threads may wait
        self._leave = leave
        self._numbers = _numbers_of(task)

    @property
    def cpu(self) -> int:
        return self._task.cpu

    @cpu.setter
    def cpu(self, number: int) -> None:
        self._task.cpu = number

    @property
    def allowed_cpus(self) -> int:
        return self._task.scheduling.affinity

    def cpu_is_yours(self) -> None:
        self._news.notify()

    def look_again(self) -> None:
        """Something has come up that may end the waiting."""
        self._news.notify()

    def leave_cpu(self) -> None:
        self._leave()

    def take(self, is_interrupted: Callable[[], bool]) -> bool:
        """Go on with the number that it has, or get one; waiting ends with False where it is interrupted."""
        numbers = self._numbers
        if self.must_end:
            self.must_end = False
            numbers.release(self)
        if numbers.is_running(self) or numbers.acquire(self):
            return True
        self.is_waiting = True
        try:
            while not numbers.is_running(self) and not is_interrupted():
                self._news.wait()
        finally:
            self.is_waiting = False
        if is_interrupted():
            numbers.release(self)
            return False
        return True

    def is_undisturbed(self, area: "Registration") -> bool:
        """Whether nothing has happened since the last time that a sequence of the thread could notice."""
        was_alone = self._numbers.enter(self)
        is_undisturbed = was_alone and area.cpu == self.cpu and not area.is_disturbed
        area.is_disturbed = False
        return is_undisturbed

    def end(self) -> None:
        """The thread sleeps."""
        self._numbers.release(self)

    def close(self) -> None:
        """The thread ends, or has no sequences any more."""
        self._numbers.forget(self)


def _numbers_of(task: "Task") -> CpuNumbers:
    process = task.process
    if process.cpu_numbers is None:
        timers = task.kernel.timers

        def set_alarm(callback: Callable[[], None]) -> None:
            timers.schedule(time.monotonic_ns() + SLICE_NS, callback)

        process.cpu_numbers = CpuNumbers(set_alarm)
    return process.cpu_numbers
