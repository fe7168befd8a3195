"""Debug registers of x86_64, by which a tracer has a thread stop before an instruction, or behind one that writes to a place
(ptrace(2); Linux arch/x86/kernel/ptrace.c, arch/x86/kernel/hw_breakpoint.c).

Not every hypervisor knows them: the thread goes step by step while any is in use, and what is written shows by what has
changed. So a write of what was there already is not seen, and reads cannot be.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from aionoah.abi.errno import Errno, LinuxError

DR_STEP: Final = 1 << 14
_ADDRESSES: Final = 4
_STATUS: Final = 6
_CONTROL: Final = 7
_STATUS_SET: Final = 0xFFFF_0FF0  # bits of DR6 that are always set
_CONTROL_RESERVED: Final = 0xFFFF_FFFF_0000_FC00
_EXECUTE, _WRITE, _ACCESS = 0, 1, 3
_LENGTHS: Final = (1, 2, 8, 4)


class _Watch(NamedTuple):
    bit: int  # of DR6
    kind: int
    address: int
    length: int


class DebugRegisters:
    """Of one thread."""

    __slots__ = ("_addresses", "_before", "_control", "_status", "_watches")

    def __init__(self) -> None:
        self._addresses = [0] * _ADDRESSES
        self._status = _STATUS_SET
        self._control = 0
        self._watches: tuple[_Watch, ...] = ()
        self._before: list[bytes] = []

    @property
    def is_active(self) -> bool:
        return bool(self._watches)

    def get(self, number: int) -> int:
        if number < _ADDRESSES:
            return self._addresses[number]
        return {_STATUS: self._status, _CONTROL: self._control}.get(number, 0)

    def set(self, number: int, value: int, task_size: int) -> None:
        """EIO for what is no register; EINVAL for what cannot be watched; ENOSPC for reads, which none of ours sees."""
        addresses, control = list(self._addresses), self._control
        if number < _ADDRESSES:
            if value >= task_size:
                raise LinuxError(Errno.EINVAL)
            addresses[number] = value
        elif number == _STATUS:
            self._status = value
        elif number == _CONTROL:
            control = value & ~_CONTROL_RESERVED
        else:
            raise LinuxError(Errno.EIO)
        self._watches = _watches(addresses, control)
        self._addresses, self._control = addresses, control

    def look(self, read: Callable[[int, int], bytes]) -> None:
        """The program goes on. `read(address, length)` raises LinuxError where nothing is mapped."""
        self._before = [_contents(watch, read) for watch in self._watches]

    def has_hit(self, place: int, read: Callable[[int, int], bytes], *, is_step: bool) -> bool:
        """Whether an instruction has been executed that was watched for, and the next one is at `place`."""
        before = self._before
        self.look(read)
        changes = zip(self._watches, before, self._before, strict=True)
        hits = sum(
            watch.bit
            for watch, old, new in changes
            if (watch.address == place if watch.kind == _EXECUTE else old != new)
        )
        if hits or is_step:
            self._status = _STATUS_SET | hits | DR_STEP * is_step
        return bool(hits)


def _contents(watch: _Watch, read: Callable[[int, int], bytes]) -> bytes:
    if watch.kind == _EXECUTE:
        return b""
    try:
        return read(watch.address, watch.length)
    except LinuxError:
        return b""


def _watches(addresses: list[int], control: int) -> tuple[_Watch, ...]:
    enabled = [number for number in range(_ADDRESSES) if control >> 2 * number & 3]
    return tuple(_watch(number, addresses[number], control >> 16 + 4 * number & 0xF) for number in enabled)


def _watch(number: int, address: int, how: int) -> _Watch:
    kind, length = how & 3, _LENGTHS[how >> 2]
    is_possible = length == 1 if kind == _EXECUTE else kind in (_WRITE, _ACCESS)
    if not is_possible or address % length:
        raise LinuxError(Errno.EINVAL)
    if kind == _ACCESS:
        raise LinuxError(Errno.ENOSPC)
    return _Watch(1 << number, kind, address, length)
