"""The command line. Each command is a file, loaded when it is asked for: the quick ones stay quick."""

from importlib import import_module
from keyword import iskeyword
from typing import Final

import click

# command → the module of this package that has it, as a click command of that name.
_HOMES: Final = {
    "run": "run",
    "shell": "shell",
    "exec": "exec",
    **dict.fromkeys(("ps", "start", "stop", "restart", "kill", "rm"), "instances"),
    "logs": "logs",
    "unit": "unit",
    "doctor": "host",
    "syscalls": "host",
    "pull": "images",
    "images": "images",
    "rmi": "images",
    "import": "images",
    "bootstrap": "bootstrap",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_HOMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _HOMES:
            return None
        name = cmd_name.replace("-", "_") + "_" * iskeyword(cmd_name)
        command = getattr(import_module(f"aionoah.cli.{_HOMES[cmd_name]}"), name)
        assert isinstance(command, click.Command)  # noqa: S101 - by construction
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="aionoah")
def main() -> None:
    """Run unmodified Linux programs in a virtual machine that holds no kernel."""
