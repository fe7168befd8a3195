"""Several instances and many guests in one loop, which is never blocked."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from api.conftest import Programs

import aionoah
from aionoah import PIPE
from aionoah.fs import FileSystem, Stat


class Heartbeat:
    """Counts the turns of a loop."""

    def __init__(self) -> None:
        self.count = 0

    async def beat(self) -> None:
        while True:
            self.count += 1
            await asyncio.sleep(0)

    async def goes_on(self) -> None:
        """Return after ten more beats."""
        seen = self.count
        while self.count < seen + 10:
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def heartbeat() -> AsyncIterator[Heartbeat]:
    heart = Heartbeat()
    task = asyncio.create_task(heart.beat())
    yield heart
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_twenty_guests_at_once(linux: aionoah.Linux) -> None:
    data = [bytes([number]) * 100_000 for number in range(20)]
    runs = [linux.run(["sha256sum"], input=piece, capture_output=True) for piece in data]
    for piece, done in zip(data, await asyncio.gather(*runs), strict=True):
        assert done.stdout.split()[0].decode() == hashlib.sha256(piece).hexdigest()


async def test_twenty_guests_in_every_state(linux: aionoah.Linux, program: Programs) -> None:
    parked = [await linux.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE) for _ in range(8)]
    spinning = [await linux.create_subprocess_exec(program("spin"), stdout=PIPE) for _ in range(4)]
    asleep = [await linux.create_subprocess_exec("sleep", "1000") for _ in range(8)]
    outputs = await asyncio.gather(*(cat.communicate(b"%d" % cat.pid) for cat in parked))
    assert [out for out, _ in outputs] == [b"%d" % cat.pid for cat in parked]
    for process in spinning + asleep:
        process.kill()
    assert {await process.wait() for process in spinning + asleep} == {-9}


async def test_a_pipeline_through_the_application(linux: aionoah.Linux) -> None:
    numbers = await linux.create_subprocess_exec("seq", "1000", stdout=PIPE)
    total = await linux.create_subprocess_exec("awk", "{s+=$1} END {print s}", stdin=PIPE, stdout=PIPE)
    assert numbers.stdout is not None
    assert total.stdin is not None
    while piece := await numbers.stdout.read(100):
        total.stdin.write(piece)
        await total.stdin.drain()
    assert await total.communicate() == (b"500500\n", None)
    assert await numbers.wait() == 0


async def test_instances_are_worlds_of_their_own() -> None:
    async with aionoah.Linux(hostname="one") as one, aionoah.Linux(hostname="two") as two:
        await asyncio.gather(
            one.run(["sh", "-c", "echo 1 > /tmp/mine"], check=True),
            two.run(["sh", "-c", "echo 2 > /tmp/mine"], check=True),
        )
        for linux, name, content in ((one, b"one\n", b"1\n"), (two, b"two\n", b"2\n")):
            assert (await linux.run(["hostname"], capture_output=True)).stdout == name
            assert (await linux.run(["cat", "/tmp/mine"], capture_output=True)).stdout == content


class Slow(FileSystem):
    """Whose every answer has to be waited for."""

    async def stat(self, path: str) -> Stat:
        return Stat("directory") if path == "/" else Stat()

    async def listdir(self, path: str) -> list[str]:
        return ["hostname"]

    async def read(self, path: str, offset: int, size: int) -> bytes:
        return b"late\n"


@pytest.mark.parametrize("is_slow", [False, True])
async def test_an_instance_is_called_what_its_tree_says(tmp_path: Path, *, is_slow: bool) -> None:
    (tmp_path / "hostname").write_text("# of the tree\nwonderland\n")
    shown: Any = {"/etc": Slow()} if is_slow else {"/etc/hostname": str(tmp_path / "hostname")}
    async with aionoah.Linux(mounts=shown) as linux:
        name = (await linux.run(["hostname"], capture_output=True)).stdout
        assert name == (b"aionoah\n" if is_slow else b"wonderland\n")


async def test_one_instance_ends_and_another_goes_on(program: Programs, linux: aionoah.Linux) -> None:
    cat = await linux.create_subprocess_exec("cat", stdin=PIPE, stdout=PIPE)
    async with aionoah.Linux() as other:
        await other.create_subprocess_exec("sleep", "1000")
    assert await cat.communicate(b"still here") == (b"still here", None)


async def test_kvm_and_unicorn_side_by_side() -> None:
    async with aionoah.Linux() as one, aionoah.Linux(hypervisor="unicorn") as two:
        done = await asyncio.gather(
            *(linux.run(["echo", "same"], capture_output=True) for linux in (one, two))
        )
    assert {each.stdout for each in done} == {b"same\n"}


async def test_the_loop_goes_on_while_guests_spin(linux: aionoah.Linux, program: Programs) -> None:
    async with heartbeat() as heart:
        processes = [await linux.create_subprocess_exec(program("spin"), stdout=PIPE) for _ in range(3)]
        for process in processes:
            assert process.stdout is not None
            await process.stdout.readline()
            await heart.goes_on()
        assert {process.returncode for process in processes} == {None}
        for process in processes:
            process.kill()
            await process.wait()
            await heart.goes_on()


async def test_the_loop_goes_on_during_many_system_calls(linux: aionoah.Linux, program: Programs) -> None:
    async with heartbeat() as heart:
        process = await linux.create_subprocess_exec(program("calls"), "1000000000", stdout=PIPE)
        while process.cpu_time.system < 0.02:
            await heart.goes_on()
        await heart.goes_on()
        assert process.returncode is None
        process.kill()
        assert await process.wait() == -9
        done = await linux.run([program("calls"), "2000"], stdout=PIPE)
        assert (done.returncode, done.stdout) == (0, b"2000 calls\n")


async def test_the_loop_goes_on_on_unicorn(program: Programs, linux: aionoah.Linux) -> None:
    place = program("spin").rpartition("/")[0]
    async with aionoah.Linux(hypervisor="unicorn", mounts={place: place}) as other, heartbeat() as heart:
        process = await other.create_subprocess_exec(program("spin"), stdout=PIPE)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"spinning\n"
        await heart.goes_on()
        process.kill()
        assert await process.wait() == -9


async def test_an_instance_in_which_all_sleeps_starts_programs(linux: aionoah.Linux) -> None:
    """On a thread that has served another, when nobody else takes the kernel lock."""
    await linux.create_subprocess_exec("/bin/sleep", "1000")
    for _ in range(3):
        assert (await linux.run(["/bin/true"])).returncode == 0
        while not linux._threads._os_threads._idle:
            await asyncio.sleep(0)


async def test_an_upper_directory_is_free_when_its_instance_has_ended(tmp_path: Path) -> None:
    """At once, whether anything has been changed in it or not."""
    for _ in range(3):
        async with aionoah.Linux(upper=tmp_path / "upper") as linux:
            assert (await linux.run(["/bin/true"])).returncode == 0
