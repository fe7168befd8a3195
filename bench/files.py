"""What files cost: calls that take no data, streams, mappings, and programs that walk trees."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

from aionoah.syscalls.dispatch import SyscallTable
from bench.calls import exit_cost
from bench.compare import Case, Result, compare
from bench.measure import Row, alternate, quantity
from bench.programs import GUEST_DIRECTORY, Programs

if TYPE_CHECKING:
    import aionoah

_SMALL, _LARGE, _WRITTEN = "small", "large", "written"
_LARGE_SIZE: Final = 256 << 20
_HUGE_SIZE: Final = 1 << 30
_HOST_TMPFS: Final = Path("/dev/shm/bench")
_TREE_FILES: Final = 5000
_DEEP: Final = "a/b/c/d/e"
_WALKS: Final = 2  # with each program, and one before
_CROWDED: Final = "crowded"
_CROWDS: Final = (500, 10_000)


async def rows(programs: Programs) -> list[Row]:
    _make_files(programs.directory)
    core = programs.core_test()
    mounts = {GUEST_DIRECTORY: str(programs.directory)}
    async with programs.linux(mounts) as linux:
        return [
            *await _calls(programs, linux, core),
            *await _crowds(programs, linux, core),
            *await _streams(programs, linux),
            *await _mappings(programs, linux),
            *await _trees(programs, linux, core),
        ]


def _remove(path: Path) -> None:
    path.unlink()


def _make_files(directory: Path) -> None:
    (directory / _SMALL).write_bytes(bytes(8192))
    (directory / _DEEP).mkdir(parents=True)
    (directory / _DEEP / _SMALL).write_bytes(b"")
    (directory / _CROWDED).mkdir()
    for number in range(1000):
        (directory / _CROWDED / f"file{number}").write_bytes(b"")
    with (directory / _LARGE).open("wb") as file:
        for _ in range(_HUGE_SIZE >> 20):
            file.write(bytes(1 << 20))


def _case(programs: Programs, what: str, target: str, words: tuple[str, ...]) -> Case:
    """The third word is a file of the directory that both see."""
    name, count, file, *rest = words
    inside, outside = f"{GUEST_DIRECTORY}/{file}", str(programs.directory / file)
    return Case(what, (name, count, inside, *rest), target, (name, count, outside, *rest))


async def _calls(programs: Programs, linux: "aionoah.Linux", core: str) -> list[Row]:
    found = []
    for what, calls, words, target in (
        ("stat", 1, ("stat", "1000", _SMALL), "≤ 25 µs above"),
        ("stat through five directories", 1, ("stat", "1000", f"{_DEEP}/{_SMALL}"), ""),
        ("listing of 1,000 entries", 4, ("list", "20", _CROWDED), ""),
        ("open, fstat, read 4 KiB, close", 4, ("open", "300", _SMALL), "≤ 100 µs above"),
    ):
        case = _case(programs, what, "", words)
        result = await compare(programs, linux, "files", case)
        exits = calls * exit_cost(core)
        found += [
            result.row(case),
            Row("", "", f"leaving the guest for each of its {calls}: {quantity(exits, 's')}", "", target),
        ]
    return found


async def _crowds(programs: Programs, linux: "aionoah.Linux", core: str) -> list[Row]:
    """Each file is made, closed, looked at and removed; the cost of one must not grow with their number."""
    found = []
    for place in ("in a mounted directory", "in the overlay", "in a tmpfs"):
        top = {"in the overlay": "/var/crowd", "in a tmpfs": "/tmp/crowd"}.get(place)
        for count in _CROWDS:
            case = _case(programs, f"one of {count:,} files {place}", "", ("crowd", str(count), "crowd"))
            inside = case if top is None else case._replace(words=("crowd", str(count), top))
            result = await compare(programs, linux, "files", inside, 1)
            exits = f"4 exits: {quantity(4 * exit_cost(core), 's')}"
            found.append(result.row(case)._replace(target=exits))
    return found


async def _streams(programs: Programs, linux: "aionoah.Linux") -> list[Row]:
    count = str(_LARGE_SIZE >> 16)
    cases = (
        _case(
            programs, "read of 256 MiB, 64 KiB each", "≥ 0.7 of the speed", ("read", count, _LARGE, "65536")
        ),
        _case(
            programs,
            "write of 256 MiB, 64 KiB each",
            "≥ 0.7 of the speed",
            ("write", count, _WRITTEN, "65536"),
        ),
    )
    found = [(await compare(programs, linux, "files", case)).speed_row(case) for case in cases]
    tmpfs = Case("tmpfs write, 1 MiB each", ("write", "128", "/tmp/written", "1048576"), "≥ 1 GB/s")
    result = await compare(
        programs, linux, "files", tmpfs._replace(host_words=("write", "128", str(_HOST_TMPFS), "1048576"))
    )
    _remove(_HOST_TMPFS)
    speed = f"{(1 << 20) / median(result.guest) / 1e9:.2f} GB/s"
    return [*found, result.speed_row(tmpfs)._replace(ours=speed)]


async def _mappings(programs: Programs, linux: "aionoah.Linux") -> list[Row]:
    cases = (
        _case(programs, "mmap of 1 GiB, the first reading", "", ("first", "1", _LARGE)),
        _case(programs, "mmap of 1 GiB, a later reading", "≥ 0.9 of the speed", ("mapped", "3", _LARGE)),
    )
    return [(await compare(programs, linux, "files", case)).speed_row(case) for case in cases]


async def _trees(programs: Programs, linux: "aionoah.Linux", core: str) -> list[Row]:
    found = []
    for what, words, target in (
        ("find /usr", ("find", "/usr"), "≤ 6"),
        ("du -s /usr", ("du", "-s", "/usr"), ""),
        ("ls -lR --color /usr/share/doc", ("ls", "-lR", "--color=always", "/usr/share/doc"), ""),
    ):
        found += await _walk(linux, what, words, words, target, core)
    if shutil.which("git") is None:
        return [*found, Row("git status", "SKIPPED", "git is not installed")]
    tree = programs.directory / "tree"
    _make_tree(tree)
    inside, outside = (("git", "-C", place, "status") for place in (f"{GUEST_DIRECTORY}/tree", str(tree)))
    return [*found, *await _walk(linux, "git status of 5,000 files", inside, outside, "≤ 15", core)]


def _make_tree(tree: Path) -> None:
    for number in range(_TREE_FILES):
        path = tree / f"directory{number // 50}" / f"file{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{number}\n")
    author = ("-c", "user.name=a", "-c", "user.email=a@b")
    for words in (("init", "-q"), ("add", "."), (*author, "commit", "-qm", "files")):
        subprocess.run(["git", "-C", tree, *words], check=True)


async def _walk(
    linux: "aionoah.Linux",
    what: str,
    inside: tuple[str, ...],
    outside: tuple[str, ...],
    target: str,
    core: str,
) -> list[Row]:
    guest = _wall(linux.create_subprocess_exec, inside)
    with _counted() as calls:
        ours, theirs = await alternate(_WALKS, guest, _wall(asyncio.create_subprocess_exec, outside))
    number = calls[0] // (_WALKS + 1)
    floor = number * exit_cost(core)
    exits = f"{number:,} calls; leaving for each: {quantity(floor, 's')}"
    ratio = f"{floor / median(theirs):.2f}"
    return [Result(ours, theirs).row(Case(what, (), target)), Row("", "", exits, ratio)]


@contextmanager
def _counted() -> Iterator[list[int]]:
    """How many system calls guests make meanwhile."""
    count, call = [0], SyscallTable.call

    def counting(table: SyscallTable, *arguments: Any) -> Any:  # noqa: ANN401 - passed on
        count[0] += 1
        return call(table, *arguments)

    with mock.patch.object(SyscallTable, "call", counting):
        yield count


def _wall(spawn: Callable[..., Any], command: tuple[str, ...]) -> Callable[[], Any]:
    async def measure() -> float:
        start = time.perf_counter()
        process = await spawn(*command, stdout=subprocess.DEVNULL)
        if await process.wait() != 0:
            raise RuntimeError(f"{command} failed")
        return time.perf_counter() - start

    return measure
