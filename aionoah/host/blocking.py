"""Host calls that can take long and that no event loop can wait for, such as fsync.

They run on a thread of a small pool without the kernel lock, while their guest sleeps: neither the loop nor
another guest waits for them. They must touch nothing but what the host protects itself, such as descriptors
that the caller keeps open.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final, TypeVar

from aionoah.abi.errno import Errno, LinuxError
from aionoah.host.waiting import Source, WaitQueue, kernel_lock, sleep_on

T = TypeVar("T")

_THREADS: Final = 8


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="aionoah-host")


def start_blocking(call: Callable[[], None], ended: Callable[[LinuxError | None], None]) -> None:
    """Begin a call that nobody waits for. `ended` is called with its error under the kernel lock, on another thread."""

    def work() -> None:
        failure = None
        try:
            call()
        except LinuxError as error:
            failure = error
        with kernel_lock:
            ended(failure)

    _pool().submit(work)


async def run_blocking(call: Callable[[], T], release: Callable[[], None]) -> T:
    """The result of a call, or what it raised.

    `release` is called under the kernel lock when the call has ended, even if the task has died meanwhile: it
    gives back what had to stay until then. No signal interrupts the sleep, as in Linux's own
    uninterruptible ones.
    """
    done = WaitQueue()
    has_ended = False

    def work() -> T:
        nonlocal has_ended
        try:
            return call()
        finally:
            with kernel_lock:
                has_ended = True
                release()
                done.wake()

    future = _pool().submit(work)
    while not has_ended:
        try:
            await sleep_on(Source(done))
        except LinuxError as error:
            if error.errno is not Errno.ERESTARTSYS:
                raise
    return future.result()
