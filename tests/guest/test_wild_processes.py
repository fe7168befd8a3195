"""Wild arguments for the calls that make processes, wait for them and set their priorities: Linux's answers to each."""

from pathlib import Path

import pytest
from harness.guest import STATIC, Compiler, need_backend, run_in_guest, run_natively


@pytest.mark.guest
@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize("seed", ["1", "1496"])
async def test_prints_the_same(seed: str, compile_program: Compiler, tmp_path: Path) -> None:
    need_backend(STATIC)
    words = [compile_program("x86_64/wild_processes", STATIC), "100", seed]
    assert await run_in_guest(STATIC, words, tmp_path) == run_natively(words, tmp_path)
