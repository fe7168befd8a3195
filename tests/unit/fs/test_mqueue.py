"""The directory of message queues."""

from collections.abc import Iterator

import pytest
from fakes.expect import fails
from fakes.machine import FakeMachine
from fakes.threads import World

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno
from aionoah.abi.fcntl import O
from aionoah.abi.resource import RLIMIT
from aionoah.abi.stat import S
from aionoah.fs import operations
from aionoah.fs.inode import Change
from aionoah.fs.mount import Mount
from aionoah.fs.mqueue import QueueFile, QueueFileSystem, Size
from aionoah.memory.buffer import KernelBuffer
from aionoah.process.current import set_current
from aionoah.process.limits import Limit
from aionoah.process.task import Task

CREATE = O(O.CREAT | O.RDWR)


@pytest.fixture
def task(machine: FakeMachine) -> Iterator[Task]:
    world = World(machine)
    made = world.process()
    set_current(made)
    yield made
    set_current(None)
    world.close()


@pytest.fixture
def queues(task: Task) -> QueueFileSystem:
    return task.kernel.namespaces.ipc.message_queues


def test_by_name_and_by_path(task: Task, queues: QueueFileSystem) -> None:
    place = Mount(queues).root
    made = queues.open(task.fs, b"one", CREATE, 0o666, Size(3, 7))
    assert isinstance(made, QueueFile)
    same = operations.open_file(task.fs, place, b"one", O(O.RDONLY))
    assert isinstance(same, QueueFile)
    assert same.queue is made.queue
    attributes = same.attributes()
    assert (attributes.mode, attributes.size) == (S.IFREG | 0o644, 80)
    assert [name for _, _, name in queues.root.listing()] == [b".", b"..", b"one"]
    text = bytearray(100)
    assert same.read_nowait(KernelBuffer(text)) == 60
    assert same.read_nowait(KernelBuffer(text)) == 0
    fails(Errno.EINVAL, same.write_nowait, KernelBuffer(b"x"))
    other = operations.open_file(task.fs, place, b"two", O(O.RDWR | O.CREAT), 0o600)
    assert isinstance(other, QueueFile)
    assert (other.queue.max_messages, other.queue.max_size) == (10, 8192)
    operations.unlink(task.fs, place, b"one")
    fails(Errno.ENOENT, queues.open, task.fs, b"one", O(O.RDWR), 0, None)
    fails(Errno.ENOENT, queues.unlink, task.fs, b"one")
    fails(Errno.EPERM, operations.mkdir, task.fs, place, b"d", 0o700)


@pytest.mark.parametrize(
    ("name", "errno"), [(b"a/b", Errno.EACCES), (b"..", Errno.EACCES), (b"x" * 256, Errno.ENAMETOOLONG)]
)
def test_names(name: bytes, errno: Errno, task: Task, queues: QueueFileSystem) -> None:
    fails(errno, queues.open, task.fs, name, CREATE, 0o600, None)


def test_limits(task: Task, queues: QueueFileSystem) -> None:
    size = Size(2, 10)
    task.process.limits.set(RLIMIT.MSGQUEUE, Limit(2 * size.charge, 1 << 20), task.credentials)
    fails(Errno.EINVAL, queues.open, task.fs, b"a", CREATE, 0o600, Size(0, 1))
    fails(Errno.EINVAL, queues.open, task.fs, b"a", CREATE, 0o600, Size(65537, 1))
    first = queues.open(task.fs, b"a", CREATE, 0o600, size)
    queues.open(task.fs, b"b", CREATE, 0o600, size)
    fails(Errno.EMFILE, queues.open, task.fs, b"c", CREATE, 0o600, Size(1, 1))
    queues.unlink(task.fs, b"a")
    fails(Errno.EMFILE, queues.open, task.fs, b"c", CREATE, 0o600, Size(1, 1))
    first.drop()  # now it is gone
    queues.open(task.fs, b"c", CREATE, 0o600, size)
    task.credentials.effective &= ~(1 << CAP.SYS_RESOURCE)
    queues.limits.queues_max = 2
    fails(Errno.ENOSPC, queues.open, task.fs, b"d", CREATE, 0o600, Size(1, 1))
    queues.limits.queues_max = 3
    fails(Errno.EINVAL, queues.open, task.fs, b"d", CREATE, 0o600, Size(11, 1))


def test_rights(task: Task, queues: QueueFileSystem) -> None:
    made = queues.open(task.fs, b"a", CREATE, 0o600, None)
    task.credentials.set_resuid(1000, 1000, 1000)
    fails(Errno.EACCES, queues.open, task.fs, b"a", O(O.RDONLY), 0, None)
    fails(Errno.EPERM, queues.unlink, task.fs, b"a")
    made.inode.change(Change(mode=0o644))
    queues.open(task.fs, b"a", O(O.RDONLY), 0, None)
    fails(Errno.EACCES, queues.open, task.fs, b"a", O(O.WRONLY), 0, None)
    fails(Errno.EEXIST, queues.open, task.fs, b"a", O(CREATE | O.EXCL), 0, None)
    fails(Errno.EINVAL, queues.open, task.fs, b"a", O(O.ACCMODE), 0, None)
