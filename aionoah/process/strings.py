"""A process's arguments and environment, as /proc shows them: what lies in its memory, which it may have changed.

Programs write there what ps is to show of them (setproctitle(3)). Source: Linux fs/proc/base.c (get_mm_cmdline,
get_mm_proctitle, environ_read).
"""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aionoah.process.task import Task

_MAX_TITLE: Final = 4096  # bytes: one page


def command_line(task: "Task") -> bytes:
    """Arguments, each with its NUL. Where the last one has lost it, the program has put a single string in their
    place, which may go on into the environment.
    """
    places = task.memory.strings
    if places is None:
        return task.process.command_line
    start, end = places.argument_start, places.argument_end
    if task.memory.peek(end - 1, 1) in (b"", b"\0"):
        return task.memory.peek(start, end - start)
    room = max(end, places.environment_end) - start
    title, nul, _ = task.memory.peek(start, min(room, _MAX_TITLE)).partition(b"\0")
    return title + nul


def environment(task: "Task") -> bytes:
    """As execve has left it, but for what the program has written there since."""
    places = task.memory.strings
    if places is None:
        return task.process.environment
    return task.memory.peek(places.environment_start, places.environment_end - places.environment_start)
