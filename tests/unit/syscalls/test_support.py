"""The table of what is done is made from what is there."""

from typing import Any

import pytest

from aionoah.abi.aarch64 import AARCH64
from aionoah.abi.architecture import Architecture
from aionoah.abi.x86_64 import X86_64
from aionoah.syscalls import registry, support
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.support import Status, Support, as_markdown, as_text, summary, support_table

ROWS = [
    Support(0, "read", Status.FULL),
    Support(1, "write", Status.PARTIAL, "Not | on Sundays."),
    Support(2, "open", Status.ENOSYS),
]


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two handlers and no others."""
    monkeypatch.setattr(registry, "_handlers", {})
    monkeypatch.setattr(registry, "HOMES", {})
    monkeypatch.setattr(support, "load_handlers", lambda: None)

    @syscall
    def read(task: Any) -> None: ...

    @syscall(partial="Some advice is ignored.")
    def madvise(task: Any) -> None: ...


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("architecture", [X86_64, AARCH64], ids=lambda architecture: architecture.name)
def test_every_number_has_a_row(architecture: Architecture) -> None:
    rows = support_table(architecture)
    assert {row.number: row.name for row in rows} == dict(architecture.syscall_names)
    assert [row.number for row in rows] == sorted(row.number for row in rows)


@pytest.mark.usefixtures("handlers")
def test_the_status_is_the_handlers() -> None:
    rows = {row.name: row for row in support_table(X86_64)}
    assert rows["read"].status is Status.FULL
    assert rows["madvise"].status is Status.PARTIAL
    assert rows["madvise"].note == "Some advice is ignored."
    assert rows["write"].status is Status.ENOSYS


def test_summary() -> None:
    assert summary(ROWS) == "1 full, 1 partial, 1 ENOSYS"
    assert summary([]) == "0 full, 0 partial, 0 ENOSYS"


def test_text() -> None:
    assert as_text(X86_64, ROWS).splitlines() == [
        "x86_64: 1 full, 1 partial, 1 ENOSYS",
        "   0  read   full",
        "   1  write  partial  Not | on Sundays.",
        "   2  open   ENOSYS",
    ]


def test_markdown() -> None:
    text = as_markdown(X86_64, ROWS)
    assert text.startswith("## x86_64\n\n1 full, 1 partial, 1 ENOSYS.\n\n| Number |")
    assert "| 1 | write | partial | Not \\| on Sundays. |" in text
    assert all(line.count("|") - line.count("\\|") == 5 for line in text.splitlines() if line.startswith("|"))
