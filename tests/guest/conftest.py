"""Fixtures of the guest tests."""

import pytest
from harness.guest import Compiler


@pytest.fixture(scope="session")
def compile_program(tmp_path_factory: pytest.TempPathFactory) -> Compiler:
    return Compiler(tmp_path_factory.mktemp("programs"))
