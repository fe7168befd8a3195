"""OS threads that are used again."""

import signal
import threading

from aionoah.host.waiting import kernel_lock
from aionoah.os_threads import _MOST_IDLE, OsThreads


def run(threads: OsThreads, count: int = 1) -> list[int]:
    """Which threads do this many things at once."""
    found: list[int] = []
    meeting = threading.Barrier(count + 1)

    def work() -> None:
        meeting.wait()
        found.append(threading.get_ident())
        meeting.wait()

    for _ in range(count):
        with kernel_lock:
            threads.run(work)
    for _ in range(2):
        meeting.wait()
    return found


def until_idle(threads: OsThreads, count: int) -> None:
    while True:
        with kernel_lock:
            if len(threads._idle) == count and len(threads._workers) == count:
                return


def test_a_thread_is_used_again() -> None:
    threads = OsThreads()
    first = run(threads)
    until_idle(threads, 1)
    assert run(threads) == first
    threads.close()


def test_only_some_are_kept() -> None:
    threads = OsThreads()
    assert len(set(run(threads, _MOST_IDLE + 3))) == _MOST_IDLE + 3
    until_idle(threads, _MOST_IDLE)
    threads.close()
    assert not threads._workers


def test_closing_waits_for_what_is_about_to_end() -> None:
    threads, before = OsThreads(), set(threading.enumerate())
    run(threads, 4)
    threads.close()
    assert set(threading.enumerate()) <= before
    run(threads)  # it may be used again
    threads.close()
    assert set(threading.enumerate()) <= before


def test_closing_waits_for_those_that_were_too_many() -> None:
    threads, before = OsThreads(), set(threading.enumerate())
    for _ in range(20):
        run(threads, _MOST_IDLE + 20)
        threads.close()
        assert set(threading.enumerate()) <= before


def test_signals_are_for_the_application() -> None:
    threads, blocked = OsThreads(), []
    with kernel_lock:
        threads.run(lambda: blocked.extend(signal.pthread_sigmask(signal.SIG_BLOCK, [])))
    threads.close()
    assert signal.SIGINT in blocked
    assert signal.SIGSEGV not in blocked
