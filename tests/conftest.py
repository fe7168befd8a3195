"""Fakes for every test: `from fakes.machine import FakeMachine` works below this directory."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))

if TYPE_CHECKING:
    from fakes.machine import FakeMachine


@pytest.fixture
def machine() -> "Iterator[FakeMachine]":
    """A fake machine that must have got everything back at the end of the test."""
    from fakes.machine import FakeMachine

    made = FakeMachine()
    yield made
    made.close()
