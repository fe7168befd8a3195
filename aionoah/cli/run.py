"""`aionoah run`: one program, in the foreground, with the caller's standard streams."""

import asyncio
import contextlib
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from aionoah.cli.complaints import complain
from aionoah.cli.named_options import NAMED_OPTIONS, take_named
from aionoah.cli.options import (
    INSTANCE_OPTIONS,
    PROGRAM_OPTIONS,
    TERMINAL_OPTIONS,
    ProgramCommand,
    environment,
    new_linux,
    parse_user,
    with_options,
)
from aionoah.host.standard_streams import reserve_standard_streams
from aionoah.statuses import FAILED, status_of, status_of_refusal, status_of_signal

if TYPE_CHECKING:
    from aionoah.linux import Linux
    from aionoah.subprocess import Process

_FORWARDED: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH")


@click.command(cls=ProgramCommand, context_settings={"allow_interspersed_args": False})
@with_options(*INSTANCE_OPTIONS, *PROGRAM_OPTIONS, *NAMED_OPTIONS, *TERMINAL_OPTIONS)
@click.option("--image", metavar="NAME", help="Run in an image, as it wants to be run; see `aionoah pull`.")
@click.option(
    "--entrypoint", metavar="PROGRAM", help="With --image: run this in place of what the image does."
)
@click.argument("command", metavar="[--] PROGRAM [ARG]...", nargs=-1, type=click.UNPROCESSED)
def run(
    *,
    env: tuple[str, ...],
    workdir: str | None,
    user: str | None,
    has_terminal: bool | None,
    image: str | None,
    entrypoint: str | None,
    command: tuple[str, ...],
    **instance: Any,  # noqa: ANN401 - INSTANCE_OPTIONS and NAMED_OPTIONS
) -> None:
    """Run PROGRAM with the caller's stdin, stdout and stderr, and exit with its status (128+N after signal N)."""
    named = take_named(instance)
    if named is not None:
        from aionoah.cli.named_run import run_named  # noqa: PLC0415 - loaded by those who name one

        program = {"image": image, "entrypoint": entrypoint, "env": env, "workdir": workdir, "user": user}
        run_named(named, command, instance, has_terminal=has_terminal, **program)
    if image is not None:
        _run_image(
            image, command, instance, has_terminal, entrypoint=entrypoint, env=env, workdir=workdir, user=user
        )
    if entrypoint is not None or not command:
        raise click.UsageError("Name a PROGRAM to run." if not command else "--entrypoint needs --image.")
    uid, gid = parse_user(user)
    options = {"env": environment(env), "cwd": workdir, "user": uid, "group": gid}
    run_program(command, options, instance, has_terminal=has_terminal)


def _run_image(
    name: str,
    command: tuple[str, ...],
    instance: dict[str, Any],
    has_terminal: bool | None,  # noqa: FBT001 - three-valued
    **wishes: Any,  # noqa: ANN401 - of open_image
) -> NoReturn:
    from aionoah.cli.image_run import open_image  # noqa: PLC0415 - loaded by those who have one

    if instance["root"] != "/" or instance["write_through"]:
        raise click.UsageError("--image excludes --root and --rw.")
    with open_image(name, command, instance, **wishes) as opened:
        run_program(opened.command, {}, opened.instance, has_terminal=has_terminal, prepare=opened.prepare)


def run_program(
    command: tuple[str, ...],
    options: dict[str, Any],
    instance: dict[str, Any],
    *,
    has_terminal: bool | None,
    prepare: "Callable[[Linux], Awaitable[dict[str, Any]]] | None" = None,
) -> NoReturn:
    """Run a program in an instance of its own, and exit as it does. `options`: of create_subprocess_exec; `prepare`
    finds more of them in the instance.
    `has_terminal`: whether the program gets one; None if it shall have one where the caller has.
    """
    import uvloop  # noqa: PLC0415 - `--help` need not pay for it

    reserve_standard_streams()
    allow_many_descriptors()
    if has_terminal is None:
        has_terminal = os.isatty(0) and os.isatty(1)
    if has_terminal:
        options = options | terminal_options()
    with new_linux(**instance) as linux:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                status = runner.run(_run(linux, command, options, prepare))
        except KeyboardInterrupt:  # before there was a program to forward it to
            status = status_of_signal(signal.SIGINT)
    sys.exit(status)


async def _run(
    linux: "Linux",
    command: tuple[str, ...],
    options: dict[str, Any],
    prepare: "Callable[[Linux], Awaitable[dict[str, Any]]] | None",
) -> int:
    from aionoah.hypervisor.errors import HypervisorError  # noqa: PLC0415

    try:
        async with linux:
            if prepare is not None:
                options = options | await prepare(linux)
            with forwarded_signals() as forward_to:  # the program may run before we know of it
                try:
                    process = await linux.create_subprocess_exec(*command, **options)
                except OSError as error:
                    is_image = prepare is None and ":" in command[0]  # as docker run has it
                    is_missing = isinstance(error, FileNotFoundError)
                    hint = OSError(f"{error.strerror}; --image names an image")
                    complain(hint if is_image and is_missing else error)
                    return status_of_refusal(error)
                forward_to(process)
                status = await wait_for(process, has_terminal="terminal" in options)
    except (HypervisorError, MemoryError, OSError) as error:
        complain(error)
        return FAILED
    return status_of(status)


def terminal_options() -> dict[str, Any]:
    """Standard error stays what it is if it is not the terminal."""
    from aionoah.cli.terminal import host_settings, host_size  # noqa: PLC0415
    from aionoah.terminals import Terminal  # noqa: PLC0415

    size = host_size()
    options: dict[str, Any] = {"terminal": Terminal(size.columns, size.lines, host_settings())}
    return options if os.isatty(2) else options | {"stderr": 2}


async def wait_for(process: "Process", *, has_terminal: bool) -> int:
    if not has_terminal:
        return await process.wait()
    from aionoah.cli.terminal import attend  # noqa: PLC0415 - loaded by those who have one

    return await attend(process)


def allow_many_descriptors() -> None:
    """Each guest process holds several of ours; how many it may open itself is a limit of its own."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(ValueError, OSError):  # Darwin's hard limit is more than it allows
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def forwarded_signals() -> Iterator["Callable[[Process], None]"]:
    """What is sent to us is meant for the program, which hears of it once it is named."""
    loop = asyncio.get_running_loop()
    early: list[int] = []
    take: Callable[[int], None] = early.append

    def forward(number: int) -> None:
        take(number)

    def forward_to(process: "Process") -> None:
        nonlocal take
        take = process.send_signal
        for number in early:
            take(number)
        for number in ignored:
            loop.add_signal_handler(number, forward, number)

    numbers = [getattr(signal, name) for name in _FORWARDED]
    interrupt = signal.getsignal(signal.SIGINT)
    ignored = [
        number for number in numbers if signal.getsignal(number) is signal.SIG_IGN
    ]  # the program shall find it so
    for number in numbers:
        if number not in ignored:
            loop.add_signal_handler(number, forward, number)
    try:
        yield forward_to
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
        signal.signal(signal.SIGINT, interrupt)  # what the loop puts there makes a traceback
