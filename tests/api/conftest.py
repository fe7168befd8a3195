"""An instance of Linux for each test, which must leave nothing behind, and programs to run in it."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from harness.guest import STATIC, Compiler
from harness.resources import resources, warmed_up

import aionoah

Programs = Callable[[str], str]


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiler:
    return Compiler(tmp_path_factory.mktemp("api-programs"))


@pytest.fixture
def program(compiled: Compiler) -> Programs:
    """The path of a program of programs/api/, which is the same in the guest."""
    return lambda name: str(compiled(f"api/{name}", STATIC))


@pytest.fixture
async def linux(compiled: Compiler) -> AsyncIterator[aionoah.Linux]:
    """With the compiled programs in their places. Everything it held is gone afterwards."""
    before = await warmed_up()
    async with aionoah.Linux(
        mounts={str(compiled.directory): aionoah.Mount(compiled.directory, True)}
    ) as made:
        yield made
    assert not resources().more_than(before)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path
