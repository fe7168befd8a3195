"""The signal mask that ppoll(2), pselect6(2) and epoll_pwait(2) set while they wait."""

from collections.abc import Iterator
from contextlib import contextmanager

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.signal import SIGSET_SIZE
from aionoah.process.task import Task


@contextmanager
def signal_mask(task: Task, sigmask: int, size: int, interrupted: Errno) -> Iterator[None]:
    """Block other signals meanwhile. EINVAL for another size, EFAULT.

    After `interrupted` the mask stays: the delivery of the signal puts the old one back.
    """
    if sigmask:
        if size != SIGSET_SIZE:
            raise LinuxError(Errno.EINVAL)
        task.signals.replace_mask(task.memory.read_word(sigmask))
    try:
        yield
    except LinuxError as error:
        if error.errno is not interrupted:
            task.signals.restore_mask()
        raise
    task.signals.restore_mask()
