"""A frame that the host writes to beside the kernel lock, while guests' rights to it change."""

import subprocess
from pathlib import Path

from harness.guest import need_tool

import aionoah.hypervisor

NATIVE = Path(aionoah.hypervisor.__file__).parent / "native"
EXPECTED = """\
before: 0 guarded, 2 not
it: 2 guarded, 0 not
around: 2 guarded, 0 not
behind: 0 guarded, 2 not
no more: 0 guarded, 2 not
"""


def test_a_guarded_frame_stays_writable_for_who_holds_the_guard(tmp_path: Path) -> None:
    need_tool("gcc")
    program = tmp_path / "frames_guard"
    sources = [Path(__file__).with_name("frames_guard.c"), NATIVE / "frames.c"]
    subprocess.run(["gcc", "-O1", f"-I{NATIVE}", "-o", program, *sources, "-lpthread"], check=True)
    assert subprocess.run([program], capture_output=True, text=True, check=True).stdout == EXPECTED
