"""Tables for people."""

from collections.abc import Sequence

import click

from aionoah.cli.complaints import printable


def print_table(*rows: Sequence[str]) -> None:
    """Columns as wide as they have to be; the first row is their titles."""
    cells = [list(map(printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        click.echo("  ".join(f"{word:{width}}" for word, width in zip(row, widths, strict=True)).rstrip())
