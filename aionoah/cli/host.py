"""`aionoah doctor` and `aionoah syscalls`: what works here."""

import sys

import click

from aionoah.hypervisor.select import ARCHITECTURES


@click.command()
def doctor() -> None:
    """Say what works on this host, what it costs, and how to mend what does not work."""
    from aionoah.cli.doctor import examine  # noqa: PLC0415 - `--help` need not pay for it

    sys.exit(0 if examine(click.echo) else 1)


@click.command()
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
