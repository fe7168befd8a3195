"""`aionoah exec`: another program in an instance that runs, with the caller's own streams or terminal."""

import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from aionoah.cli.complaints import INSTANCES, fail
from aionoah.cli.options import ENV_OPTION, TERMINAL_OPTIONS, environment, with_options
from aionoah.host.standard_streams import reserve_standard_streams
from aionoah.instances import InstanceError
from aionoah.instances.client import Connection
from aionoah.instances.place import Place
from aionoah.statuses import status_of

if TYPE_CHECKING:
    from types import FrameType

_FORWARDED: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


@click.command("exec", context_settings={"allow_interspersed_args": False})
@with_options(*TERMINAL_OPTIONS, ENV_OPTION)
@click.option("-u", "--user", metavar="USER[:GROUP]", help="User and group, by name or number.")
@click.option("-w", "--workdir", metavar="DIR", help="Working directory; the instance's if not given.")
@click.argument("name")
@click.argument("command", metavar="[--] PROGRAM [ARG]...", nargs=-1, type=click.UNPROCESSED)
def exec(  # noqa: A001 - the command's name
    *,
    has_terminal: bool | None,
    user: str | None,
    workdir: str | None,
    env: tuple[str, ...],
    name: str,
    command: tuple[str, ...],
) -> None:
    """Run PROGRAM in the instance NAME, and exit with its status (128+N after signal N)."""
    if command[:1] == ("--",):
        command = command[1:]
    if not command:
        raise click.UsageError("Name a PROGRAM to run.")
    reserve_standard_streams()
    if has_terminal is None:
        has_terminal = os.isatty(0) and os.isatty(1)
    fields: dict[str, Any] = {"command": list(command), "env": _changes(env, has_terminal=has_terminal)}
    fields |= {key: value for key, value in (("user", user), ("workdir", workdir)) if value is not None}
    try:
        with Connection(Place(name)) as connection:
            sys.exit(_execute(connection, fields, has_terminal=has_terminal))
    except (InstanceError, OSError) as error:
        fail(error, INSTANCES)


def _changes(env: tuple[str, ...], *, has_terminal: bool) -> dict[str, str | None]:
    """Variables to set, and None for those to unset."""
    environment(env)  # for what is wrong with it
    changes: dict[str, str | None] = {"TERM": os.environ.get("TERM", "xterm")} if has_terminal else {}
    for change in env:
        variable, separator, value = change.partition("=")
        changes[variable] = value if separator else None
    return changes


def _execute(connection: Connection, fields: dict[str, Any], *, has_terminal: bool) -> int:
    with contextlib.ExitStack() as stack:
        if has_terminal:
            from aionoah.cli.terminal import host_settings, host_size, raw_terminal  # noqa: PLC0415 - if there is one

            size = host_size()
            settings = host_settings()
            fields |= {
                "terminal": "" if settings is None else settings.hex(),
                "columns": size.columns,
                "rows": size.lines,
                "errors": not os.isatty(2),
            }
            stack.enter_context(raw_terminal())
        with _delayed_signals():  # the program may run, and be known to do so, before we hear of it
            connection.ask("exec", (0, 1, 2), **fields)
            if has_terminal:
                stack.enter_context(_followed_size(connection))
            tell_that_it_runs = stack.enter_context(_forwarded_signals(connection))
        answer = connection.answer()
        if answer is not None:
            tell_that_it_runs()
            answer = connection.answer()
    if answer is None:
        raise InstanceError(f"{connection.place.name} has ended meanwhile")
    status = answer.get("exit")
    if not isinstance(status, int):
        raise InstanceError(f"{connection.place.name} does not say how the program ended")
    return status_of(status)


@contextlib.contextmanager
def _delayed_signals() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (*_FORWARDED, signal.SIGWINCH, signal.SIGCONT))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _forwarded_signals(connection: Connection) -> Iterator[Callable[[], None]]:
    """What is sent to us is meant for the program. Python calls the handlers while we wait for the answer; until we say
    that the program runs, a second signal ends us.
    """
    is_first, runs = True, False

    def forward(number: int, _frame: "FrameType | None") -> None:
        nonlocal is_first
        if not runs and not is_first:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        is_first = False
        with contextlib.suppress(InstanceError):
            connection.send({"signal": signal.Signals(number).name})

    def say_that_it_runs() -> None:
        nonlocal runs
        runs = True

    with _handled(forward, *_FORWARDED):
        yield say_that_it_runs


@contextlib.contextmanager
def _followed_size(connection: Connection) -> Iterator[None]:
    from aionoah.cli.terminal import host_size  # noqa: PLC0415

    def follow(number: int, _frame: "FrameType | None") -> None:
        if number == signal.SIGCONT and os.isatty(0):  # it has been somebody else's meanwhile
            tty.setraw(0, termios.TCSADRAIN)
        size = host_size()
        with contextlib.suppress(InstanceError):
            connection.send({"columns": size.columns, "rows": size.lines})

    with _handled(follow, signal.SIGWINCH, signal.SIGCONT):
        yield


@contextlib.contextmanager
def _handled(handler: Any, *numbers: signal.Signals) -> Iterator[None]:  # noqa: ANN401 - a signal handler
    before = [signal.signal(number, handler) for number in numbers]
    try:
        yield
    finally:
        for number, old in zip(numbers, before, strict=True):
            signal.signal(number, old)
