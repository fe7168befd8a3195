"""The command line. Each command is a file, loaded when it is asked for: the quick ones stay quick."""

import errno
import sys
from contextlib import suppress
from importlib import import_module
from keyword import iskeyword
from typing import Any, Final

import click

from aionoah.cli.loading import loaded
from aionoah.statuses import FAILED

_LONGEST: Final = 200  # characters of a sentence
_INTERRUPTED: Final = 130  # as shells have it
_UNWRITABLE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # a broken pipe is click's business
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
        loaded()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The whole first sentence of each, where click would cut it."""
        commands = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        with formatter.section("Commands"):
            formatter.write_dl([(name, each.get_short_help_str(_LONGEST)) for name, each in commands if each])

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # who wants to do something else then has said so
            sys.exit(_INTERRUPTED)

    def main(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - click's signature
        try:
            return super().main(*arguments, **options)
        except OSError as error:
            if error.errno not in _UNWRITABLE or error.filename is not None:
                raise
            click.echo(f"aionoah: the output cannot be written: {error.strerror}.", err=True)
            with suppress(OSError):  # what is left in it cannot be written either
                sys.stdout.close()
            sys.exit(FAILED)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="aionoah")
def main() -> None:
    """Run unmodified Linux programs in a virtual machine that holds no kernel."""
