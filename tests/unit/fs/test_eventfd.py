"""The counter behind an eventfd, and what files without a name say of themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.poll import Poll
from aionoah.abi.statfs import MAGIC
from aionoah.fs.eventfd import EventFile
from aionoah.fs.file import WouldBlock
from aionoah.host.waiting import Waiter
from aionoah.memory.buffer import KernelBuffer

MAX = (1 << 64) - 2


def add(file: EventFile, value: int) -> None:
    assert file.write_nowait(KernelBuffer(value.to_bytes(8, "little"))) == 8


def take(file: EventFile) -> int:
    data = bytearray(8)
    assert file.read_nowait(KernelBuffer(data)) == 8
    return int.from_bytes(data, "little")


def new(count: int = 0, *, is_semaphore: bool = False) -> EventFile:
    return EventFile(O(O.RDWR), count, is_semaphore=is_semaphore)


@given(st.lists(st.one_of(st.none(), st.integers(0, (1 << 64) - 1))), st.booleans())
def test_it_counts(steps: list[int | None], is_semaphore: bool) -> None:
    file, count = new(is_semaphore=is_semaphore), 0
    for value in steps:
        if value is None:
            if not count:
                with pytest.raises(WouldBlock):
                    take(file)
                continue
            expected = 1 if is_semaphore else count
            assert take(file) == expected
            count -= expected
        elif value > MAX:
            with pytest.raises(LinuxError):
                add(file, value)
        elif count + value > MAX:
            with pytest.raises(WouldBlock):
                add(file, value)
        else:
            add(file, value)
            count += value
        assert bool(file.poll() & Poll.IN) is (count > 0)
        assert bool(file.poll() & Poll.OUT) is (count < MAX)


class Broken(KernelBuffer):
    """Memory that ends after its first bytes."""

    @property
    def length(self) -> int:
        return 8


def test_nothing_is_taken_that_cannot_be_given() -> None:
    file = new(5)
    with pytest.raises(LinuxError) as caught:
        file.read_nowait(Broken(bytearray(4)))
    assert caught.value.errno is Errno.EFAULT
    with pytest.raises(LinuxError) as caught:
        file.write_nowait(Broken(bytes(4)))
    assert caught.value.errno is Errno.EFAULT
    assert take(file) == 5


def test_each_side_hears_of_what_the_other_does() -> None:
    file = new()
    for change, told in ((lambda: add(file, 1), Poll.IN), (lambda: take(file), Poll.OUT)):
        waiters = {events: Waiter(file.source(Poll(events)), None) for events in (Poll.IN, Poll.OUT)}
        for waiter in waiters.values():
            for queue in waiter.source.queues:
                queue.add(waiter)
        change()
        assert [events for events, waiter in waiters.items() if waiter.is_woken] == [told]


def test_what_it_says_of_itself() -> None:
    file = new()
    assert file.describe() == b"anon_inode:[eventfd]"
    assert file.attributes().mode == 0o600
    assert file.filesystem_status().magic == MAGIC.ANON_INODE_FS
    assert file.inode is new().inode
    assert file.seek(5, 0) == 0
    assert file.dentry is None
