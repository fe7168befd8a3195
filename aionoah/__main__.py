"""The command line: `aionoah run`, `aionoah doctor`, `aionoah syscalls`."""

import asyncio
import contextlib
import os
import resource
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, TextIO

import click

from aionoah.hypervisor.select import ARCHITECTURES, BACKENDS

if TYPE_CHECKING:
    from aionoah.linux import Linux, Mount
    from aionoah.subprocess import Process

_NOT_EXECUTABLE: Final = 126  # as shells have it
_NOT_FOUND: Final = 127
_FAILED: Final = 125  # aionoah itself, as docker has it
_SIGNALLED: Final = 128  # and the number of the signal
_UNITS: Final = {"": 0, "K": 10, "M": 20, "G": 30}  # powers of two
_FORWARDED: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="aionoah")
def main() -> None:
    """Run unmodified Linux programs in a virtual machine that holds no kernel."""


class _RunCommand(click.Command):
    """Lets `--strace` stand alone: click would take the word behind it for its value."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        valued = {name for param in self.params for name in param.opts if isinstance(param, click.Option)}
        words = iter(enumerate(list(args)))
        for index, word in words:
            if word == "--strace":
                args[index] = "--strace=-"
            elif word in valued - {"-h", "--help"}:
                next(words, None)
            elif word == "--" or not word.startswith("-"):
                break
        return super().parse_args(ctx, args)


@main.command(cls=_RunCommand, context_settings={"allow_interspersed_args": False})
@click.option(
    "--root", metavar="DIR", default="/", help="Host directory that the program sees as /, read-only."
)
@click.option(
    "-v", "--volume", metavar="HOST:GUEST[:ro]", multiple=True, help="Show a host path to the program."
)
@click.option(
    "-e", "--env", metavar="K=V", multiple=True, help="Set an environment variable; K alone unsets it."
)
@click.option("-w", "--workdir", metavar="DIR", help="Working directory, as the program sees it.")
@click.option("-u", "--user", metavar="UID[:GID]", help="User and group that the program runs as.")
@click.option(
    "--hypervisor", type=click.Choice(BACKENDS), default="auto", help="What runs the program's code."
)
@click.option(
    "--arch", type=click.Choice(ARCHITECTURES), help="Architecture of the program; the host's if not given."
)
@click.option(
    "--net",
    "network",
    type=click.Choice(("host", "none")),
    default="host",
    help="What the program's sockets reach: the host's network, or nothing.",
)
@click.option(
    "--strace",
    metavar="FILE",
    is_flag=False,
    flag_value="-",
    help="Print every system call (--strace=FILE: to a file).",
)
@click.option(
    "--memory",
    metavar="SIZE",
    callback=lambda _context, _option, value: _parse_size(value),
    help="What all programs together may use, in bytes or with K, M or G.",
)
@click.option(
    "--pids", type=click.IntRange(min=1), help="How many processes and threads there may be at once."
)
@click.argument("command", metavar="[--] PROGRAM [ARG]...", nargs=-1, required=True, type=click.UNPROCESSED)
def run(
    *,
    root: str,
    volume: tuple[str, ...],
    env: tuple[str, ...],
    workdir: str | None,
    user: str | None,
    hypervisor: str,
    arch: str | None,
    network: str,
    strace: str | None,
    memory: int | None,
    pids: int | None,
    command: tuple[str, ...],
) -> None:
    """Run PROGRAM with the caller's stdin, stdout and stderr, and exit with its status (128+N after signal N)."""
    import uvloop  # noqa: PLC0415 - `--help` need not pay for it

    from aionoah.linux import Linux  # noqa: PLC0415

    _reserve_standard_streams()
    _allow_many_descriptors()
    uid, gid = _parse_user(user)
    with _strace_file(strace) as log:
        linux = Linux(
            root,
            mounts=_parse_volumes(volume),
            hypervisor=hypervisor,
            architecture=arch,
            network=network,
            memory=memory,
            pids=pids,
            strace=log,
        )
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                status = runner.run(_run(linux, command, _environment(env), workdir, uid, gid))
        except KeyboardInterrupt:  # before there was a program to forward it to
            status = _SIGNALLED + signal.SIGINT
    sys.exit(status)


async def _run(
    linux: "Linux",
    command: tuple[str, ...],
    env: dict[str, str],
    workdir: str | None,
    uid: int | None,
    gid: int | None,
) -> int:
    from aionoah.hypervisor.errors import HypervisorError  # noqa: PLC0415

    try:
        async with linux:
            try:
                process = await linux.create_subprocess_exec(
                    *command, env=env, cwd=workdir, user=uid, group=gid
                )
            except OSError as error:
                _complain(error)
                return _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
            with _forwarded_signals(process):
                status = await process.wait()
    except (HypervisorError, MemoryError, OSError) as error:
        _complain(error)
        return _FAILED
    return status if status >= 0 else _SIGNALLED - status


def _complain(error: Exception) -> None:
    """One sentence on standard error."""
    sentence = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    click.echo(f"aionoah: {sentence.rstrip('.')}.", err=True)


def _allow_many_descriptors() -> None:
    """Each guest process holds several of ours; how many it may open itself is a limit of its own."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(ValueError, OSError):  # Darwin's hard limit is more than it allows
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _reserve_standard_streams() -> None:
    """Fill 0, 1 and 2 where the caller has closed them: no file of ours may become the program's."""
    from aionoah.subprocess import open_useless  # noqa: PLC0415

    for fd in (0, 1, 2):
        opened = open_useless(fd)  # gets the lowest free number, and those below `fd` are taken by now
        if opened != fd:
            os.close(opened)


@contextlib.contextmanager
def _forwarded_signals(process: "Process") -> Iterator[None]:
    """What is sent to us is meant for the program."""
    loop = asyncio.get_running_loop()
    numbers = [getattr(signal, name) for name in _FORWARDED]
    for number in numbers:
        loop.add_signal_handler(number, process.send_signal, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def _strace_file(name: str | None) -> Iterator[TextIO | None]:
    if name is None:
        yield None
    elif name == "-":
        yield sys.stderr
    else:
        try:
            file = open(name, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - closed below
        except OSError as error:
            raise click.UsageError(f"{name} cannot be written: {error.strerror}.") from None
        with file:
            yield file


def _environment(changes: tuple[str, ...]) -> dict[str, str]:
    env = dict(os.environ)
    for change in changes:
        name, separator, value = change.partition("=")
        if not name:
            raise click.UsageError(f"-e {change}: write NAME=VALUE, or NAME to unset it.")
        if separator:
            env[name] = value
        else:
            env.pop(name, None)
    return env


def _parse_volumes(volumes: tuple[str, ...]) -> "dict[str, Mount]":
    from aionoah.linux import Mount  # noqa: PLC0415

    mounts = {}
    for volume in volumes:
        host, separator, rest = volume.partition(":")
        guest, _, mode = rest.partition(":")
        if not separator or not host or not guest.startswith("/") or mode not in {"", "ro", "rw"}:
            raise click.UsageError(f"-v {volume}: write HOST:GUEST or HOST:GUEST:ro, with an absolute GUEST.")
        if not os.path.lexists(host):
            raise click.UsageError(f"-v {volume}: {host} does not exist.")
        mounts[guest] = Mount(host, read_only=mode == "ro")
    return mounts


def _parse_size(text: str | None) -> int | None:
    """A number of bytes: 65536, 64K, 512M, 2G."""
    if text is None:
        return None
    digits, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "")
    if not digits.isdecimal() or unit not in _UNITS or not int(digits):
        raise click.BadParameter(f"{text!r} is no size: write a number of bytes, or one with K, M or G.")
    return int(digits) << _UNITS[unit]


def _parse_user(user: str | None) -> tuple[int | None, int | None]:
    from aionoah.linux import MAX_ID  # noqa: PLC0415

    if user is None:
        return None, None
    uid, separator, gid = user.partition(":")
    if not uid.isdecimal() or (separator and not gid.isdecimal()):
        raise click.UsageError(f"-u {user}: write UID or UID:GID, in numbers.")
    if max(int(uid), int(gid or 0)) > MAX_ID:
        raise click.UsageError(f"-u {user}: the largest user and group is {MAX_ID}.")
    return int(uid), int(gid or uid)


@main.command()
def doctor() -> None:
    """Say what works on this host, what it costs, and how to mend what does not work."""
    from aionoah.doctor import examine  # noqa: PLC0415

    sys.exit(0 if examine(click.echo) else 1)


@main.command()
@click.option(
    "--arch", type=click.Choice(ARCHITECTURES), default="x86_64", help="Architecture of the numbers."
)
@click.option("--markdown", is_flag=True, help="Print a Markdown table.")
def syscalls(*, arch: str, markdown: bool) -> None:
    """Print which system calls are supported."""
    from aionoah.abi.architecture import architecture_named  # noqa: PLC0415
    from aionoah.syscalls.support import as_markdown, as_text, support_table  # noqa: PLC0415

    architecture = architecture_named(arch)
    render = as_markdown if markdown else as_text
    click.echo(render(architecture, support_table(architecture)))


if __name__ == "__main__":
    main()
