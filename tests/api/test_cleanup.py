"""Leaving the block, or being cancelled anywhere, frees threads, descriptors, frames and virtual machines."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from api.conftest import Programs
from harness.resources import Resources, resources, warmed_up

import aionoah
from aionoah import DEVNULL, PIPE
from aionoah.os_threads import _MOST_IDLE

STATES = ("spinning", "reading", "sleeping", "waiting", "calling", "writing", "forking")
"""What a guest does when it is killed: in user code, parked in a read, in a sleep, for a signal or for a child, in the
midst of system calls, in a write to a full pipe, and starting other programs."""
SPARE_MACHINES = 2
"""Virtual machines that an instance may have ready for its next processes, each with a descriptor for its CPU."""
SPARE_THREADS = _MOST_IDLE
"""Threads that wait for the next guest thread: one may be made because those before it are not back yet."""


@pytest.fixture
async def before() -> AsyncIterator[Resources]:
    found = await warmed_up()
    yield found
    assert not resources().more_than(found)


@pytest.fixture
def commands(program: Programs) -> dict[str, Sequence[str]]:
    return {
        "spinning": [program("spin")],
        "reading": ["cat"],
        "sleeping": ["sleep", "1000"],
        "waiting": [program("signals")],
        "calling": [program("calls"), "1000000000"],
        "writing": ["yes"],
        "forking": ["sh", "-c", "while :; do /bin/true; sleep 1000 & done"],
    }


async def begin(linux: aionoah.Linux, state: str, command: Sequence[str]) -> aionoah.Process:
    process = await linux.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
    if state in {"spinning", "waiting", "writing"}:
        assert process.stdout is not None
        await process.stdout.readexactly(2)  # it has begun
    return process


def here(compiled_directory: str) -> aionoah.Linux:
    return aionoah.Linux(mounts={compiled_directory: compiled_directory})


def directory_of(commands: dict[str, Sequence[str]]) -> str:
    return commands["spinning"][0].rpartition("/")[0].removesuffix("/api")


@pytest.mark.parametrize("state", STATES)
async def test_leaving_the_block(before: Resources, commands: dict[str, Sequence[str]], state: str) -> None:
    async with here(directory_of(commands)) as linux:
        process = await begin(linux, state, commands[state])
    assert process.returncode == -9


async def test_leaving_the_block_at_once(before: Resources, commands: dict[str, Sequence[str]]) -> None:
    async with here(directory_of(commands)) as linux:
        processes = [
            await linux.create_subprocess_exec(*command, stdout=PIPE) for command in commands.values()
        ]
    assert {process.returncode for process in processes} <= {-9, 0}


async def test_leaving_by_an_exception(before: Resources, commands: dict[str, Sequence[str]]) -> None:
    async def application() -> None:
        async with here(directory_of(commands)) as linux:
            for state in STATES:
                await begin(linux, state, commands[state])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await application()


@pytest.mark.parametrize("state", STATES)
async def test_cancelling_the_block(
    before: Resources, commands: dict[str, Sequence[str]], state: str
) -> None:
    is_inside = asyncio.Event()

    async def application() -> None:
        async with here(directory_of(commands)) as linux:
            process = await begin(linux, state, commands[state])
            is_inside.set()
            await process.wait()

    task = asyncio.create_task(application())
    await is_inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancelling_the_end_of_the_block(before: Resources, commands: dict[str, Sequence[str]]) -> None:
    """Impatience changes nothing: what was begun is freed to the end, and then the cancellation is passed on."""
    is_leaving = asyncio.Event()
    made = here(directory_of(commands))

    async def application() -> None:
        async with made as linux:
            for state in STATES:
                await begin(linux, state, commands[state])
            is_leaving.set()

    task = asyncio.create_task(application())
    await is_leaving.wait()
    cancels = 0
    while not task.done():
        cancels += task.cancel()
        await asyncio.sleep(0)
    assert cancels
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("turns", range(8))
async def test_cancelling_the_start(
    before: Resources, commands: dict[str, Sequence[str]], turns: int
) -> None:
    async with here(directory_of(commands)) as linux:
        in_use = linux._machine.frames.in_use
        start = asyncio.create_task(
            linux.create_subprocess_exec(*commands["spinning"], stdin=PIPE, stdout=PIPE)
        )
        for _ in range(turns):
            await asyncio.sleep(0)
        if start.cancel():
            with pytest.raises(asyncio.CancelledError):
                await start
        else:
            (await start).kill()
        while linux._threads.running:
            await asyncio.sleep(0)
        assert linux._machine.frames.in_use == in_use


async def test_cancelling_communicate_in_a_task_group(
    before: Resources, commands: dict[str, Sequence[str]]
) -> None:
    async def talk(process: aionoah.Process) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(process.communicate(b"x" * 10_000_000))
            group.create_task(fail())

    async with here(directory_of(commands)) as linux:
        process = await begin(linux, "reading", commands["reading"])
        with pytest.raises(ExceptionGroup):
            await talk(process)
    assert process.returncode == -9


async def fail() -> None:
    await asyncio.sleep(0)
    raise ZeroDivisionError


async def test_fifty_processes(
    before: Resources, program: Programs, commands: dict[str, Sequence[str]]
) -> None:
    async with here(directory_of(commands)) as linux:
        await linux.run([program("calls"), "1"], check=True, capture_output=True)
        first, in_use = resources(), linux._machine.frames.in_use
        for index in range(50):
            command = commands["spinning"] if index % 10 == 9 else [program("calls"), "1"]
            process = await linux.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
            if index % 10 == 9:
                process.kill()
            await process.communicate(b"")
        assert linux._machine.frames.in_use == in_use
        most = first.virtual_machines + SPARE_MACHINES
        while resources().virtual_machines > most:  # they are freed in the background
            await asyncio.sleep(0)
        while sum(resources().threads.values()) > sum(first.threads.values()) + SPARE_THREADS:
            await asyncio.sleep(0)
        assert sum(resources().descriptors.values()) <= sum(first.descriptors.values()) + 2 * SPARE_MACHINES
        assert not linux.kernel.guests
        assert all(task.process.is_init for task in linux.kernel.tasks.values())
        assert not linux._processes


async def test_processes_of_processes_end_with_the_block(before: Resources) -> None:
    async with aionoah.Linux() as linux:
        process = await linux.create_subprocess_exec(
            "sh", "-c", "sleep 1000 & (sleep 1000 & sleep 1000) & echo ready; exit 0", stdout=PIPE
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        assert await process.wait() == 0
        assert linux.kernel.guests, "the orphans live"
    assert all(task.process.is_init for task in linux.kernel.tasks.values())


async def test_an_application_that_ends_its_loop(
    program: Programs, commands: dict[str, Sequence[str]]
) -> None:
    """asyncio.run cancels every task when main returns, ours among them; the block must still end."""

    def application() -> Resources:
        async def main() -> None:
            is_inside = asyncio.Event()
            background.append(asyncio.create_task(in_background(is_inside)))
            await is_inside.wait()

        async def in_background(is_inside: asyncio.Event) -> None:
            async with here(directory_of(commands)) as linux:
                for state in STATES:
                    await begin(linux, state, commands[state])
                is_inside.set()
                await asyncio.Event().wait()

        background: list[asyncio.Task[None]] = []
        before = resources()
        asyncio.run(main())
        assert background[0].cancelled()
        return resources().more_than(before)

    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, int)  # its threads stay
    lost = await loop.run_in_executor(None, application)
    await loop.shutdown_default_executor()
    assert not lost.descriptors
    assert not [name for name in lost.threads if name.startswith("vcpu")]
