"""What a program sees of the exceptions that its own instructions cause, and of frames that it has forged."""

from pathlib import Path

import pytest
from harness.guest import STATIC, Compiler, need_backend, run_in_guest, run_natively


@pytest.mark.guest
@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize(
    "source", ["exceptions", "forged_frames", "handler_registers", "signals_in_loops", "wild_signals"]
)
async def test_prints_the_same(source: str, compile_program: Compiler, tmp_path: Path) -> None:
    need_backend(STATIC)
    binary = compile_program(f"x86_64/{source}", STATIC)
    assert await run_in_guest(STATIC, [binary], tmp_path) == run_natively([binary], tmp_path)
