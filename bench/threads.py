"""Threads of one guest: their life, futexes, signals, and whether two of them use two processors."""

import threading
import time
from statistics import median
from typing import Final

from bench.calls import exit_cost
from bench.compare import Case, Result, compare
from bench.measure import Row, paired_ratio, quantity
from bench.programs import Programs

_HOPS: Final = 2000
_PICO: Final = 1e-3  # these programs report picoseconds
_CREATE: Final = Case("thread create and join", ("create", "200"), "≤ 0.3 ms")
_PINGPONG: Final = Case("futex ping-pong, there and back", ("pingpong", "500"), "≤ 3 thread hops")
_MUTEX: Final = Case("pthread mutex, lock and unlock", ("mutex", "1000000"), "no trap")
_SIGNAL: Final = Case("signal to oneself, with handler", ("signal", "200"), "≤ 3 exits")
_ONE: Final = Case("", ("one", "200000000"), "")
_TWO: Final = Case("two computing threads against one", ("two", "200000000"), "≥ 1.8")
_ONE_CALLS: Final = Case("", ("one-calls", "2000"), "")
_TWO_CALL: Final = Case("two threads that call stat against one", ("two-call", "2000"), "")


async def rows(programs: Programs) -> list[Row]:
    core = programs.core_test()
    async with programs.linux() as linux:

        async def run(case: Case) -> Result:
            result = await compare(programs, linux, "threads", case)
            return Result(*([value * _PICO for value in values] for values in result))

        create, pingpong = await run(_CREATE), await run(_PINGPONG)
        hop = median(_hop() for _ in range(5))
        mutex, signals, exit_time = await run(_MUTEX), await run(_SIGNAL), exit_cost(core)
        one, two = await run(_ONE), await run(_TWO)
        one_calls, two_call = await run(_ONE_CALLS), await run(_TWO_CALL)
    return [
        create.row(_CREATE),
        pingpong.row(_PINGPONG),
        _times(median(pingpong.guest), hop, "a thread hop in Python", "≤ 3"),
        mutex.row(_MUTEX),
        signals.row(_SIGNAL),
        _times(median(signals.guest), exit_time, "leaving the guest", "≤ 3"),
        _gain(_TWO, one, two),
        _gain(_TWO_CALL, one_calls, two_call),
    ]


def _gain(case: Case, one: Result, two: Result) -> Row:
    ours, theirs = paired_ratio(one.guest, two.guest), paired_ratio(one.native, two.native)
    return Row(case.what, f"{ours:.2f}", f"{theirs:.2f} native", "", case.target)


def _times(value: float, unit: float, what: str, target: str) -> Row:
    return Row("", "", f"{quantity(unit, 's')} {what}", f"{value / unit:.2f}", target)


def _hop() -> float:
    """Seconds from one thread of Python's to another that waits for a lock."""
    here, there = threading.Lock(), threading.Lock()
    here.acquire()
    there.acquire()

    def answer() -> None:
        for _ in range(_HOPS):
            there.acquire()
            here.release()

    thread = threading.Thread(target=answer)
    thread.start()
    start = time.perf_counter()
    for _ in range(_HOPS):
        there.release()
        here.acquire()
    seconds = time.perf_counter() - start
    thread.join()
    return seconds / _HOPS / 2
