"""`aionoah pull`, `images`, `rmi` and `import`: the store of images."""

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import click

from aionoah.cli.complaints import IMAGES, one_sentence
from aionoah.cli.numbers import parse_size
from aionoah.cli.tables import print_table
from aionoah.hypervisor.select import ARCHITECTURES, host_architecture
from aionoah.images import ImageError

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

    from aionoah.images.archive import Limits
    from aionoah.images.store import Record

_ARCHITECTURE: Final = click.option(
    "--arch", type=click.Choice(ARCHITECTURES), help="Architecture of the image; the host's if not given."
)
_UNITS: Final = ("B", "KB", "MB", "GB")


_LIMIT: Final = click.option(
    "--limit",
    metavar="SIZE",
    callback=lambda _context, _option, text: parse_size(text),
    help="How large each layer may be when unpacked (64G).",
)


@click.command()
@_ARCHITECTURE
@_LIMIT
@click.option("--http", "plain_http", is_flag=True, help="Talk to the registry without encryption.")
@click.argument("image")
def pull(*, arch: str | None, limit: int | None, plain_http: bool, image: str) -> None:
    """Fetch IMAGE from its registry: NAME, NAME:TAG, HOST/NAME:TAG or NAME@sha256:DIGEST."""
    with one_sentence(ImageError, IMAGES):
        try:
            import aionoah.images.registry  # noqa: F401, PLC0415 - an extra
        except ModuleNotFoundError as error:
            raise ImageError(f"Python's {error.name} is missing: `pip install aionoah[images]`") from None
        from aionoah.images.pull import pull as fetch  # noqa: PLC0415
        from aionoah.images.reference import Reference  # noqa: PLC0415
        from aionoah.images.store import Store  # noqa: PLC0415

        reference = Reference.parse(image)
        with Bar(str(reference)) as bar:
            record = fetch(
                Store(),
                reference,
                arch or host_architecture(),
                bar,
                limits=_limits(limit),
                plain_http=plain_http,
            )
    _say(record)


@click.command()
def images() -> None:
    """List the images there are."""
    from aionoah.images.store import Store  # noqa: PLC0415

    with one_sentence(ImageError, IMAGES):
        records = Store().records()
    print_table(("IMAGE", "ARCHITECTURE", "CONFIGURATION", "PULLED", "SIZE"), *map(_row, records))


def _row(record: "Record") -> tuple[str, ...]:
    pulled = time.strftime("%Y-%m-%d %H:%M", time.localtime(record.pulled))
    short = record.config.removeprefix("sha256:")[:12]
    return record.name, record.architecture, short, pulled, _show_size(record.size)


@click.command()
@click.argument("names", metavar="IMAGE...", nargs=-1, required=True)
def rmi(*, names: tuple[str, ...]) -> None:
    """Remove images, and what no other image shares of them."""
    from aionoah.images.reference import Reference  # noqa: PLC0415
    from aionoah.images.store import Store  # noqa: PLC0415

    with one_sentence(ImageError, IMAGES):
        for name in names:
            Store().remove(str(Reference.parse(name)))


@click.command("import")
@_ARCHITECTURE
@_LIMIT
@click.argument("tarball", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("name", required=False)
def import_(*, arch: str | None, limit: int | None, tarball: Path, name: str | None) -> None:
    """Enter the images in TARBALL (of `docker save` or `skopeo copy`), or the tree of files in it as NAME."""
    from aionoah.images.importing import import_tarball  # noqa: PLC0415
    from aionoah.images.store import Store  # noqa: PLC0415

    with one_sentence(ImageError, IMAGES):
        records = import_tarball(Store(), tarball, name, arch or host_architecture(), limits=_limits(limit))
    for record in records:
        _say(record)


def _limits(size: int | None) -> "Limits":
    from aionoah.images.archive import Limits  # noqa: PLC0415

    return Limits() if size is None else Limits(size=size)


def _say(record: "Record") -> None:
    click.echo(f"{record.name} {record.architecture} {record.manifest} {_show_size(record.size)}")


def _show_size(size: int) -> str:
    number, unit = float(size), 0
    while number >= 1000 and unit < len(_UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.3g} {_UNITS[unit]}"


class Bar:
    """A bar on standard error if that is a terminal; nothing otherwise."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._lock = threading.Lock()
        self._bar: ProgressBar[Any] | None = None
        self._make: Callable[[int], ProgressBar[Any]] = lambda total: click.progressbar(
            length=total, label=self._label, file=sys.stderr
        )

    def begin(self, total: int) -> None:
        if total and sys.stderr.isatty():
            self._bar = self._make(total)
            self._bar.__enter__()

    def came(self, count: int) -> None:
        with self._lock:
            if self._bar is not None:
                self._bar.update(count)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self._bar is not None:
                self._bar.__exit__(None, None, None)
