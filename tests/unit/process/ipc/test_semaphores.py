"""Groups of operations on semaphores, against a model and stepped by hand."""

from collections.abc import Iterator
from typing import Any

import pytest
from fakes.machine import FakeMachine
from fakes.threads import Call, World
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.errno import Errno
from aionoah.abi.ipc import IPC, SEM_UNDO
from aionoah.process.credentials import Credentials
from aionoah.process.ipc.semaphores import VALUE_MAX, Operation, SemaphoreSet
from aionoah.process.ipc.undo import UndoList
from aionoah.process.task import Task


class _Task:
    """As much of a task as semaphores want."""

    def __init__(self, pid: int) -> None:
        self.process = self
        self.pid = pid
        self.has_exited = False


def new(*values: int) -> SemaphoreSet:
    made = SemaphoreSet(0, 0o600, len(values), Credentials())
    for semaphore, value in zip(made.semaphores, values, strict=True):
        semaphore.value = value
    return made


def values(semaphores: SemaphoreSet) -> list[int]:
    return [one.value for one in semaphores.semaphores]


def call(
    semaphores: SemaphoreSet,
    *operations: tuple[int, int, int],
    task: Any = None,
    undo: UndoList | None = None,
    deadline_ns: int | None = None,
) -> Call:
    group = [Operation(*operation) for operation in operations]
    return Call(semaphores.operate(task or _Task(1), group, undo, deadline_ns))


@pytest.fixture
def main(machine: FakeMachine) -> Iterator[Task]:
    world = World(machine)
    yield world.process()
    world.close()


def test_all_or_nothing() -> None:
    made = new(1, 0)
    waits = call(made, (0, -1, 0), (1, -1, 0))
    assert (waits.outcome, values(made)) == (None, [1, 0])
    assert made.count_waiting(1, for_zero=False) == 1
    assert made.count_waiting(0, for_zero=False) == 0
    assert call(made, (1, 2, 0)).outcome == 0
    assert values(made) == [0, 1]
    assert waits.run() == 0
    assert not made.waiters


def test_what_has_been_done_counts_though_a_signal_comes_first() -> None:
    made = new(0)
    waits = call(made, (0, -1, 0))
    call(made, (0, 1, 0))
    assert waits.interrupt() == 0
    assert call(made, (0, -1, 0)).interrupt() == Errno.EINTR
    assert not made.waiters


def test_nothing_is_done_for_who_has_ended() -> None:
    made, dying = new(0), _Task(5)
    call(made, (0, -1, 0), task=dying)
    dying.has_exited = True
    call(made, (0, 1, 0))
    assert values(made) == [1]


def test_failures() -> None:
    made = new(0, VALUE_MAX)
    assert call(made, (0, 1, 0), (1, 1, 0)).outcome == Errno.ERANGE
    assert call(made, (1, -1, 0), (0, -1, IPC.NOWAIT)).outcome == Errno.EAGAIN
    assert call(made, (0, -1, 0), deadline_ns=1).outcome == Errno.EAGAIN
    waits = call(made, (0, -1, 0))
    made.remove()
    assert waits.run() == Errno.EIDRM
    assert values(made) == [0, VALUE_MAX]


def test_undoing() -> None:
    made, undo, task = new(5, 0), UndoList(), _Task(7)
    assert call(made, (0, -3, SEM_UNDO), (1, 2, SEM_UNDO), (1, 1, 0), task=task, undo=undo).outcome == 0
    waits = call(made, (0, -4, 0))
    undo.share().leave(task)  # type: ignore[arg-type]
    assert values(made) == [2, 3]
    undo.leave(task)  # type: ignore[arg-type]
    assert values(made) == [1, 1]
    assert waits.run() == 0
    assert made.semaphores[1].pid == 7
    assert not made.undo_lists


def test_nothing_is_left_to_undo_of_what_is_set_or_gone() -> None:
    made, undo = new(0, 0), UndoList()
    call(made, (0, 4, SEM_UNDO), (1, 4, SEM_UNDO), undo=undo)
    made.set_value(0, 9, 1)
    assert undo.adjustments[made] == [0, -4]
    made.set_all([1, 2], 1)
    assert undo.adjustments[made] == [0, 0]
    made.remove()
    assert not undo.adjustments


def test_the_end_of_a_task_undoes(main: Task) -> None:
    made, main.semaphore_undo = new(0), UndoList()
    Call(made.operate(main, [Operation(0, 3, SEM_UNDO)], main.semaphore_undo, None))
    main.exit(0)
    assert values(made) == [0]


@given(
    st.lists(
        st.lists(
            st.tuples(st.integers(0, 2), st.integers(-3, 3), st.sampled_from([0, SEM_UNDO])),
            min_size=1,
            max_size=3,
        ),
        max_size=12,
    )
)
def test_undoing_everything_leads_back(groups: list[list[tuple[int, int, int]]]) -> None:
    """Whatever could be done: with SEM_UNDO throughout, the values are those of the beginning."""
    made, undo = new(4, 4, 4), UndoList()
    for group in groups:
        call(made, *((number, change, SEM_UNDO | IPC.NOWAIT) for number, change, _ in group), undo=undo)
        assert all(0 <= value <= VALUE_MAX for value in values(made))
    undo.leave(_Task(1))  # type: ignore[arg-type]
    assert values(made) == [4, 4, 4]
