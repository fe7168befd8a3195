"""`@syscall`: how a function becomes the handler of a system call.

Decorating does next to nothing, because every program pays for the import of all handlers:
signatures are looked at when a call is made for the first time (decode.py).
"""

from collections.abc import Callable
from importlib import import_module
from types import FunctionType
from typing import Any, Final, NamedTuple, TypeVar, overload

from aionoah.syscalls.homes import HOMES

_CO_COROUTINE: Final = 0x80  # inspect.CO_COROUTINE; importing inspect costs more than this package

H = TypeVar("H", bound=Callable[..., Any])


class Handler(NamedTuple):
    """One registered handler."""

    name: str  # of the system call, as in the man page
    function: Callable[..., Any]  # (task, arguments …) -> int | None | Outcome, or a coroutine of it
    is_async: bool  # may sleep
    partial: str | None  # what of the call is not done; None when nothing is missing
    module: str
    own_thread: bool  # has to do with the thread's registers: call_server.py must not make it


_handlers: dict[str, Handler] = {}


@overload
def syscall(handler: H) -> H: ...
@overload
def syscall(*, partial: str | None = None, own_thread: bool = False) -> Callable[[H], H]: ...
def syscall(
    handler: H | None = None, *, partial: str | None = None, own_thread: bool = False
) -> H | Callable[[H], H]:
    """Make a function the handler of the system call of its name.

    An underscore at the end of the name is dropped, so that `exit_` or `open_` can be told from
    Python's own. `partial` says in a sentence what is missing; the support table prints it.
    `own_thread` is for what reads or writes the calling thread's registers, or ends the thread.
    `async def` handlers may sleep. Raises ValueError for a name that has a handler already.
    """
    if handler is not None:
        return _register(handler, partial, own_thread)

    def decorate(handler: H) -> H:
        return _register(handler, partial, own_thread)

    return decorate


def _register(handler: H, partial: str | None, own_thread: bool) -> H:  # noqa: FBT001 - as it is given
    if not isinstance(handler, FunctionType):
        raise TypeError(f"{handler!r} is not a function")
    name = handler.__name__.removesuffix("_")
    if name in _handlers:
        raise ValueError(f"{name} has a handler already, in {_handlers[name].module}")
    is_async = bool(handler.__code__.co_flags & _CO_COROUTINE)
    _handlers[name] = Handler(name, handler, is_async, partial, handler.__module__, own_thread)
    return handler


def find_handler(name: str) -> Handler | None:
    """The handler of a system call, its module being loaded if need be; None if there is none."""
    if name not in _handlers and name in HOMES:
        import_module(f"aionoah.syscalls.{HOMES[name]}")
    return _handlers.get(name)


def all_handlers() -> list[Handler]:
    """Every registered handler, by name."""
    return sorted(_handlers.values())
