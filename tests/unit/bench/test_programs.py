"""Reading what a benchmark's program prints."""

from pathlib import Path

import pytest

from bench.programs import GUEST_DIRECTORY, Programs, Timed, time_native


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


async def test_nanoseconds_and_a_result(tmp_path: Path) -> None:
    assert await time_native(script(tmp_path / "program", "echo 1500 7")) == Timed(1.5e-6, 7)


async def test_a_program_that_fails_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ended with 3"):
        await time_native(script(tmp_path / "program", "echo 1500 7; exit 3"))


def test_what_is_compiled_is_not_compiled_again(tmp_path: Path) -> None:
    (tmp_path / "sieve").write_bytes(b"kept")
    programs = Programs(tmp_path)
    assert programs.guest("sieve") == f"{GUEST_DIRECTORY}/sieve"
    assert Path(programs.native("sieve")).read_bytes() == b"kept"
