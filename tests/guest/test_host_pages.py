"""Pages of host files that vanish. On KVM only: Unicorn cannot undo an access that has begun, so there the
program goes on with zeros to the end of its basic block.
"""

from pathlib import Path

import pytest
from harness.guest import DYNAMIC, STATIC, Compiler, Target, need_backend, run_in_guest, run_natively


@pytest.mark.guest
@pytest.mark.parametrize("target", [STATIC, DYNAMIC], ids=lambda target: target.name)
async def test_a_file_is_cut_short(target: Target, compile_program: Compiler, tmp_path: Path) -> None:
    need_backend(target)
    binary = compile_program("host_pages/lost_page", target)
    assert await run_in_guest(target, [binary, tmp_path], tmp_path) == run_natively(
        [binary, tmp_path], tmp_path
    )
