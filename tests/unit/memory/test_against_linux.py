"""Random calls made of this kernel and of Memory must end alike: results, errnos and the resulting areas.

The calls work in a scratch region that nothing else uses. Pages are not touched, because Linux tells
touched anonymous areas apart when it merges, which aionoah does not.
"""

import ctypes
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from fakes.files import HostFile
from fakes.machine import FakeMachine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.mman import MADV, MAP, MREMAP, MS, PROT
from aionoah.memory.memory import Memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the oracle is a Linux kernel")

PAGE: Final = 4096
BASE: Final = 0x10_0000_0000
PAGES: Final = 24
END: Final = BASE + 2 * PAGES * PAGE  # calls name the first half, and what they make ends in the second
FILE_PAGES: Final = 6
ELSEWHERE: Final = "elsewhere"

_libc = ctypes.CDLL(None, use_errno=True)
for _name, _count in {"mmap": 6, "munmap": 2, "mprotect": 3, "mremap": 5, "madvise": 3, "msync": 3}.items():
    getattr(_libc, _name).restype = ctypes.c_long if _name in {"mmap", "mremap"} else ctypes.c_int
    getattr(_libc, _name).argtypes = [ctypes.c_ulong] * _count


def _native(call: str, *arguments: int) -> int | Errno:
    ctypes.set_errno(0)
    result = getattr(_libc, call)(*(word & (1 << 64) - 1 for word in arguments))
    return Errno(ctypes.get_errno()) if result == -1 else result


Area = tuple[int, int, str, int]


class Linux:
    """The oracle. Files are host descriptors."""

    def __init__(self, fds: list[int]) -> None:
        self._fds = fds

    def call(self, name: str, *arguments: int) -> int | Errno:
        if name == "mmap" and not arguments[3] & MAP.ANONYMOUS:
            arguments = (*arguments[:4], self._fds[arguments[4]], arguments[5])
        return _native(name, *arguments)

    def areas(self) -> list[Area]:
        found = []
        for line in Path("/proc/self/maps").read_text().splitlines():
            match = re.match(r"(\w+)-(\w+) (....) (\w+)", line)
            assert match is not None
            start, end = int(match[1], 16), int(match[2], 16)
            if BASE <= start < END:
                found.append((start, end, match[3], int(match[4], 16)))
        return found

    def close(self) -> None:
        _native("munmap", BASE, END - BASE)


class Ours:
    """The same interface to Memory."""

    def __init__(self, fds: list[int]) -> None:
        self.machine = FakeMachine(frame_limit=4096)
        self.files = [HostFile(fd, flags) for fd, flags in zip(fds, (O.RDWR, O.RDONLY), strict=True)]
        self.memory = Memory(self.machine, mmap_base=0x7FFF_0000_0000)

    def call(self, name: str, *arguments: int) -> int | Errno:
        arguments = tuple(word & (1 << 64) - 1 for word in arguments)
        if name == "mmap":
            address, length, prot, flags, number, offset = arguments
            file = None if flags & MAP.ANONYMOUS else self.files[number]
            arguments = (address, length, prot, flags, file, offset)
        try:
            return getattr(self.memory, name)(*arguments) or 0
        except LinuxError as error:
            return error.errno

    def areas(self) -> list[Area]:
        found = []
        for line in self.memory.maps():
            if BASE <= line.start < END:
                rights = "".join(c if line.prot & 1 << i else "-" for i, c in enumerate("rwx"))
                found.append((line.start, line.end, rights + "ps"[line.is_shared], line.offset))
        return found

    def close(self) -> None:
        self.memory.close()
        assert [file.references for file in self.files] == [1, 1]
        self.machine.close()


@pytest.fixture(scope="module")
def descriptors() -> Iterator[list[int]]:
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(FILE_PAGES * PAGE)
        reader = os.open(file.name, os.O_RDONLY)
        yield [file.fileno(), reader]
        os.close(reader)


_page = st.integers(0, PAGES - 1)
_address = st.one_of(
    _page.map(lambda n: BASE + n * PAGE), st.sampled_from([BASE + 1, BASE + 5 * PAGE + 2048])
)
# Calls that step over gaps must not be given more than the region: they would hit the test itself.
_short = st.one_of(
    st.integers(1, 8).map(lambda n: n * PAGE), st.sampled_from([0, 1, 5000, 3 * PAGE - 1, (1 << 64) - 1])
)
_length = st.one_of(_short, st.just(1 << 63))
_prot = st.sampled_from([0, PROT.READ, PROT.READ | PROT.WRITE, PROT.READ | PROT.EXEC, 7])
_place = st.sampled_from([MAP.FIXED, MAP.FIXED, MAP.FIXED, MAP.FIXED_NOREPLACE, 0])
_kind = st.sampled_from([MAP.PRIVATE, MAP.PRIVATE, MAP.SHARED, MAP.SHARED_VALIDATE, 0])
_extra = st.sampled_from([0, 0, 0, MAP.NORESERVE, MAP.STACK, MAP.GROWSDOWN])


@st.composite
def _mmap(draw: st.DrawFn) -> tuple[Any, ...]:
    flags = draw(_place) | draw(_kind) | draw(_extra) | draw(st.sampled_from([MAP.ANONYMOUS, 0]))
    offset = draw(st.sampled_from([0, 0, PAGE, 4 * PAGE, 100]))
    number = -1 if flags & MAP.ANONYMOUS else draw(st.sampled_from([0, 1]))
    return "mmap", draw(_address), draw(_length), draw(_prot), flags, number, offset


@st.composite
def _mremap(draw: st.DrawFn) -> tuple[Any, ...]:
    flags = draw(st.sampled_from([0, MREMAP.MAYMOVE, 3, 3, 3, MREMAP.FIXED, 5, 7, 8]))
    return "mremap", draw(_address), draw(_length), draw(_length), flags, draw(_address)


_protect = st.tuples(
    st.just("mprotect"),
    _address,
    _short,
    st.one_of(_prot, st.sampled_from([PROT.GROWSDOWN | PROT.READ, PROT.GROWSUP, 3 << 24, 0x10])),
)
_advice = st.sampled_from(
    [
        *(MADV.NORMAL, MADV.RANDOM, MADV.SEQUENTIAL, MADV.WILLNEED, MADV.DONTNEED, MADV.FREE, MADV.DONTFORK),
        *(MADV.DOFORK, MADV.NOHUGEPAGE, MADV.DONTDUMP, MADV.DODUMP, MADV.WIPEONFORK, MADV.KEEPONFORK),
        *(MADV.COLD, MADV.PAGEOUT, 7, 99),
    ]
)
_call = st.one_of(
    _mmap(),
    _mmap(),
    st.tuples(st.just("munmap"), _address, _length),
    _protect,
    _protect,
    _mremap(),
    st.tuples(st.just("madvise"), _address, _short, _advice),
    st.tuples(st.just("msync"), _address, _short, st.sampled_from([0, MS.ASYNC, MS.INVALIDATE, 5, 8])),
)


def _crosses_areas(areas: list[Area], call: tuple[Any, ...]) -> bool:
    """Linux 6.17 learned to move several areas in one mremap; we do as Linux 6.12 does."""
    name, address, length, *_ = call
    within = [area for area in areas if area[0] < address + length and area[1] > address]
    return name == "mremap" and len(within) > 1


def _result(do: Callable[..., int | Errno], call: tuple[Any, ...]) -> int | Errno | str:
    """What a call returned; places outside of the region are cleaned up and equal."""
    result = do(*call)
    if call[0] not in {"mmap", "mremap"} or isinstance(result, Errno) or BASE <= result < END:
        return result
    assert do("munmap", result, call[2] if call[0] == "mmap" else call[3]) == 0
    return ELSEWHERE


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=st.lists(_call, min_size=1, max_size=14))
def test_same_as_linux(descriptors: list[int], calls: list[tuple[Any, ...]]) -> None:
    linux, ours = Linux(descriptors), Ours(descriptors)
    try:
        for call in calls:
            if _crosses_areas(linux.areas(), call):
                continue
            assert _result(ours.call, call) == _result(linux.call, call), call
            assert ours.areas() == linux.areas(), call
    finally:
        linux.close()
        ours.close()
