"""native/clock_page.c on a host whose clocks are slewed, set, slow to read, or stop: never back, never far off."""

import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from harness.guest import need_tool

HERE = Path(__file__).parent
NATIVE = HERE.parents[2] / "aionoah/hypervisor/native"


class Result(NamedTuple):
    worst_error_ns: int
    backwards: int
    readings: int
    refused: int


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """clock_page_host.c, whose clocks come before the C library's and whose counter before clock_page.c's own."""
    need_tool("gcc")
    directory = tmp_path_factory.mktemp("clock_page")
    compiler = ["gcc", "-O2", "-g", "-Wall", "-Werror", "-I", NATIVE]
    library = directory / "libclock_page.so"
    subprocess.run([*compiler, "-shared", "-fPIC", "-o", library, NATIVE / "clock_page.c"], check=True)
    program = directory / "clock_page_host"
    subprocess.run(
        [
            *compiler,
            "-rdynamic",
            "-o",
            program,
            HERE / "clock_page_host.c",
            library,
            "-lm",
            f"-Wl,-rpath,{directory}",
        ],
        check=True,
    )
    return program


def play(host: Path, scenario: str) -> Result:
    output = subprocess.run([host, scenario], capture_output=True, text=True, check=True).stdout
    return Result(*map(int, output.split()))


# What is allowed beside the time that a reading of a clock takes.
@pytest.mark.parametrize(
    ("scenario", "allowed_ns"),
    [
        ("steady", 50),
        ("drifting", 100),
        ("slow", 50),
        ("stepped", 50),
        ("asleep", 50),
        ("idle", 50),
        ("busy", 50),
        (
            "slewed",
            1050,
        ),  # 500 ppm more or less from one moment to the next, for the 2 ms that a page is good
    ],
)
def test_is_right_and_never_goes_back(host: Path, scenario: str, allowed_ns: int) -> None:
    result = play(host, scenario)
    assert result.backwards == 0
    assert result.worst_error_ns <= allowed_ns
    assert result.readings > 10_000
    assert result.refused < result.readings / 4


def test_a_page_grows_old(host: Path) -> None:
    """The busy guest leaves only when it has been refused."""
    assert play(host, "busy").refused >= 2000
