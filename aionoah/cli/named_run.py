"""`aionoah run --name`: an instance that is kept, in the background or with the caller's own streams."""

import asyncio
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from aionoah.cli.complaints import INSTANCES, fail
from aionoah.cli.daemon import hide
from aionoah.cli.named import DAEMON, new_spec, open_launch
from aionoah.cli.options import check_instance, parse_user
from aionoah.cli.run import (
    allow_many_descriptors,
    forwarded_signals,
    terminal_options,
    wait_for,
)
from aionoah.host.standard_streams import reserve_standard_streams
from aionoah.instances import InstanceError
from aionoah.instances.detach import start_detached
from aionoah.instances.keeping import make, remove
from aionoah.instances.place import Lock, Place
from aionoah.instances.service import Service
from aionoah.instances.supervisor import Outside, StartError
from aionoah.statuses import status_of_signal

if TYPE_CHECKING:
    from aionoah.instances.spec import Spec
    from aionoah.subprocess import Process


def run_named(
    named: dict[str, Any],
    command: tuple[str, ...],
    instance: dict[str, Any],
    *,
    has_terminal: bool | None,
    **program: Any,  # noqa: ANN401 - of new_spec
) -> NoReturn:
    """One that cannot be started is not kept. `has_terminal`: as in run_program; in the background, only if wanted."""
    if program["image"] is None and (program["entrypoint"] is not None or not command):
        raise click.UsageError("Name a PROGRAM to run." if not command else "--entrypoint needs --image.")
    if program["image"] is not None and (instance["root"] != "/" or instance["write_through"]):
        raise click.UsageError("--image excludes --root and --rw.")
    if has_terminal is None:
        has_terminal = not named["detach"] and os.isatty(0) and os.isatty(1)
    check_instance(instance)
    if program["image"] is None:
        parse_user(program["user"])
    reserve_standard_streams()
    try:
        spec = new_spec(named, command, instance, has_terminal=has_terminal, **program)
        place = make(spec)
        if named["detach"]:
            _detach(place, spec)
        status = _attend(place, spec, is_removed=named["is_removed"])
    except (InstanceError, OSError) as error:
        fail(error, INSTANCES)
    sys.exit(status)


def _detach(place: Place, spec: "Spec") -> NoReturn:
    try:
        start_detached(place, spec, DAEMON)
    except StartError:
        remove(place)
        raise
    click.echo(spec.name)
    sys.exit(0)


def _attend(place: Place, spec: "Spec", *, is_removed: bool) -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # until it is the program's
    service = Service(place, spec, lambda: open_launch(place, spec))
    try:
        import uvloop  # noqa: PLC0415 - only now is it needed

        allow_many_descriptors()
        with contextlib.closing(Lock(place)), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            hide(place)
            status = runner.run(service.run(_Own(has_terminal=spec.has_terminal)))
    except StartError:
        is_removed = True
        raise
    except KeyboardInterrupt:
        is_removed = is_removed or not service.has_started
        status = status_of_signal(signal.SIGINT)
    finally:
        if is_removed and place.directory.is_dir():  # `rm -f` may have been quicker
            remove(place)
    return status


class _Own(Outside):
    """The caller's standard streams, or his terminal."""

    def __init__(self, *, has_terminal: bool) -> None:
        self._has_terminal = has_terminal

    def options(self) -> dict[str, Any]:
        return terminal_options() if self._has_terminal else {}

    async def attend(self, process: "Process") -> int:
        with forwarded_signals() as forward_to:
            forward_to(process)
            return await wait_for(process, has_terminal=self._has_terminal)

    def say(self, sentence: str) -> None:
        click.echo(f"aionoah: {sentence}.", err=True)
