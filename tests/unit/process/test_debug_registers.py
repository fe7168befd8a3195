"""Debug registers: what may be written to them, and what they notice."""

import pytest
from fakes.expect import fails

from aionoah.abi.errno import Errno, LinuxError
from aionoah.process.debug_registers import DR_STEP, DebugRegisters

LIMIT = (1 << 47) - 4096
CLEAR = 0xFFFF0FF0
EXECUTE, WRITE, PORT, ACCESS = range(4)


def enabled(number: int, kind: int, length: int) -> int:
    return 1 << 2 * number | (kind | {1: 0, 2: 1, 8: 2, 4: 3}[length] << 2) << 16 + 4 * number


class Memory:
    def __init__(self) -> None:
        self.data = bytearray(64)

    def read(self, address: int, length: int) -> bytes:
        if address >= len(self.data):
            raise LinuxError(Errno.EFAULT)
        return bytes(self.data[address : address + length])


def test_what_is_refused_changes_nothing() -> None:
    registers = DebugRegisters()
    registers.set(0, 0x1001, LIMIT)
    for number, value, errno in (
        (0, LIMIT, Errno.EINVAL),
        (4, 0, Errno.EIO),
        (5, 0, Errno.EIO),
        (7, enabled(0, WRITE, 2), Errno.EINVAL),
        (7, enabled(0, PORT, 1), Errno.EINVAL),
        (7, enabled(0, EXECUTE, 8), Errno.EINVAL),
        (7, enabled(0, ACCESS, 1), Errno.ENOSPC),
    ):
        fails(errno, registers.set, number, value, LIMIT)
    assert [registers.get(number) for number in range(8)] == [0x1001, 0, 0, 0, 0, 0, CLEAR, 0]
    assert not registers.is_active
    registers.set(7, enabled(0, WRITE, 1), LIMIT)
    assert registers.is_active
    fails(Errno.EINVAL, registers.set, 0, LIMIT, LIMIT)
    registers.set(7, 0, LIMIT)
    assert not registers.is_active


def test_places_and_changes_are_noticed() -> None:
    registers, memory = DebugRegisters(), Memory()
    registers.set(1, 0x20, LIMIT)
    registers.set(3, 8, LIMIT)
    registers.set(7, enabled(1, EXECUTE, 1) | enabled(3, WRITE, 8), LIMIT)
    registers.look(memory.read)
    assert not registers.has_hit(0x21, memory.read, is_step=False)
    memory.data[16] = memory.data[7] = 1  # around it
    assert not registers.has_hit(0x21, memory.read, is_step=False)
    memory.data[15] = 1
    assert registers.has_hit(0x20, memory.read, is_step=False)
    assert registers.get(6) == CLEAR | 0b1010
    assert not registers.has_hit(0x21, memory.read, is_step=True)
    assert registers.get(6) == CLEAR | DR_STEP


@pytest.mark.parametrize("appears", [False, True])
def test_what_is_not_mapped_does_not_change(appears: bool) -> None:
    registers, memory = DebugRegisters(), Memory()
    registers.set(0, 128, LIMIT)
    registers.set(7, enabled(0, WRITE, 4), LIMIT)
    registers.look(memory.read)
    if appears:
        memory.data.extend(bytes(128))
    assert registers.has_hit(0, memory.read, is_step=False) == appears
