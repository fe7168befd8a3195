"""A machine without a CPU: real memory, page tables in a dict, and vCPUs that play back a script.

It keeps every promise of hypervisor/protocols.py and complains loudly about what a caller must not
do, so that kernel code can be tested without a virtual machine. Linux hosts only.
"""

import array
import ctypes
import errno
import mmap
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from aionoah.hypervisor.protocols import (
    NO_CALL,
    PAGE_SIZE,
    ExceptionKind,
    ExitKind,
    Extent,
    Fault,
    GuestException,
    Prot,
)

_EXTENT_LIMIT = 1024  # pages on either side of an address; a short extent is a legal one
_MAP_FIXED = 0x10
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int),
    *(ctypes.c_int, ctypes.c_int, ctypes.c_long),
]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


_transfer_arguments = [
    *(ctypes.c_int, ctypes.POINTER(_Iovec), ctypes.c_ulong),
    *(ctypes.POINTER(_Iovec), ctypes.c_ulong, ctypes.c_ulong),
]
for _name in ("process_vm_readv", "process_vm_writev"):
    getattr(_libc, _name).argtypes = _transfer_arguments
    getattr(_libc, _name).restype = ctypes.c_ssize_t


def _map_host(address: int | None, length: int, prot: int, flags: int, fd: int, offset: int) -> int:
    found = _libc.mmap(address, length, prot, flags, fd, offset)
    if found in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return found


class FakeFrames:
    """Frames in one anonymous host mapping; file frames are host mappings put over it."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_use = 0
        self.invalidations = 0
        self.shared_file_frames = 0  # the host's page cache, which takes nothing from `limit`
        self._is_shared = bytearray(limit)
        self._references = array.array("i", bytes(4 * limit))
        self._length = limit * PAGE_SIZE
        self._base = _map_host(None, self._length, mmap.PROT_READ | mmap.PROT_WRITE, self._anonymous, -1, 0)
        self._memory = memoryview((ctypes.c_char * self._length).from_address(self._base)).cast("B")
        self._next = 0
        self.populated = 0  # bytes

    _anonymous = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS

    def allocate(self, count: int) -> int:
        return self._take(count)

    def allocate_file(self, fd: int, offset: int, count: int, *, shared: bool, writable: bool) -> int:
        first = self._take(count, is_shared=shared)
        prot = mmap.PROT_READ | (mmap.PROT_WRITE if writable or not shared else 0)
        flags = _MAP_FIXED | (mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE)
        try:
            _map_host(self._base + first * PAGE_SIZE, count * PAGE_SIZE, prot, flags, fd, offset)
        except OSError:
            self.drop(first, count)
            raise
        return first

    def hold(self, first: int, count: int) -> None:
        for frame in range(first, first + count):
            assert self._references[frame] > 0, "hold of a free frame"
            self._references[frame] += 1

    def drop(self, first: int, count: int) -> None:
        start = None
        for frame in range(first, first + count):
            assert self._references[frame] > 0, "drop of a free frame"
            self._references[frame] -= 1
            if self._references[frame] == 0:
                start = frame if start is None else start
            elif start is not None:
                self._free(start, frame)
                start = None
        if start is not None:
            self._free(start, first + count)

    def view(self, first: int, count: int) -> memoryview:
        return self._memory[first * PAGE_SIZE : (first + count) * PAGE_SIZE]

    def populate(self, view: memoryview) -> None:
        self.populated += len(view)

    def copy_in(self, view: memoryview) -> bytes:
        data = bytearray(len(view))
        self._transfer(_libc.process_vm_readv, memoryview(data), view)
        return bytes(data)

    def copy_out(self, view: memoryview, data: bytes | bytearray | memoryview) -> None:
        assert len(view) == len(data)
        self._transfer(_libc.process_vm_writev, memoryview(bytearray(data)), view)

    def load(self, word: memoryview, *, is_file: bool) -> int:
        return int.from_bytes(self.copy_in(word), "little")

    def compare_exchange(self, word: memoryview, expected: int, new: int, *, is_file: bool) -> int:
        assert len(word) == 4
        assert self._address_of(word) % 4 == 0
        found = self.load(word, is_file=is_file)
        if found == expected:
            self.copy_out(word, new.to_bytes(4, "little"))
        return found

    def references(self, frame: int) -> int:
        """For tests: how many hold a frame."""
        return self._references[frame]

    def close(self) -> None:
        if self._base:
            self._memory.release()
            _libc.munmap(self._base, self._length)
            self._base = 0

    def _take(self, count: int, *, is_shared: bool = False) -> int:
        assert count > 0
        if not is_shared and self.in_use + count > self.limit:
            raise MemoryError
        for origin in (self._next, 0):
            first = self._gap(origin, count)
            if first is not None:
                self._references[first : first + count] = array.array("i", [1]) * count
                self._is_shared[first : first + count] = bytes([is_shared]) * count
                self._count(first, first + count, 1)
                self._next = first + count
                return first
        raise MemoryError

    def _gap(self, origin: int, count: int) -> int | None:
        run = 0
        for frame in range(origin, self.limit):
            run = 0 if self._references[frame] else run + 1
            if run == count:
                return frame - count + 1
        return None

    def _free(self, first: int, end: int) -> None:
        _map_host(
            self._base + first * PAGE_SIZE,
            (end - first) * PAGE_SIZE,
            mmap.PROT_READ | mmap.PROT_WRITE,
            self._anonymous | _MAP_FIXED,
            -1,
            0,
        )
        self._count(first, end, -1)

    def _count(self, first: int, end: int, sign: int) -> None:
        shared = self._is_shared.count(1, first, end)
        self.shared_file_frames += sign * shared
        self.in_use += sign * (end - first - shared)

    def _transfer(self, call: Callable[..., int], local: memoryview, remote: memoryview) -> None:
        if not len(remote):
            return
        near = _Iovec(ctypes.addressof(ctypes.c_char.from_buffer(local)), len(local))
        far = _Iovec(self._address_of(remote), len(remote))
        done = call(os.getpid(), ctypes.byref(near), 1, ctypes.byref(far), 1, 0)
        if done != len(remote):
            raise OSError(errno.EFAULT, "the host has no memory there")

    def _address_of(self, view: memoryview) -> int:
        address = ctypes.addressof(ctypes.c_char.from_buffer(view))
        assert self._base <= address <= self._base + self._length - len(view), "not a view of frames"
        return address


class _Page(NamedTuple):
    frame: int
    prot: Prot
    is_file: bool


class FakeSpace:
    """Page tables as a dict from page number to page."""

    def __init__(self, frames: FakeFrames, end: int) -> None:
        self.open_vcpus = 0
        self.end = end
        self.is_closed = False
        self.table_limit: int | None = None  # for tests: more pages than that raise MemoryError
        self._frames = frames
        self._pages: dict[int, _Page] = {}
        self._most = 0
        self.spare_vcpus = 64

    def map(self, address: int, first_frame: int, count: int, prot: Prot, *, is_file: bool = False) -> None:
        first = self._check(address, count * PAGE_SIZE)
        assert not any(page in self._pages for page in range(first, first + count)), "mapped already"
        self._require_tables(count)
        self._frames.hold(first_frame, count)
        for index in range(count):
            self._pages[first + index] = _Page(first_frame + index, prot, is_file)

    def unmap(self, address: int, length: int) -> None:
        for number in self._mapped(address, length):
            self._frames.drop(self._pages.pop(number).frame, 1)

    def protect(self, address: int, length: int, prot: Prot, *, exclusive: bool = False) -> None:
        for number in self._mapped(address, length):
            is_held_by_others = exclusive and self._frames.references(self._pages[number].frame) > 1
            rights = prot & ~Prot.WRITE if is_held_by_others else prot
            self._pages[number] = self._pages[number]._replace(prot=rights)

    def fork(self, child: "FakeSpace", address: int, length: int, *, share: bool) -> None:
        numbers = self._mapped(address, length)
        assert not child._mapped(address, length), "mapped already"
        child._require_tables(len(numbers))
        for number in numbers:
            page = self._pages[number]
            if not share:
                page = page._replace(prot=page.prot & ~Prot.WRITE)
            self._frames.hold(page.frame, 1)
            self._pages[number] = child._pages[number] = page

    def unshare(self, address: int, length: int, prot: Prot) -> None:
        for number in self._mapped(address, length):
            page = self._pages[number]
            if self._frames.references(page.frame) > 1:
                page = self._copied(page)
            self._pages[number] = page._replace(prot=prot)

    def _copied(self, page: _Page) -> _Page:
        frame = self._frames.allocate(1)
        try:
            self._frames.view(frame, 1)[:] = self._frames.copy_in(self._frames.view(page.frame, 1))
        except OSError:
            self._frames.drop(frame, 1)
            raise MemoryError from None
        self._frames.drop(page.frame, 1)
        return _Page(frame, page.prot, is_file=False)

    def move(self, old: int, new: int, length: int) -> None:
        self._check(old, length)
        shift = self._check(new, length) - old // PAGE_SIZE
        moved = {number: self._pages.pop(number) for number in self._mapped(old, length)}
        for number, page in moved.items():
            assert number + shift not in self._pages, "moved over a mapped page"
            self._pages[number + shift] = page

    def extent(self, address: int) -> Extent | None:
        number = address // PAGE_SIZE
        here = self._pages.get(number)
        if here is None:
            return None
        before = sum(1 for _ in self._neighbours(number, here, -1))
        after = sum(1 for _ in self._neighbours(number, here, 1))
        view = self._frames.view(here.frame - before, before + 1 + after)
        start, end = number - before, number + after + 1
        return Extent(start * PAGE_SIZE, end * PAGE_SIZE, here.prot, view, here.is_file)

    def reserve_vcpus(self, count: int) -> None:
        if count > self.spare_vcpus:
            raise MemoryError

    @property
    def mapped(self) -> int:
        return len(self._pages)

    @property
    def most_mapped(self) -> int:
        """Not what it was between two looks."""
        self._most = max(self._most, len(self._pages))
        return self._most

    def resident(self, address: int, count: int) -> Sequence[bool]:
        first = self._check(address, count * PAGE_SIZE)
        return [number in self._pages for number in range(first, first + count)]

    def next_mapped(self, address: int, end: int) -> int:
        mapped = self._mapped(address, end - address) if address < end else ()
        return min((page * PAGE_SIZE for page in mapped), default=end)

    def close(self) -> None:
        assert not self.is_closed
        for page in self._pages.values():
            self._frames.drop(page.frame, 1)
        self._pages.clear()
        self.is_closed = True

    def _check(self, address: int, length: int) -> int:
        assert not self.is_closed
        assert (address | length) % PAGE_SIZE == 0, "not page-aligned"
        assert 0 <= address < address + length <= self.end, "outside of the space"
        return address // PAGE_SIZE

    def _require_tables(self, count: int) -> None:
        if self.table_limit is not None and len(self._pages) + count > self.table_limit:
            raise MemoryError

    def _mapped(self, address: int, length: int) -> list[int]:
        first = self._check(address, length)
        numbers = range(first, first + length // PAGE_SIZE)
        if len(self._pages) < len(numbers):
            return sorted(number for number in self._pages if number in numbers)
        return [number for number in numbers if number in self._pages]

    def _neighbours(self, number: int, here: _Page, step: int) -> Iterator[int]:
        for distance in range(step, step * _EXTENT_LIMIT, step):
            if self._pages.get(number + distance) != here._replace(frame=here.frame + distance):
                return
            yield number + distance


class FakeVcpu:
    """A vCPU whose run() calls the next function of `script`, which says how the guest left."""

    def __init__(self, script: Iterable[Callable[["FakeVcpu"], ExitKind]] = ()) -> None:
        self.registers = memoryview(bytearray(8 * 64)).cast("Q")
        self.fault = Fault(0, Prot.NONE)
        self.exception = GuestException(ExceptionKind.OTHER, 0, 0)
        self.script = list(script)
        self.is_closed = False
        self.is_kicked = False
        self._tls = 0
        self._fpu = bytes(512)

    def run(self, yield_call: int = NO_CALL) -> ExitKind:
        if self.is_kicked:
            self.is_kicked = False
            return ExitKind.KICKED
        return self.script.pop(0)(self) if self.script else ExitKind.BROKEN

    def rest(self) -> None:
        pass

    def kick(self) -> None:
        self.is_kicked = True

    def get_tls(self) -> int:
        return self._tls

    def set_tls(self, value: int) -> None:
        self._tls = value

    def get_fpu(self) -> bytes:
        return self._fpu

    def set_fpu(self, state: bytes) -> None:
        if len(state) != len(self._fpu):
            raise ValueError("not the state of this CPU")
        self._fpu = bytes(state)

    def set_cpu_number(self, number: int) -> None:
        self.cpu_number = number

    def user_time_ns(self) -> int:
        return 0

    def describe(self) -> str:
        return "a fake vCPU at the end of its script"

    def close(self) -> None:
        self.is_closed = True


class FakeMachine:
    """Make one, close it, and see `frames.in_use` for leaks."""

    name = "fake"
    max_vcpus = 64

    def __init__(self, architecture: str = "x86_64", *, frame_limit: int = 65536) -> None:
        self.architecture = architecture
        self.frames = FakeFrames(frame_limit)
        self.end = 0x7FFF_FFFF_F000 if architecture == "x86_64" else 1 << 48
        self.script: list[Callable[[FakeVcpu], ExitKind]] = []  # of the next vCPU
        self.spaces: list[FakeSpace] = []
        self.barriers = 0

    def keep_clocks(self, _frame: int) -> bool:
        return False

    def barrier(self) -> None:
        self.barriers += 1

    spinners = None

    def open_mailboxes(self) -> None:
        """There is nothing to be gained."""

    def new_space(self) -> FakeSpace:
        space = FakeSpace(self.frames, self.end)
        self.spaces.append(space)
        return space

    def new_vcpu(self, space: FakeSpace) -> FakeVcpu:
        assert not space.is_closed
        script, self.script = self.script, []
        return FakeVcpu(script)

    def close(self) -> None:
        assert all(space.is_closed for space in self.spaces), "an address space is open"
        assert self.frames.in_use == 0, "frames are in use"
        assert self.frames.shared_file_frames == 0, "file mappings are in use"
        self.frames.close()
