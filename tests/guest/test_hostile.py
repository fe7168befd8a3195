"""Guests that attack: whatever they do, the application lives, no error of ours shows, nothing is left, and a
neighbour in the same instance computes what is right.
"""

import asyncio
import logging
import os
import random
import signal
import struct
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
from harness.guest import STATIC, Compiler, need_backend
from harness.resources import resources, warmed_up

import aionoah
from aionoah import DEVNULL, PIPE
from aionoah.host.waiting import kernel_lock

MEMORY = 2 << 30
POOL = "aionoah-host"  # threads for the host's slow calls, which stay for the next one

pytestmark = pytest.mark.guest


@pytest.fixture(autouse=True)
def no_errors_of_ours(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A thread that dies of an error in aionoah, and a callback of the loop that fails, say so in the log."""
    yield
    assert not [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.fixture
async def linux(compile_program: Compiler, tmp_path: Path) -> AsyncIterator[aionoah.Linux]:
    """An instance that must give everything back."""
    need_backend(STATIC)
    before = await warmed_up()
    (tmp_path / "work").mkdir(mode=0o777)
    compile_program.directory.chmod(0o755)  # for guests that are other users
    programs = aionoah.Mount(compile_program.directory, read_only=True)
    places = {"/programs": programs, "/work": tmp_path / "work"}
    async with aionoah.Linux(mounts=places, memory=MEMORY) as made:
        yield made
        while made._threads.running:
            await asyncio.sleep(0)
        assert not made.kernel.guests
        assert [task.tid for task in made.kernel.tasks.values()] == [made.kernel.init.pid]
    left = resources().more_than(before)
    assert not left.descriptors
    assert not [name for name in left.threads if not name.startswith(POOL)]


@pytest.fixture
async def neighbour(linux: aionoah.Linux, compile_program: Compiler) -> AsyncIterator[aionoah.Process]:
    """A program that does sums all the while."""
    program = compiled(compile_program, "hostile/neighbour")
    process = await linux.create_subprocess_exec(program, stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
    yield process
    out, _ = await process.communicate(b"")
    assert (process.returncode, out) == (0, b"always right\n")


def compiled(compile_program: Compiler, source: str) -> str:
    """Where the guest has a program, which other users may reach."""
    path = compile_program(source, STATIC, "-pthread", "-w")
    return f"/programs/{path.relative_to(compile_program.directory)}"


async def attack(linux: aionoah.Linux, command: Sequence[str], user: int = 0) -> bytes:
    done = await linux.run(
        command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, user=user, group=user, cwd="/tmp"
    )
    assert done.returncode == 0
    assert done.stdout is not None
    return done.stdout


@pytest.mark.parametrize("user", [0, 1000])
@pytest.mark.parametrize("threads", [0, 3])
@pytest.mark.parametrize("seed", [1, 11])
async def test_every_call_with_every_argument(
    linux: aionoah.Linux,
    neighbour: aionoah.Process,
    compile_program: Compiler,
    user: int,
    threads: int,
    seed: int,
) -> None:
    program = compiled(compile_program, "hostile/calls")
    out = await attack(linux, [program, str(seed), "0", "3000", str(threads)], user)
    assert out.endswith(b"survived\n")


@pytest.mark.parametrize("seed", [1, 2])
async def test_wild_instructions_memory_and_frames(
    linux: aionoah.Linux, neighbour: aionoah.Process, compile_program: Compiler, seed: int
) -> None:
    program = compiled(compile_program, "hostile/wild")
    out = await attack(linux, [program, str(seed), "0", "280"])
    assert b"wrong" not in out
    assert out.endswith(b"survived\n")


@pytest.mark.parametrize("seed", [1, 2])
async def test_forged_mail(
    linux: aionoah.Linux, neighbour: aionoah.Process, compile_program: Compiler, seed: int
) -> None:
    """Threads write to the pages where calls of others, and handlers, are answered without exits."""
    program = compiled(compile_program, "hostile/mailbox")
    assert (await attack(linux, [program, str(seed), "0", "12"])).endswith(b"survived\n")


@pytest.mark.parametrize("seed", [1, 2])
async def test_too_much_of_everything(
    linux: aionoah.Linux, neighbour: aionoah.Process, compile_program: Compiler, seed: int
) -> None:
    program = compiled(compile_program, "hostile/mix")
    assert (await attack(linux, [program, str(seed), "0", "22"])).endswith(b"survived\n")


@pytest.mark.parametrize("user", [0, 1000])
async def test_tracers_and_tracees(
    linux: aionoah.Linux, neighbour: aionoah.Process, compile_program: Compiler, user: int
) -> None:
    program = compiled(compile_program, "hostile/trace")
    assert (await attack(linux, [program, "1", "0", "8"], user)).endswith(b"survived\n")


# -- the host's files ---------------------------------------------------------------------------------------


def look_at(tree: Path) -> list[object]:
    """All there is to see of a host's tree, times of reading aside."""

    def seen(path: Path) -> tuple[object, ...]:
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        attributes = os.listxattr(path, follow_symlinks=False)
        return str(path), status[:7], status.st_mtime_ns, status.st_ctime_ns, content, attributes

    return [seen(path) for path in sorted(tree.rglob("*"))]


@pytest.mark.parametrize("way", ["mounted", "refused", "private"])
async def test_the_border(compile_program: Compiler, tmp_path: Path, way: str) -> None:
    """Nothing of the host changes, where changes are refused or stay in the instance; no way leads out of the root."""
    need_backend(STATIC)
    root, shown = tmp_path / "root", tmp_path / "root" / "ro"
    for name in ("ro/dir", "proc", "dev", "tmp", "run", "etc"):
        (root / name).mkdir(parents=True)
    (tmp_path / "secret").write_text("of the host")
    (shown / "file").write_text("untouched " * 1000)
    (shown / "link").symlink_to("file")
    (root / "etc" / "hostname").write_text("name\n")
    (shown / "program").write_bytes(compile_program("hostile/border", STATIC, "-w").read_bytes())
    (shown / "program").chmod(0o755)
    before = look_at(tmp_path)
    mounts = {"/ro": aionoah.Mount(shown, read_only=True)} if way == "mounted" else {}
    writes = "refused" if way == "refused" else "private"
    async with aionoah.Linux(root=root, writes=writes, mounts=mounts) as linux:
        done = await linux.run(["/ro/program", "/ro"], capture_output=True)
    if way != "private":  # where it destroys everything, its own program too
        assert (done.returncode, done.stdout) == (0, b"done\n")
    assert look_at(tmp_path) == before


# -- hostile programs -----------------------------------------------------------------------------------------


def mutate(image: bytes, chance: random.Random) -> bytes:
    """A program with some of its headers' fields wild, or cut short."""
    data = bytearray(image)
    header_end = 64 + 56 * min(struct.unpack_from("<H", image, 56)[0], 20)
    for _ in range(chance.randrange(1, 5)):
        size = chance.choice([1, 2, 4, 8])
        at = chance.randrange(0 if chance.random() < 0.2 else 16, header_end - size) // size * size
        wild = [0, 1, -1, 1 << 31, 1 << 47, 1 << 63, 4095, 4096, 1 << 40, 0x400000, chance.getrandbits(64)]
        value = chance.choice(wild) + chance.choice([0, 0, -1, 1])
        data[at : at + size] = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")
    if chance.random() < 0.1:
        del data[chance.randrange(len(data)) :]
    return bytes(data)


@pytest.mark.parametrize("source", ["api/exit_code", "/bin/true"])
async def test_programs_that_are_none(
    linux: aionoah.Linux, neighbour: aionoah.Process, compile_program: Compiler, tmp_path: Path, source: str
) -> None:
    """They are refused, or run into a signal, or happen to work."""
    chance = random.Random(source)
    path = Path(source) if source.startswith("/") else compile_program(source, STATIC)
    image = path.read_bytes()
    victim = tmp_path / "work" / "program"
    statuses: set[int] = set()
    for _ in range(250):
        victim.unlink(missing_ok=True)
        victim.write_bytes(mutate(image, chance))
        victim.chmod(0o755)
        try:
            process = await linux.create_subprocess_exec(
                "/work/program", stdout=DEVNULL, stderr=DEVNULL, stdin=DEVNULL
            )
        except OSError as error:
            statuses.add(error.errno or 0)
            continue
        try:
            async with asyncio.timeout(2):  # an entry point may be an endless loop
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        statuses.add(process.returncode or 0)
    assert len(statuses) > 3, "refusals, signals and successes"


# -- the application --------------------------------------------------------------------------------------------


def end(linux: aionoah.Linux, names: set[bytes]) -> None:
    """Orphans of processes that were killed."""
    with kernel_lock:
        for guest in list(linux.kernel.processes.values()):
            if guest.tasks and guest.name in names:
                guest.exit_group(signal.SIGKILL)


async def test_killed_at_any_time(linux: aionoah.Linux, neighbour: aionoah.Process) -> None:
    """While it starts, executes, forks, writes and ends."""
    chance = random.Random(5)
    script = "while :; do /bin/true & /bin/echo x | /bin/cat; (exit 3); wait; done"

    async def one() -> None:
        process = await linux.create_subprocess_exec("sh", "-c", script, stdout=DEVNULL, stdin=DEVNULL)
        for _ in range(chance.randrange(40)):
            await asyncio.sleep(0)
        await asyncio.sleep(chance.random() * 0.02)
        for guest in list(linux.kernel.processes.values()):
            if guest.parent is not None and guest.parent.pid == process.pid and chance.random() < 0.5:
                aionoah.Process.kill(process)
        process.kill()
        assert await process.wait() == -signal.SIGKILL

    for _ in range(25):
        await asyncio.gather(*[one() for _ in range(4)])
    end(linux, {b"true", b"echo", b"cat", b"sh"})


async def test_two_hundred_at_once(linux: aionoah.Linux, neighbour: aionoah.Process) -> None:
    async def one(number: int) -> None:
        done = await linux.run(["sh", "-c", f"echo {number}; exit {number % 7}"], stdout=PIPE)
        assert (done.returncode, done.stdout) == (number % 7, b"%d\n" % number)

    await asyncio.gather(*[one(number) for number in range(200)])


async def test_floods_nobody_reads_and_guests_that_never_read(linux: aionoah.Linux) -> None:
    flood = await linux.create_subprocess_exec("yes", stdout=PIPE)
    deaf = await linux.create_subprocess_exec("sleep", "1000", stdin=PIPE)
    assert deaf.stdin is not None
    deaf.stdin.write(bytes(1 << 22))
    assert (await linux.run(["echo", "alive"], stdout=PIPE)).stdout == b"alive\n"
    flood.kill()
    deaf.kill()
    await asyncio.gather(flood.wait(), deaf.wait())
    deaf.stdin.close()


async def test_cancelled_at_any_time(linux: aionoah.Linux, neighbour: aionoah.Process) -> None:
    chance = random.Random(6)

    async def one() -> None:
        running = asyncio.create_task(
            linux.run(["sh", "-c", "echo x | cat; sleep 999"], input=b"x", capture_output=True)
        )
        await asyncio.sleep(chance.random() * 0.03)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    for _ in range(25):
        await asyncio.gather(*[one() for _ in range(4)])
    end(linux, {b"sleep", b"cat"})
