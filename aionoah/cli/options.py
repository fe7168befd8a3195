"""Options of the commands that start programs, and what their texts mean."""

import contextlib
import gc
import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TextIO, TypeVar

import click

from aionoah.abi.limits import ID_MAX
from aionoah.cli.loading import loaded
from aionoah.cli.named_options import KEYS as NAMED_KEYS
from aionoah.cli.network_options import parse_network
from aionoah.cli.numbers import parse_number, parse_size
from aionoah.hypervisor.select import ARCHITECTURES, BACKENDS

if TYPE_CHECKING:
    from aionoah.linux import Linux, Mount
    from aionoah.root import Writes
    from aionoah.x11 import Display

F = TypeVar("F", bound=Callable[..., Any])


# The sections of `--help`; what is in none of them comes last.
_SECTIONS: Final = {
    "The program": ("image", "entrypoint", "env", "workdir", "user", "has_terminal", "interactive"),
    "Its files": ("root", "upper", "write_through", "read_only", "volume"),
    "Its network": ("network", "publish", "allow", "deny", "add_host", "x11"),
    "What is kept by a name": NAMED_KEYS,
}


class ProgramCommand(click.Command):
    """Has many options, in sections. Lets `--strace` stand alone: click would take the word behind it for its value."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        titles = {name: title for title, names in _SECTIONS.items() for name in names}
        sections: dict[str, list[tuple[str, str]]] = {title: [] for title in (*_SECTIONS, "Others")}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                names, text = record
                sections[titles.get(param.name or "", "Others")].append((names.replace(" [=", "[="), text))
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        valued = {name for param in self.params for name in param.opts if _takes_a_value(param)}
        words = iter(enumerate(list(args)))
        for index, word in words:
            if word == "--strace":
                args[index] = "--strace=-"
            elif word in valued:
                next(words, None)
            elif word == "--" or not word.startswith("-"):
                break
        return super().parse_args(ctx, args)


def _takes_a_value(param: click.Parameter) -> bool:
    return isinstance(param, click.Option) and not param.is_flag and not param.is_eager


ROOT_OPTION: Final = click.option(
    "--root", metavar="DIR", default="/", help="Host directory that the program sees as /."
)
# Of the instance: each is a keyword of `new_linux`.
INSTANCE_OPTIONS: Final = (
    ROOT_OPTION,
    click.option(
        "--upper", metavar="DIR", help="Keep changes to / in this directory; without it they vanish at exit."
    ),
    click.option(
        "--rw", "write_through", is_flag=True, help="Let changes to / go to the host directory itself."
    ),
    click.option("--read-only", is_flag=True, help="Refuse changes to /."),
    click.option(
        "-v", "--volume", metavar="HOST:GUEST[:ro]", multiple=True, help="Show a host path to the program."
    ),
    click.option(
        "--hypervisor", type=click.Choice(BACKENDS), default="auto", help="What runs the program's code."
    ),
    click.option(
        "--arch",
        type=click.Choice(ARCHITECTURES),
        help="Architecture of the program; the host's if not given.",
    ),
    click.option(
        "--net",
        "network",
        type=click.Choice(("host", "none", "loopback", "private")),
        help="The host's network (the default), nothing, the programs only, or what the options below say.",
    ),
    click.option(
        "-p",
        "--publish",
        metavar="[ADDRESS:]HOST:GUEST[/udp]",
        multiple=True,
        help="Let a port of the host lead to a program's.",
    ),
    click.option(
        "--allow",
        metavar="RULE",
        multiple=True,
        help="With --net private: HOST or HOST:PORTS to let through, an address, a block, a name or *.domain.",
    ),
    click.option("--deny", metavar="RULE", multiple=True, help="With --net private: not to let through."),
    click.option("--add-host", metavar="NAME:ADDRESS", multiple=True, help="With --net private: a name."),
    click.option(
        "--x11",
        is_flag=True,
        help="Let the programs use the X server that DISPLAY names, one of this machine.",
    ),
    click.option(
        "--memory",
        metavar="SIZE",
        callback=lambda _context, _option, value: parse_size(value),
        help="What all programs together may use, in bytes or with K, M or G.",
    ),
    click.option(
        "--pids",
        type=click.IntRange(min=1),
        metavar="NUMBER",
        help="How many processes and threads there may be at once.",
    ),
    click.option(
        "--strace",
        metavar="[=FILE]",
        is_flag=False,
        flag_value="-",
        help="Print every system call, on standard error or to a file.",
    ),
)

ENV_OPTION: Final = click.option(
    "-e", "--env", metavar="K=V", multiple=True, help="Set an environment variable; K alone unsets it."
)

# Of one program.
PROGRAM_OPTIONS: Final = (
    ENV_OPTION,
    click.option("-w", "--workdir", metavar="DIR", help="Working directory, as the program sees it."),
    click.option(
        "-u",
        "--user",
        metavar="UID[:GID]",
        help="User and group that the program runs as, in numbers; those of an image by name, too.",
    ),
)

TERMINAL_OPTIONS: Final = (
    click.option(
        "-t/-T",
        "--tty/--no-tty",
        "has_terminal",
        default=None,
        help="Give the program a terminal of its own; by default if standard input and output are one.",
    ),
    click.option(
        "-i",
        "--interactive",
        is_flag=True,
        expose_value=False,
        help="Keep standard input open, as it always is.",  # for those who are used to it
    ),
)


def with_options(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


@contextlib.contextmanager
def new_linux(
    *,
    root: str | Sequence[str | os.PathLike[str]],
    upper: str | None,
    write_through: bool,
    read_only: bool,
    volume: tuple[str, ...],
    hypervisor: str,
    arch: str | None,
    network: str | None,
    publish: tuple[str, ...],
    allow: tuple[str, ...],
    deny: tuple[str, ...],
    add_host: tuple[str, ...],
    x11: bool,
    memory: int | None,
    pids: int | None,
    strace: str | None,
) -> "Iterator[Linux]":
    """The instance that the options describe, not entered yet."""
    gc.disable()
    from aionoah.linux import Linux  # noqa: PLC0415 - `--help` need not pay for it

    loaded()
    with _strace_file(strace) as log:
        yield Linux(
            root,
            upper=upper,
            writes=_writes(upper, write_through=write_through, read_only=read_only),
            mounts=parse_volumes(volume),
            hypervisor=hypervisor,
            architecture=arch,
            network=parse_network(network, publish, allow, deny, add_host),
            x11=_display() if x11 else None,
            memory=memory,
            pids=pids,
            strace=log,
        )


def _display() -> "Display":
    from aionoah.x11 import parse_display  # noqa: PLC0415 - most instances have none

    name = os.environ.get("DISPLAY")
    if not name:
        raise click.UsageError("--x11: DISPLAY is not set; for this machine's first X server it is ':0'.")
    try:
        return parse_display(name, os.environ)
    except ValueError as error:
        raise click.UsageError(f"--x11: DISPLAY {error}.") from None


def _writes(upper: str | None, *, write_through: bool, read_only: bool) -> "Writes":
    if (upper is not None) + write_through + read_only > 1:
        raise click.UsageError("--upper, --rw and --read-only exclude each other.")
    return "through" if write_through else "refused" if read_only else "private"


class _Log(io.TextIOWrapper):
    """A file that goes without what it has no room for: the program is not to suffer. Says so at its end."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, encoding="utf-8")
        self._failure: OSError | None = None

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._failure = error
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._failure = error

    def end(self) -> None:
        try:
            self.close()
        except OSError as error:
            self._failure = error
        if self._failure is not None:
            click.echo(f"aionoah: {self.name} cannot be written: {self._failure.strerror}.", err=True)


@contextlib.contextmanager
def _strace_file(name: str | None) -> Iterator[TextIO | None]:
    if name is None:
        yield None
    elif name == "-":
        yield sys.stderr
    else:
        try:
            file = open(name, "wb")  # noqa: PTH123, SIM115 - closed below
        except OSError as error:
            raise click.UsageError(f"{name} cannot be written: {error.strerror}.") from None
        log = _Log(file)
        try:
            yield log
        finally:
            log.end()


def environment(changes: tuple[str, ...], variables: Mapping[str, str] = os.environ) -> dict[str, str]:
    """`variables`, the caller's own if not given, changed as the -e options say."""
    env = dict(variables)
    for change in changes:
        name, separator, value = change.partition("=")
        if not name:
            raise click.UsageError(f"-e {change}: write NAME=VALUE, or NAME to unset it.")
        if separator:
            env[name] = value
        else:
            env.pop(name, None)
    return env


def parse_volumes(volumes: tuple[str, ...]) -> "dict[str, Mount]":
    from aionoah.linux import Mount  # noqa: PLC0415

    parts = map(split_volume, volumes)
    return {guest: Mount(host, read_only=mode == "ro") for host, guest, mode in parts}


def split_volume(volume: str) -> tuple[str, str, str]:
    """HOST, which exists, GUEST and the mode. click.UsageError."""
    host, separator, rest = volume.partition(":")
    guest, _, mode = rest.partition(":")
    if not separator or not host or not guest.startswith("/") or mode not in {"", "ro", "rw"}:
        raise click.UsageError(f"-v {volume}: write HOST:GUEST or HOST:GUEST:ro, with an absolute GUEST.")
    if not os.path.lexists(host):
        raise click.UsageError(f"-v {volume}: {host} does not exist.")
    return host, guest, mode


def check_instance(instance: Mapping[str, Any]) -> None:
    """What can be known to be wrong with INSTANCE_OPTIONS before there is an instance. click.UsageError."""
    writes = {key: instance[key] for key in ("write_through", "read_only")}
    _writes(instance["upper"], **writes)
    for volume in instance["volume"]:
        split_volume(volume)
    parse_network(*(instance[key] for key in ("network", "publish", "allow", "deny", "add_host")))


def parse_user(user: str | None) -> tuple[int | None, int | None]:
    if user is None:
        return None, None
    first, separator, second = user.partition(":")
    uid, gid = parse_number(first), parse_number(second if separator else first)
    if uid is None or gid is None:
        raise click.UsageError(f"-u {user}: write UID or UID:GID, in numbers.")
    if max(uid, gid) > ID_MAX:
        raise click.UsageError(f"-u {user}: the largest user and group is {ID_MAX}.")
    return uid, gid
