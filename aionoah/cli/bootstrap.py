"""`aionoah bootstrap`: a root made of a distribution's packages."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn

import click

from aionoah.bootstrap import BootstrapError
from aionoah.bootstrap.plan import DISTRIBUTIONS, VARIANTS, Variant, new_plan
from aionoah.cli.complaints import fail
from aionoah.cli.images import Bar
from aionoah.hypervisor.errors import HypervisorError
from aionoah.hypervisor.select import ARCHITECTURES, BACKENDS, host_architecture
from aionoah.statuses import status_of_signal

if TYPE_CHECKING:
    from aionoah.bootstrap.plan import Plan


def _words(_context: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for text in texts for word in text.split(",") if word)


@click.command()
@click.option(
    "--suite", metavar="NAME", help="Release, such as bookworm or noble; Debian's stable one if not given."
)
@click.option(
    "--mirror", metavar="URL", help="Where the packages are; the distribution's own mirror if not given."
)
@click.option(
    "--arch", type=click.Choice(ARCHITECTURES), help="Architecture of the tree; the host's if not given."
)
@click.option(
    "--variant", type=click.Choice(VARIANTS), default="minbase", show_default=True, help="How much is in it."
)
@click.option("--include", multiple=True, callback=_words, metavar="NAME,...", help="Further packages.")
@click.option(
    "--components", multiple=True, callback=_words, metavar="NAME,...", help="Parts of the archive."
)
@click.option(
    "--keyring",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of keys that may sign; the system's own if not given.",
)
@click.option(
    "--hypervisor", type=click.Choice(BACKENDS), default="auto", help="What runs the packages' scripts."
)
@click.argument("distribution", type=click.Choice(list(DISTRIBUTIONS)))
@click.argument("directory", type=click.Path(path_type=Path))
def bootstrap(
    *,
    suite: str | None,
    mirror: str | None,
    arch: str | None,
    variant: Variant,
    include: tuple[str, ...],
    components: tuple[str, ...],
    keyring: Path | None,
    hypervisor: str,
    distribution: Literal["debian", "ubuntu"],
    directory: Path,
) -> None:
    """Make a root of DISTRIBUTION's packages in DIRECTORY: signatures are checked, and its scripts run as guests."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what is half-made goes
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        plan = new_plan(
            distribution,
            arch or host_architecture(),
            suite=suite,
            mirror=mirror,
            components=components,
            keyring=keyring,
            variant=variant,
            include=include,
        )
        count = _build(plan, directory, hypervisor)
    except (BootstrapError, HypervisorError, OSError) as error:
        fail(error, "the directory")
    click.echo(f"{directory}: {count} packages of {plan.distribution.name} {plan.suite}, {plan.architecture}")


def _build(plan: "Plan", directory: Path, hypervisor: str) -> int:
    try:
        from aionoah.bootstrap.building import bootstrap as build  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise BootstrapError(f"Python's {error.name} is missing: `pip install aionoah[bootstrap]`") from None
    return build(plan, directory, _stage, hypervisor=hypervisor)


def _end(number: int, _frame: object) -> NoReturn:
    sys.exit(status_of_signal(number))


@contextmanager
def _stage(name: str) -> Iterator[Bar]:
    with Bar(f"{name:10}") as bar:
        yield bar
