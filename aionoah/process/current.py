"""The task on whose behalf kernel code runs: what /proc/self means.

Invariant: whoever steps a handler (its vCPU thread, or the reactor what the application asks for) calls `set_current`
right before, under the kernel lock, which it holds until the step is over. So between two awaits there is
one current task, whatever threads exist, and a plain global is enough. It means nothing to code that does
not hold the lock, such as host calls that are made beside it, nor to the embedding application.

Only what Linux itself defines by the reader (links of /proc, the controlling terminal) may ask; everything
else gets its task as an argument.
"""

from typing import TYPE_CHECKING

from aionoah.abi.errno import Errno, LinuxError

if TYPE_CHECKING:
    from aionoah.process.task import Task

_task: "Task | None" = None


def set_current(task: "Task | None") -> None:
    global _task  # noqa: PLW0603 - one CPU's `current` is a global in every kernel
    _task = task


def find_current_task() -> "Task | None":
    """The same; None if the kernel acts for itself, or for the application."""
    return _task


def current_task() -> "Task":
    """The task that made the present system call; ENOENT if the kernel acts for itself."""
    if _task is None:
        raise LinuxError(Errno.ENOENT)
    return _task
