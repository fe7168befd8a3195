"""Which CPU the threads of a process are on, where it matters: for restartable sequences (rseq(2)).

They rely on no other thread's being on the same CPU meanwhile. Which CPU of the host a thread runs on nobody tells
us, nor when it loses it. So the numbers are ours: a thread has one for itself until it sleeps, and where more
threads want to run than there are numbers they take turns.
"""

from collections.abc import Callable
from typing import Final, Protocol

SLICE_NS: Final = 4_000_000
NO_CPU: Final = -1


class Runner(Protocol):
    """A thread as its numbers see it."""

    cpu: int  # the number that it has, or had last; NO_CPU at first

    @property
    def allowed_cpus(self) -> int:
        """A bit for each number that it may have; one at least."""
        ...

    def cpu_is_yours(self) -> None:
        """The runner waited for a number, and `cpu` is it."""
        ...

    def leave_cpu(self) -> None:
        """Another one has waited long enough: leave the guest, and `release`."""
        ...


class CpuNumbers:
    """The numbers of one process. Everything is called under the kernel lock."""

    def __init__(self, set_alarm: Callable[[Callable[[], None]], None]) -> None:
        """`set_alarm` has a function called after SLICE_NS."""
        self._set_alarm = set_alarm
        self._runners: dict[int, Runner] = {}  # by number, in the order in which they have got it
        self._last: dict[int, Runner] = {}  # who has gone on with the number last
        self._waiting: dict[Runner, None] = {}
        self._is_alarm_set = False

    def acquire(self, runner: Runner) -> bool:
        """A number before the guest is entered, if possible the one that it had. False: it waits for one."""
        mine, allowed = runner.cpu, runner.allowed_cpus
        if mine not in self._runners and mine != NO_CPU and allowed >> mine & 1:
            self._give(mine, runner)
            return True
        free = [n for n in _members(allowed) if n not in self._runners]
        if not free:
            self._waiting[runner] = None
            self._watch()
            return False
        self._give(free[0], runner)
        return True

    def is_running(self, runner: Runner) -> bool:
        """Whether it has a number."""
        return self._runners.get(runner.cpu) is runner

    def is_wanted(self, number: int) -> bool:
        """Whether a thread waits that could go on with this number."""
        return any(waiting.allowed_cpus >> number & 1 for waiting in self._waiting)

    def release(self, runner: Runner) -> None:
        """It is not in the guest any more, or does not want to be there. Again is the same as once."""
        self._waiting.pop(runner, None)
        if not self.is_running(runner):
            return
        del self._runners[runner.cpu]
        for waiting in self._waiting:
            if waiting.allowed_cpus >> runner.cpu & 1:
                del self._waiting[waiting]
                self._give(runner.cpu, waiting)
                waiting.cpu_is_yours()
                return

    def forget(self, runner: Runner) -> None:
        """The thread has ended."""
        self.release(runner)
        self._last = {number: last for number, last in self._last.items() if last is not runner}

    def enter(self, runner: Runner) -> bool:
        """It goes on with its number; whether it was the last one to do so, too."""
        last = self._last.get(runner.cpu)
        self._last[runner.cpu] = runner
        return last is runner

    def _give(self, number: int, runner: Runner) -> None:
        self._runners[number] = runner
        runner.cpu = number

    def _watch(self) -> None:
        if not self._is_alarm_set:
            self._is_alarm_set = True
            self._set_alarm(self._time_is_up)

    def _time_is_up(self) -> None:
        """For each that waits, let the one go that has been longest on a CPU that it may have."""
        self._is_alarm_set = False
        leaving: set[int] = set()
        for waiting in self._waiting:
            choice = (n for n in self._runners if waiting.allowed_cpus >> n & 1 and n not in leaving)
            number = next(choice, None)
            if number is not None:
                leaving.add(number)
        for number in leaving:
            self._runners[number].leave_cpu()
        if self._waiting:
            self._watch()


def _members(mask: int) -> list[int]:
    return [number for number in range(mask.bit_length()) if mask >> number & 1]
