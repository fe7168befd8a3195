"""A kernel with tasks that have memory, for what threads do to each other; and families of processes."""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from fakes.family import Family, Sleeper
from fakes.machine import FakeMachine
from fakes.threads import World

from aionoah.process.futex import FutexTable
from aionoah.process.task import Task


@pytest.fixture
def world(machine: FakeMachine) -> Iterator[World]:
    made = World(machine)
    yield made
    made.close()


@pytest.fixture
def main(world: World) -> Task:
    return world.process()


@pytest.fixture
def table(world: World) -> FutexTable:
    return world.kernel.futexes


@pytest.fixture
def family(machine: FakeMachine) -> Iterator[Family]:
    """The machine sees to it that nothing is left of them."""
    made = Family(machine)
    yield made
    for task in made.tasks:
        task.process.exit_group(9)
        task.release()


@pytest.fixture
def sleep() -> Iterator[Callable[[Coroutine[Any, None, Any]], Sleeper]]:
    made: list[Sleeper] = []

    def begin(coroutine: Coroutine[Any, None, Any]) -> Sleeper:
        made.append(Sleeper(coroutine))
        return made[-1]

    yield begin
    for sleeper in made:
        sleeper.close()
