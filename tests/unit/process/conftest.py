"""A kernel with tasks that have memory, for what threads do to each other."""

from collections.abc import Iterator

import pytest
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
