"""`aionoah ps`, `start`, `stop`, `restart`, `rm` and `kill`: the instances that have names."""

import json
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, NoReturn

import click

from aionoah.cli.complaints import (
    INSTANCES,
    complain,
    one_sentence,
    sentence_of,
)
from aionoah.cli.named import DAEMON
from aionoah.cli.numbers import parse_duration
from aionoah.cli.tables import print_table
from aionoah.host.standard_streams import reserve_standard_streams
from aionoah.instances import InstanceError
from aionoah.instances import client as clients
from aionoah.instances.place import Place, holder, places
from aionoah.instances.spec import read_spec
from aionoah.instances.state import ALIVE, State, read_state
from aionoah.statuses import FAILED

_NAMES: Final = click.argument("names", metavar="NAME...", nargs=-1, required=True)
_TIMEOUT: Final = click.option(
    "-t",
    "--timeout",
    metavar="TIME",
    callback=lambda _context, _option, text: None if text is None else parse_duration(text),
    help="Until the program is killed; what --stop-timeout said if not given.",
)
_SHORT: Final = 40  # characters of a command


# -- what there is -------------------------------------------------------------------------------------------


@click.command()
@click.option("-a", "--all", "all_", is_flag=True, help="Also those that do not run.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object for each.")
def ps(*, all_: bool, as_json: bool) -> None:
    """List the instances that run."""
    with one_sentence(InstanceError, INSTANCES):
        found = [described for place in places() if (described := _describe(place)) is not None]
    shown = [each for each in found if all_ or each["status"] in ALIVE]
    if as_json:
        for each in shown:
            click.echo(json.dumps(each))
        return
    print_table(("NAME", "PID", "STATUS", "SINCE", "RESTARTS", "HEALTH", "COMMAND"), *map(_row, shown))


def _row(described: dict[str, Any]) -> tuple[str, ...]:
    status, command = described["status"], " ".join(described["command"])
    return (
        described["name"],
        str(described["pid"] or ""),
        status if status != "exited" else f"exited ({described['exit_status']})",
        _ago(described["since"]),
        str(described["restarts"]),
        described["health"] or "",
        command if len(command) <= _SHORT else command[: _SHORT - 1] + "…",
    )


def _describe(place: Place) -> dict[str, Any] | None:
    """None if it has been removed meanwhile."""
    try:
        state = clients.current_state(place)
        spec = read_spec(place)
    except (InstanceError, OSError) as error:
        if not place.directory.is_dir():
            return None
        state, command, image = State("dead", error=sentence_of(error, INSTANCES)), [], None
    else:
        command, image = spec.command, spec.image
    shown = ("status", "pid", "since", "restarts", "exit_status", "health", "error")
    return {
        "name": place.name,
        **{name: value for name, value in state._asdict().items() if name in shown},
        "command": [image, *command] if image else command,
    }


def _ago(since: float) -> str:
    seconds = int(time.time() - since)
    if not since:
        return ""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit} ago"
    return f"{max(seconds, 0)} s ago"


# -- starting and ending -------------------------------------------------------------------------------------


@click.command()
@click.option(
    "--all", "all_", is_flag=True, help="Those whose --restart says so, as after the machine's start."
)
@click.option(
    "--foreground", is_flag=True, help="One, in this process, for systemd and launchd; output to its log."
)
@click.argument("names", metavar="NAME...", nargs=-1)
def start(*, all_: bool, foreground: bool, names: tuple[str, ...]) -> None:
    """Start instances again that `run --name` has made, in the background, with what they have changed."""
    if all_ == bool(names) or (foreground and len(names) != 1):
        raise click.UsageError("Name the instances, or use --all; --foreground is for one.")
    reserve_standard_streams()
    if foreground:
        _start_here(names[0])
    if all_:
        with one_sentence(InstanceError, INSTANCES):
            names = tuple(place.name for place in places() if _is_wanted(place))
    _each(names, _start)


def _start_here(name: str) -> NoReturn:
    from aionoah.cli.daemon import run_here  # noqa: PLC0415 - brings all of Linux with it
    from aionoah.instances.detach import take_environment  # noqa: PLC0415

    with one_sentence(InstanceError, INSTANCES):
        place = Place(name)
        take_environment(read_spec(place))
    sys.exit(run_here(place))


def _is_wanted(place: Place) -> bool:
    """Whether it should run, and does not."""
    try:
        policy = read_spec(place).restart
        is_wanted = policy == "always" or (policy == "unless-stopped" and not read_state(place).was_stopped)
        return is_wanted and holder(place) is None
    except (InstanceError, OSError) as error:
        complain(error, INSTANCES)
        return False


@click.command()
@_TIMEOUT
@_NAMES
def stop(*, timeout: float | None, names: tuple[str, ...]) -> None:
    """Ask the programs of instances to end (SIGTERM, or --stop-signal), and kill them if they do not."""
    _each(names, lambda place: _stop(place, timeout))


@click.command()
@_TIMEOUT
@_NAMES
def restart(*, timeout: float | None, names: tuple[str, ...]) -> None:
    """Stop instances and start them again."""
    reserve_standard_streams()

    def again(place: Place) -> None:
        _stop(place, timeout)
        _start(place)

    _each(names, again)


@click.command()
@click.option("-f", "--force", is_flag=True, help="Kill those that run.")
@_NAMES
def rm(*, force: bool, names: tuple[str, ...]) -> None:
    """Remove instances, with all that they have changed and their logs."""
    from aionoah.instances.keeping import remove  # noqa: PLC0415 - for those who do

    def forget(place: Place) -> None:
        place.check_exists()
        if force:
            clients.stop(place, 0, kills=True)
        elif holder(place) is not None:
            raise InstanceError(f"{place.name} runs: `aionoah stop {place.name}` first, or `rm -f`")
        try:
            remove(place)
        except InstanceError:
            if place.directory.is_dir():  # else somebody else has removed it, as `run --rm` does at its end
                raise

    _each(names, forget)


@click.command()
@click.option("-s", "--signal", "name", metavar="SIGNAL", default="KILL", help="Which one (KILL).")
@_NAMES
def kill(*, name: str, names: tuple[str, ...]) -> None:
    """Send a signal to the programs of instances; what follows from their end is the restart policy's."""

    def send(place: Place) -> None:
        with clients.Connection(place) as connection:
            connection.ask("signal", signal=name)
            connection.answer(_LONG)

    _each(names, send)


_LONG: Final = 30.0  # seconds


def _each(names: Iterable[str], act: Callable[[Place], None]) -> None:
    """Do it to all; those that have it done are named, and the others complained about."""
    is_well = True
    for name in names:
        try:
            act(Place(name))
        except (InstanceError, OSError) as error:
            complain(error, INSTANCES)
            is_well = False
        else:
            click.echo(name)
    sys.exit(0 if is_well else FAILED)


def _start(place: Place) -> None:
    from aionoah.instances.detach import start_detached  # noqa: PLC0415 - for those who do

    if holder(place) is not None:
        raise InstanceError(f"{place.name} is running already")
    start_detached(place, read_spec(place), DAEMON)


def _stop(place: Place, timeout: float | None) -> None:
    place.check_exists()
    clients.stop(place, timeout)
