"""What a handler may return instead of a number, and what a dispatch may give instead of one."""

from collections.abc import Callable, Coroutine, Sequence
from enum import Enum
from typing import Any, Final, NamedTuple

from aionoah.abi.errno import Errno, LinuxError
from aionoah.host.waiting import Waiter


class Outcome(Enum):
    """The named results of calls that have no result register to write."""

    KEEP_REGISTERS = "the handler has set the registers itself, or no program is left to read them"


Again = tuple[Callable[..., Any], Any, Sequence[int]]
"""How a call is begun anew if the application has to be asked: the function, the task, the registers."""


class Suspended(NamedTuple):
    """A handler that sleeps: `SyscallTable.step(coroutine, again=again)` goes on once `waiter` is woken."""

    coroutine: Coroutine[Waiter, None, Any]
    waiter: Waiter
    again: Again | None = None


class Restart(Enum):
    """How a call goes on that ended only to let a signal in."""

    FAIL = "the result is -EINTR"
    AGAIN = "the same call with the same registers"
    BLOCK = "the call restart_syscall, which goes on where the call was"


_RESTARTS: Final = frozenset(
    {Errno.ERESTARTSYS, Errno.ERESTARTNOINTR, Errno.ERESTARTNOHAND, Errno.ERESTART_RESTARTBLOCK}
)


def wants_restart(error: LinuxError) -> bool:
    """Whether a call ended only to let a signal in; the guest never sees such an errno."""
    return error.errno >= Errno.ERESTARTSYS and error.errno in _RESTARTS  # the first finds most, and quickly


def after_signal(error: LinuxError, *, runs_handler: bool, is_restarting: bool) -> Restart:
    """What becomes of a call that ended with one of the ERESTART errnos (signal(7); handle_signal in
    arch/x86/kernel/signal.c).

    `runs_handler`: a guest's signal handler is to run first; `is_restarting`: with SA_RESTART.
    """
    if not runs_handler:
        is_block = error.errno is Errno.ERESTART_RESTARTBLOCK
        return Restart.BLOCK if is_block else Restart.AGAIN
    if error.errno is Errno.ERESTARTNOINTR or (error.errno is Errno.ERESTARTSYS and is_restarting):
        return Restart.AGAIN
    return Restart.FAIL
