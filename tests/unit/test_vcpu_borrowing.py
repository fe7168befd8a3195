"""When a virtual CPU is lent a file."""

from types import SimpleNamespace
from typing import Any

import pytest

from aionoah.vcpu_borrowing import Borrowing


class Mailboxes:
    def __init__(self) -> None:
        self.lent: list[tuple[object, int, object]] = []

    def lend(self, vcpu: object, number: int, loan: object) -> None:
        self.lent.append((vcpu, number, loan))


def file(loan: object) -> SimpleNamespace:
    return SimpleNamespace(lend=lambda: loan)


@pytest.fixture
def mailboxes() -> Mailboxes:
    return Mailboxes()


@pytest.fixture
def task() -> Any:
    files = {3: file("loan"), 4: file(None), 5: file("other")}
    return SimpleNamespace(files=files, process=SimpleNamespace(limits=SimpleNamespace(file_size=None)))


def note(mailboxes: Any, task: Any, *transfers: tuple[int, int, int]) -> list[tuple[object, int, object]]:
    """Of descriptor, bytes asked for and bytes moved."""
    vcpu: Any = "vcpu"
    borrowing = Borrowing(mailboxes, vcpu, frozenset({0}))
    for fd, count, done in transfers:
        borrowing.note(task, (fd, 0, count), done)
    found: list[tuple[object, int, object]] = mailboxes.lent
    return found


def test_the_second_transfer_shows_that_there_will_be_more(mailboxes: Mailboxes, task: Any) -> None:
    assert note(mailboxes, task, (3, 10, 10)) == []
    assert note(mailboxes, task, (3, 10, 10), (3, 20, 20)) == [("vcpu", 3, "loan")]


@pytest.mark.parametrize(
    "transfers",
    [
        [(3, 10, 10), (5, 10, 10), (3, 10, 10)],
        [(3, 10, 10), (3, 10, 4)],
        [(3, 10, 4), (3, 10, 0)],
        [(3, 10, 10), (3, 10, 4), (3, 10, 10)],
        [(4, 10, 10), (4, 10, 10)],
        [(99, 10, 10), (99, 10, 10)],  # closed meanwhile, by another thread
    ],
)
def test_nothing_is_lent(mailboxes: Mailboxes, task: Any, transfers: list[tuple[int, int, int]]) -> None:
    assert note(mailboxes, task, *transfers) == []


def test_who_may_not_make_large_files_asks_each_time(mailboxes: Mailboxes, task: Any) -> None:
    task.process.limits.file_size = 1 << 20
    assert note(mailboxes, task, (3, 10, 10), (3, 10, 10)) == []
