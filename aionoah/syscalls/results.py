"""What a handler may return instead of a number, and what a dispatch may give instead of one."""

from collections.abc import Coroutine
from enum import Enum
from typing import Any, Final, NamedTuple

from aionoah.abi.errno import Errno, LinuxError
from aionoah.host.waiting import Waiter


class Outcome(Enum):
    """The named results of calls that have no result register to write."""

    KEEP_REGISTERS = "the handler has set the registers itself, or no program is left that reads them"


class Suspended(NamedTuple):
    """A handler that sleeps: step `coroutine` again once `waiter` is woken.

    Whatever it raises or returns in the end goes through `SyscallTable.finish`.
    """

    coroutine: Coroutine[Waiter, None, Any]
    waiter: Waiter
    name: str


_RESTARTS: Final = frozenset(
    {Errno.ERESTARTSYS, Errno.ERESTARTNOINTR, Errno.ERESTARTNOHAND, Errno.ERESTART_RESTARTBLOCK}
)


def wants_restart(error: LinuxError) -> bool:
    """Whether a call ended only to let a signal in: the signal layer decides between EINTR and again."""
    return error.errno in _RESTARTS
