"""Segments and what shows them."""

from collections.abc import Iterator

import pytest
from fakes.expect import fails
from fakes.machine import FakeMachine
from fakes.threads import World

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno
from aionoah.abi.fcntl import O
from aionoah.abi.ipc import IPC_PRIVATE, SHM
from aionoah.abi.mman import MAP, PROT
from aionoah.abi.resource import RLIMIT
from aionoah.process.current import set_current
from aionoah.process.ipc.shared_memory import Segment, SharedMemory
from aionoah.process.limits import Limit
from aionoah.process.task import Task

READ_WRITE, PAGE = PROT.READ | PROT.WRITE, 4096


@pytest.fixture
def world(machine: FakeMachine) -> Iterator[World]:
    made = World(machine)
    yield made
    set_current(None)
    made.close()


@pytest.fixture
def main(world: World) -> Task:
    task = world.process()
    set_current(task)
    return task


@pytest.fixture
def table(world: World) -> SharedMemory:
    return world.kernel.namespaces.ipc.system_v.memory


def attach(task: Task, segment: Segment) -> int:
    file = segment.open(O.RDWR)
    address = task.memory.mmap(0, segment.size, READ_WRITE, MAP.SHARED, file, 0)
    file.mapped()
    return address


def test_areas_are_counted(world: World, main: Task, table: SharedMemory) -> None:
    segment = table.get(IPC_PRIVATE, 3 * PAGE, 0o600, main)
    assert segment.status().shm_nattch == 0
    address = attach(main, segment)
    assert (segment.attachments, segment.detached) == (1, 0)
    main.memory.mmap(address - PAGE, PAGE, READ_WRITE, MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED)
    assert segment.detached == 0  # a neighbour is no concern of it
    main.memory.munmap(address + PAGE, PAGE)
    assert (segment.attachments, segment.detached > 0) == (2, True)
    child = world.fork(main)
    assert segment.attachments == 4
    child.exit(0)  # though its memory is still there, for the virtual CPU
    assert segment.attachments == 2
    main.memory.munmap(address, 3 * PAGE)
    assert segment.attachments == 0


def test_a_mapping_that_fails_leaves_nothing(main: Task, table: SharedMemory) -> None:
    segment = table.get(IPC_PRIVATE, PAGE, 0o600, main)
    segment.open(O.RDWR).mapped()
    assert (segment.attachments, segment.last_pid) == (0, 0)


def test_it_goes_with_the_last_who_shows_it(main: Task, table: SharedMemory) -> None:
    segment = table.get(7, PAGE, 0o1600, main)
    address = attach(main, segment)
    segment.remove()
    assert segment.mode & SHM.DEST
    assert fails(Errno.ENOENT, table.get, 7, PAGE, 0o600, main) is None
    assert (table.objects.find(segment.id), table.pages) == (segment, 1)
    main.memory.write(address, b"there")
    main.memory.munmap(address, PAGE)
    assert (len(table.objects), table.pages) == (0, 0)


def test_contents_are_one(world: World, main: Task, table: SharedMemory) -> None:
    segment = table.get(IPC_PRIVATE, 2 * PAGE, 0o600, main)
    other = world.process()
    here, there = attach(main, segment), attach(other, segment)
    main.memory.write(here + PAGE, b"shared")
    assert other.memory.read(there + PAGE, 6) == b"shared"
    assert segment.resident_pages >= 1
    keys = [task.memory.futex_key(at, is_private=False) for task, at in ((main, here), (other, there))]
    assert keys[0] == keys[1]
    assert [line.name for line in main.memory.maps() if line.inode == segment.id and line.device == 1] == [
        b""
    ]
    main.memory.munmap(here, 2 * PAGE)
    other.memory.munmap(there, 2 * PAGE)


@pytest.mark.parametrize(
    ("size", "errno"), [(0, Errno.EINVAL), (1 << 63, Errno.EINVAL), (1 << 55, Errno.ENOMEM)]
)
def test_sizes(size: int, errno: Errno, main: Task, table: SharedMemory) -> None:
    fails(errno, table.get, IPC_PRIVATE, size, 0o600, main)


def test_limits(main: Task, table: SharedMemory, world: World) -> None:
    limits = world.kernel.namespaces.ipc.system_v.limits
    limits.shmall = 2
    table.get(IPC_PRIVATE, PAGE + 1, 0o600, main)
    fails(Errno.ENOSPC, table.get, IPC_PRIVATE, 1, 0o600, main)
    limits.shmall, limits.shmmni = 9, 1
    fails(Errno.ENOSPC, table.get, IPC_PRIVATE, 1, 0o600, main)
    fails(Errno.ENOMEM, table.get, IPC_PRIVATE, 1, 0o600 | SHM.HUGETLB, main)


def test_locking(main: Task, table: SharedMemory) -> None:
    segment = table.get(IPC_PRIVATE, 2 * PAGE, 0o600, main)
    table.lock(segment, main, is_locked=True)
    assert segment.mode & SHM.LOCKED
    table.lock(segment, main, is_locked=False)
    assert not segment.mode & SHM.LOCKED
    main.credentials.effective &= ~(1 << CAP.IPC_LOCK)
    for room, errno in ((0, Errno.EPERM), (PAGE, Errno.ENOMEM)):
        main.process.limits.set(RLIMIT.MEMLOCK, Limit(room, 1 << 20), main.credentials)
        with pytest.raises(Exception, match=errno.name):
            table.lock(segment, main, is_locked=True)
