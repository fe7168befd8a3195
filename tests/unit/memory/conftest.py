"""What most tests of memory start from."""

import os
import tempfile
from collections.abc import Callable, Iterator

import pytest
from fakes.files import HostFile
from fakes.machine import FakeMachine

from aionoah.abi.fcntl import O
from aionoah.memory.memory import Memory

MMAP_BASE = 0x7FFF_0000_0000


@pytest.fixture
def memory(machine: FakeMachine) -> Iterator[Memory]:
    """An address space that is closed before the machine looks for leaks."""
    made = Memory(machine, mmap_base=MMAP_BASE)
    yield made
    made.close()


@pytest.fixture
def make_file() -> Iterator[Callable[..., HostFile]]:
    """Makes files with some contents; at the end nobody but the test may hold them."""
    made: list[HostFile] = []

    def make(contents: bytes, flags: int = O.RDWR) -> HostFile:
        with tempfile.TemporaryFile() as file:
            file.write(contents)
            file.flush()
            made.append(HostFile(os.dup(file.fileno()), flags))
        return made[-1]

    yield make
    for file in made:
        os.close(file.fd)
