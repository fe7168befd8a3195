"""Guests that go wrong: they die as they would on Linux, and nothing else does."""

import re
import signal
from pathlib import Path

import pytest
from api.conftest import Programs
from harness.guest import STATIC, need_backend

import aionoah

ILL, SEGV, FPE, TRAP, ABRT, BUS = (
    signal.SIGILL,
    signal.SIGSEGV,
    signal.SIGFPE,
    signal.SIGTRAP,
    signal.SIGABRT,
    signal.SIGBUS,
)
CRASHES = {
    "illegal": ILL,
    "wild_jump": SEGV,
    "kernel_jump": SEGV,
    "run_data": SEGV,
    "stack_overflow": SEGV,
    "null_write": SEGV,
    "wild_write": SEGV,
    "noncanonical_write": SEGV,
    "code_write": SEGV,
    "privileged": SEGV,
    "divide": FPE,
    "breakpoint": TRAP,
    "abort": ABRT,
}
MEMORY = 64 << 20


@pytest.mark.parametrize("way", CRASHES)
async def test_dies_of_the_signal(linux: aionoah.Linux, program: Programs, way: str) -> None:
    in_use = linux._machine.frames.in_use
    done = await linux.run([program("crash"), way], capture_output=True)
    assert (done.returncode, done.stdout) == (-CRASHES[way], b"")
    assert linux._machine.frames.in_use == in_use
    assert (await linux.run([program("calls"), "1"])).returncode == 0, "the others live on"


@pytest.mark.parametrize("way", ["illegal", "wild_jump", "null_write", "divide", "stack_overflow"])
async def test_dies_on_unicorn_too(program: Programs, way: str) -> None:
    place = str(Path(program("crash")).parent)
    async with aionoah.Linux(hypervisor="unicorn", mounts={place: place}) as linux:
        assert (await linux.run([program("crash"), way])).returncode == -CRASHES[way]


async def test_one_dies_and_its_neighbour_does_not(linux: aionoah.Linux, program: Programs) -> None:
    neighbour = await linux.create_subprocess_exec("cat", stdin=aionoah.PIPE, stdout=aionoah.PIPE)
    for way, number in CRASHES.items():
        assert (await linux.run([program("crash"), way])).returncode == -number
    assert await neighbour.communicate(b"well") == (b"well", None)


@pytest.mark.parametrize("private", [False, True])
async def test_the_lost_page_of_a_mapped_file(program: Programs, work: Path, private: bool) -> None:
    """On Unicorn the first access sees zeros, and only later ones fail."""
    need_backend(STATIC)
    place = str(Path(program("lost_page")).parent)
    async with aionoah.Linux(mounts={place: place, "/work": work}) as linux:
        command = [program("lost_page"), "/work/file", *["private"] * private]
        done = await linux.run(command, capture_output=True)
        assert (done.returncode, done.stdout) == (-BUS, b"x\nx\n")


@pytest.mark.parametrize("hypervisor", ["auto", "unicorn"])
async def test_memory_runs_out(program: Programs, hypervisor: str) -> None:
    """The program is told so, or dies of it; the next one has it all again."""
    place = str(Path(program("eat")).parent)
    async with aionoah.Linux(memory=MEMORY, hypervisor=hypervisor, mounts={place: place}) as linux:
        in_use = linux._machine.frames.in_use
        for _ in range(3):
            done = await linux.run([program("eat")], capture_output=True)
            assert (done.returncode, done.stdout) == (0, b"Cannot allocate memory after some\n")
            assert linux._machine.frames.in_use == in_use


@pytest.mark.parametrize("length", [1 << 30, 1 << 40])
async def test_more_memory_than_there_is_in_one_piece(program: Programs, length: int) -> None:
    place = str(Path(program("eat")).parent)
    async with aionoah.Linux(memory=MEMORY, mounts={place: place}) as linux:
        done = await linux.run([program("eat"), str(length)], capture_output=True)
        told = done.returncode == 3 and re.fullmatch(b"mmap: Cannot allocate memory\n", done.stdout)
        assert told or done.returncode == -signal.SIGKILL
        assert (await linux.run([program("eat"), str(16 << 20)], capture_output=True)).stdout == b"touched\n"


async def test_too_little_memory_to_start(program: Programs) -> None:
    place = str(Path(program("eat")).parent)
    async with aionoah.Linux(memory=64 << 10, mounts={place: place}) as linux:
        in_use = linux._machine.frames.in_use
        for _ in range(2):
            with pytest.raises((OSError, MemoryError)):
                await linux.run([program("eat")])
        assert linux._machine.frames.in_use == in_use
