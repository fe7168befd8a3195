"""From a system call's number to its result register: the one place where errors become numbers."""

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.words import WORD_MASK
from aionoah.host.application import NotYet, answered
from aionoah.host.waiting import Waiter
from aionoah.syscalls.decode import compile_call
from aionoah.syscalls.registry import find_handler
from aionoah.syscalls.results import Again, Outcome, Suspended, wants_restart

if TYPE_CHECKING:
    from aionoah.abi.architecture import Architecture
    from aionoah.process.task import Task
    from aionoah.syscalls.strace import Tracer

_LOWEST_RESTART: Final = Errno.ERESTARTSYS

Call = Callable[..., Any]


def error_result(error: LinuxError) -> int:
    """The result register of a failed call."""
    return -error.errno & WORD_MASK


def encode(result: object) -> int | Outcome:
    """The result register for what a handler returned: None is 0, negative numbers wrap.

    Raises TypeError for anything else: a handler of ours is wrong.
    """
    if result is None:
        return 0
    if isinstance(result, int):
        return result & WORD_MASK
    if isinstance(result, Outcome):
        return result
    raise TypeError(f"a system call cannot return {result!r}")


class SyscallTable:
    """Every system call of one architecture.

    `call` starts one; a handler that sleeps comes back as Suspended, and `step` takes it further. Both
    return the unsigned 64-bit result register, Outcome.KEEP_REGISTERS or Suspended. They raise LinuxError
    for nothing but ERESTART… (results.wants_restart): the caller delivers the signal that is pending
    and then decides by results.after_signal. Any other exception is a bug of ours and passes through.

    Call with the kernel lock held.
    """

    def __init__(self, architecture: "Architecture", tracer: "Tracer | None" = None) -> None:
        self.architecture = architecture
        self.signal_return = architecture.syscall_numbers["rt_sigreturn"]
        self._tracer = tracer
        self._calls: dict[int, tuple[Call, bool]] = {}  # by number, filled when first called
        self.servable: set[int] = set()  # those of them that need not be made on the caller's own thread

    @property
    def is_traced(self) -> bool:
        """Whether somebody is told of every call."""
        return self._tracer is not None

    def call(self, task: "Task", number: int, args: Sequence[int]) -> int | Outcome | Suspended:
        """Start a call: number and six arguments as the unsigned words of their registers."""
        found = self._calls.get(number)
        if found is None:
            found = self._bind(number & 0xFFFF_FFFF)  # the register's upper half does not count
        call, is_async = found
        try:
            result = call(task, *args)
            if is_async:  # most do not sleep: this begins as `step` does, without a function's price
                return Suspended(result, result.send(None), (call, task, args))
        except StopIteration as stop:
            if not is_async:
                raise
            result = stop.value
        except LinuxError as error:
            return self._fail(error)
        except NotYet as question:
            return self.step(answered(partial(call, task, *args), question))
        except MemoryError:
            return error_result(LinuxError(Errno.ENOMEM))
        return result & WORD_MASK if result.__class__ is int else encode(result)

    def step(
        self,
        coroutine: Coroutine[Waiter, None, Any],
        thrown: BaseException | None = None,
        again: Again | None = None,
    ) -> int | Outcome | Suspended:
        """Run a handler until it sleeps or ends, throwing an exception into its sleep if one is given:
        LinuxError(ERESTARTSYS) when a signal is there. (`coroutine.close()` when the task dies.)

        `again` is Suspended's: a handler whose file system has to ask the application is begun anew.
        """
        try:
            waiter = coroutine.send(None) if thrown is None else coroutine.throw(thrown)
        except StopIteration as stop:
            return encode(stop.value)
        except LinuxError as error:
            return self._fail(error)
        except NotYet as question:
            if again is None:
                raise
            call, task, args = again
            return self.step(answered(partial(call, task, *args), question))
        except MemoryError:
            return error_result(LinuxError(Errno.ENOMEM))
        return Suspended(coroutine, waiter, again)

    @staticmethod
    def _fail(error: LinuxError) -> int:
        number = error.errno
        if number >= _LOWEST_RESTART and wants_restart(error):
            raise error
        return -number & WORD_MASK

    def _bind(self, number: int) -> tuple[Call, bool]:
        """What answers a number, kept for the next time unless the number means nothing."""
        name = self.architecture.syscall_names.get(number)
        handler = find_handler(name) if name is not None else None
        if handler is not None:
            found = compile_call(handler, self.architecture), handler.is_async
        else:
            found = _no_such_call, False
        if self._tracer is not None:
            found = self._tracer.wrap(name or f"syscall_{number:#x}", handler, found[0]), found[1]
        if name is not None:
            self._calls[number] = found
            if handler is not None and not handler.own_thread:
                self.servable.add(number)
        return found


def _no_such_call(_task: "Task", *_args: int) -> int:
    raise LinuxError(Errno.ENOSYS)
