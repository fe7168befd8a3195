"""What a program sees of the exceptions that its own instructions cause."""

from pathlib import Path

import pytest
from harness.guest import STATIC, Compiler, need_backend, run_in_guest, run_natively


@pytest.mark.guest
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_exceptions_of_x86_64(compile_program: Compiler, tmp_path: Path) -> None:
    need_backend(STATIC)
    binary = compile_program("x86_64/exceptions", STATIC)
    assert await run_in_guest(STATIC, [binary], tmp_path) == run_natively([binary], tmp_path)
