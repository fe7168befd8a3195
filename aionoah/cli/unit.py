"""`aionoah unit`: an instance as a service of systemd or launchd."""

import os
import sys
from typing import Final

import click

from aionoah.cli.complaints import INSTANCES, one_sentence
from aionoah.instances import InstanceError
from aionoah.instances.place import Place
from aionoah.instances.spec import read_spec

_WHERE: Final = ("AIONOAH_HOME", "XDG_STATE_HOME")  # it may be somewhere else than usual


@click.command()
@click.option(
    "--systemd/--launchd",
    "is_systemd",
    default=sys.platform != "darwin",
    help="For which; the host's if not given.",
)
@click.argument("name")
def unit(*, is_systemd: bool, name: str) -> None:
    """Print a description of the instance NAME for systemd or launchd, to be started by them.

    For systemd it belongs into ~/.config/systemd/user/aionoah-NAME.service, or /etc/systemd/system if it is root's; for
    launchd into ~/Library/LaunchAgents/aionoah.NAME.plist.
    """
    from aionoah.instances.units import launchd_plist, systemd_unit  # noqa: PLC0415 - plistlib is slow to import

    with one_sentence(InstanceError, INSTANCES):
        spec = read_spec(Place(name))
    words = [sys.executable, "-P", "-m", "aionoah", "start", "--foreground", name]
    variables = {variable: os.environ[variable] for variable in _WHERE if os.environ.get(variable)}
    if is_systemd:
        click.echo(systemd_unit(spec, words, variables, for_everybody=os.geteuid() == 0), nl=False)
    else:
        click.echo(launchd_plist(spec, words, variables), nl=False)
