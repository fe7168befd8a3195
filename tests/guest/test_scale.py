"""Many of something. On KVM only: an emulated CPU takes too long to make."""

from pathlib import Path

import pytest
from harness.guest import STATIC, Compiler, need_backend, run_in_guest, run_natively


@pytest.mark.guest
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_more_threads_than_virtual_cpus(compile_program: Compiler, tmp_path: Path) -> None:
    need_backend(STATIC)
    binary = compile_program("scale/threads_many", STATIC)
    assert await run_in_guest(STATIC, [binary], tmp_path) == run_natively([binary], tmp_path)
