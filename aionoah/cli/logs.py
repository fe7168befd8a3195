"""`aionoah logs`: what the program of an instance has said."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing

import click

from aionoah.cli.complaints import INSTANCES, one_sentence
from aionoah.cli.numbers import parse_number
from aionoah.instances import InstanceError
from aionoah.instances import client as clients
from aionoah.instances.logs import LogReader, Record, parse_since, selected
from aionoah.instances.place import Place, holder


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on until the instance ends.")
@click.option("-n", "--tail", metavar="N", default="all", help="Only the last N lines.")
@click.option("--since", metavar="TIME", help="Only what is newer: 10m, or 2026-01-31T12:00:00.")
@click.option("-t", "--timestamps", is_flag=True, help="With the time of each line.")
@click.argument("name")
def logs(*, follow: bool, tail: str, since: str | None, timestamps: bool, name: str) -> None:
    """Print what the program of an instance has said since it was made; what it said on stderr to stderr."""
    lines = parse_number(tail)
    if tail != "all" and lines is None:
        raise click.BadParameter(f"{tail!r} is no number of lines.")
    try:
        oldest = None if since is None else parse_since(since, time.time_ns())
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{since!r} is no time: write 10m, or 2026-01-31T12:00:00.") from None
    try:
        with one_sentence(InstanceError, INSTANCES):
            _print(Place(name), _Printer(with_times=timestamps), lines, oldest, follow=follow)
    except KeyboardInterrupt:
        sys.exit(130)


def _print(place: Place, printer: "_Printer", tail: int | None, since: bytes | None, *, follow: bool) -> None:
    """InstanceError, OSError."""
    place.check_exists()
    with closing(LogReader(place.logs)) as reader:
        try:
            printer.print(selected(reader.new(), tail=tail, since=since))
            for _ in _news(place) if follow else ():
                printer.print(selected(reader.new(), tail=None, since=since))
        except BrokenPipeError:  # `| head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter would complain at its end


def _news(place: Place) -> Iterator[None]:
    """Each time there may be more, until the instance has ended, and once then."""
    try:
        with clients.Connection(place) as connection:
            yield from clients.news(connection)
    except InstanceError:
        if holder(place) is not None:
            raise
    yield


class _Printer:
    def __init__(self, *, with_times: bool) -> None:
        self._with_times = with_times
        self._is_begun: dict[str, bool] = {}  # a line of the stream has only partly been printed

    def print(self, records: Iterator[Record]) -> None:
        """BrokenPipeError."""
        for record in records:
            out = sys.stdout if record.stream == "stdout" else sys.stderr
            if out is None:  # it has been closed
                continue
            text = record.text if record.stream != "aionoah" else b"aionoah: " + record.text
            if self._with_times and not self._is_begun.get(record.stream):
                text = record.time + b" " + text
            out.buffer.write(text + b"\n" * record.is_whole)
            self._is_begun[record.stream] = not record.is_whole
        for each in (sys.stdout, sys.stderr):
            if each is not None:
                each.flush()
