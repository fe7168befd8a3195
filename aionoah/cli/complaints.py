"""What goes wrong, as one sentence on standard error."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

import click

from aionoah.statuses import FAILED

INSTANCES: Final = "the place of instances"
IMAGES: Final = "the store of images"


def complain(error: Exception, what: str | None = None) -> None:
    click.echo(f"aionoah: {printable(sentence_of(error, what)).rstrip('.')}.", err=True)


def sentence_of(error: Exception, what: str | None = None) -> str:
    """An OSError is about a file of the host, or about `what`. Without that it is a guest's, and a sentence already."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    if what is None:
        return error.strerror
    name = what if error.filename is None else os.fsdecode(error.filename)
    return f"{name} cannot be used: {error.strerror}"


def fail(error: Exception, what: str | None = None) -> NoReturn:
    """Complain, and exit with the status that belongs to the error."""
    complain(error, what)
    status = getattr(error, "status", None)
    sys.exit(status if isinstance(status, int) else FAILED)


@contextmanager
def one_sentence(kind: type[Exception], what: str) -> Iterator[None]:
    """Errors of a kind, and those of host files, end the command."""
    try:
        yield
    except (kind, OSError) as error:
        fail(error, what)


def printable(text: str) -> str:
    """What was written elsewhere, by an image, a registry or a guest, does nothing to a terminal; what is no UTF-8
    can be printed all the same.
    """
    known = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in known)
