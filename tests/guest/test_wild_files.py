"""Wild arguments for the calls on files: Linux's answers to each, on the host's files, in memory and on an overlay."""

from pathlib import Path

import pytest
from harness.guest import STATIC, Compiler, need_backend, run_in_guest, run_natively


@pytest.mark.guest
@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize("seed", ["20011", "200113", "200116"])
@pytest.mark.parametrize("place", ["", "/tmp", "/var/tmp"])
async def test_prints_the_same(seed: str, place: str, compile_program: Compiler, tmp_path: Path) -> None:
    need_backend(STATIC)
    program = compile_program("x86_64/wild_files", STATIC)
    expected = run_natively([program, tmp_path, seed], tmp_path)
    actual = await run_in_guest(STATIC, [program, place or tmp_path, seed], tmp_path)
    assert actual == expected
