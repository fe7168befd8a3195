"""What of Linux's system calls there is: the table behind `aionoah syscalls`.

It is made from the number tables and the registered handlers, so that it cannot say anything else than
what happens.
"""

from collections import Counter
from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from aionoah.syscalls import load_handlers
from aionoah.syscalls.registry import find_handler

if TYPE_CHECKING:
    from aionoah.abi.architecture import Architecture


class Status(Enum):
    """How far a call is done."""

    FULL = "full"
    PARTIAL = "partial"
    ENOSYS = "ENOSYS"


class Support(NamedTuple):
    """One system call of one architecture."""

    number: int
    name: str
    status: Status
    note: str = ""  # what is missing from a partial one


def support_table(architecture: "Architecture") -> list[Support]:
    """Every number of an architecture, in order."""
    load_handlers()
    return [_support(number, name) for number, name in sorted(architecture.syscall_names.items())]


def _support(number: int, name: str) -> Support:
    handler = find_handler(name)
    if handler is None:
        return Support(number, name, Status.ENOSYS)
    if handler.partial is not None:
        return Support(number, name, Status.PARTIAL, handler.partial)
    return Support(number, name, Status.FULL)


def summary(rows: Sequence[Support]) -> str:
    """How many there are of each status, as one line."""
    counts = Counter(row.status for row in rows)
    return ", ".join(f"{counts[status]} {status.value}" for status in Status)


def as_text(architecture: "Architecture", rows: Sequence[Support]) -> str:
    """The table for a terminal."""
    width = max((len(row.name) for row in rows), default=0)
    lines = [f"{row.number:4}  {row.name:{width}}  {row.status.value:7}  {row.note}".rstrip() for row in rows]
    return "\n".join([f"{architecture.name}: {summary(rows)}", *lines, ""])


def as_markdown(architecture: "Architecture", rows: Sequence[Support]) -> str:
    """The table for the documentation."""
    lines = [f"| {row.number} | {row.name} | {row.status.value} | {_cell(row.note)} |" for row in rows]
    head = ["| Number | Call | Status | Missing |", "|---:|---|---|---|"]
    return "\n".join([f"## {architecture.name}", "", f"{summary(rows)}.", "", *head, *lines, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
