"""Registers of who is traced, as debuggers read and write them."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.aarch64 import AARCH64
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.ptrace import NT, USER_DEBUGREG, USER_SIZE, UserRegs
from aionoah.abi.x86_64 import RAX, RFLAGS, RIP, X86_64
from aionoah.process.tracees import NO_CALL, TracedState
from aionoah.syscalls.traced_registers import (
    REGISTER_SETS,
    debug_register,
    get_user_registers,
    peek_user,
    poke_user,
    put_user_registers,
)

words = st.integers(0, (1 << 64) - 1)
FPU = bytes(512) + b"\x03".ljust(64, b"\0") + bytes(256)


def make_state(architecture: Any = X86_64) -> TracedState:
    return TracedState(list(range(len(architecture.register_names))), NO_CALL, FPU, 0x1000, 0x2000)


def make_task(architecture: Any = X86_64) -> Any:
    return SimpleNamespace(
        architecture=architecture, kernel=SimpleNamespace(machine=SimpleNamespace(fpu_features=7))
    )


def errno_of(call: Any, *arguments: Any) -> int:
    with pytest.raises(LinuxError) as caught:
        call(*arguments)
    return caught.value.errno


def test_what_is_read_can_be_written() -> None:
    state, other = make_state(), make_state()
    other.registers[RAX], other.number = 77, 5
    put_user_registers(other, get_user_registers(state), make_task())
    assert get_user_registers(other) == get_user_registers(state)


def test_one_word_of_the_user_area() -> None:
    state, task = make_state(), make_task()
    at = 8 * UserRegs.FIELDS.index("rip")
    poke_user(state, at, 0x1234, task)
    assert (state.registers[RIP], peek_user(state, at)) == (0x1234, 0x1234)
    poke_user(state, 8 * UserRegs.FIELDS.index("orig_rax"), (1 << 64) - 1, task)
    assert state.number == NO_CALL


@pytest.mark.parametrize("name", ["cs", "ss", "ds", "es", "fs", "gs"])
def test_segments_stay(name: str) -> None:
    state, task = make_state(), make_task()
    at = 8 * UserRegs.FIELDS.index(name)
    poke_user(state, at, peek_user(state, at), task)
    assert errno_of(poke_user, state, at, 0x23, task) == Errno.EIO


@pytest.mark.parametrize("name", ["fs_base", "gs_base"])
def test_bases_are_addresses_of_programs(name: str) -> None:
    state, task = make_state(), make_task()
    at = 8 * UserRegs.FIELDS.index(name)
    poke_user(state, at, 0x5000, task)
    assert peek_user(state, at) == 0x5000
    assert errno_of(poke_user, state, at, X86_64.task_size, task) == Errno.EIO


@given(words)
def test_only_flags_of_programs_change(value: int) -> None:
    state = make_state()
    state.registers[RFLAGS] = 0x202
    poke_user(state, 8 * UserRegs.FIELDS.index("eflags"), value, make_task())
    assert state.registers[RFLAGS] & ~0x54DD5 == 0x202
    assert state.registers[RFLAGS] & 0x54DD5 == value & 0x54DD5


@pytest.mark.parametrize("address", [1, 4, USER_SIZE, (1 << 64) - 8])
def test_places_that_are_none(address: int) -> None:
    assert errno_of(peek_user, make_state(), address) == Errno.EIO
    assert errno_of(poke_user, make_state(), address, 0, make_task()) == Errno.EIO


def test_where_debug_registers_are() -> None:
    places = [debug_register(USER_DEBUGREG + offset) for offset in (-8, 0, 4, 8, 56, 64)]
    assert places == [None, 0, None, 1, 7, None]
    assert errno_of(poke_user, make_state(), USER_DEBUGREG - 8, 0, make_task()) == Errno.EIO


def test_an_xsave_image_says_what_there_can_be() -> None:
    state, task, xsave = make_state(), make_task(), REGISTER_SETS["x86_64"][NT.X86_XSTATE]
    image = xsave.get(state, task)
    assert int.from_bytes(image[464:472], "little") == 7
    xsave.put(state, image, task)
    assert state.fpu == FPU


@pytest.mark.parametrize(
    ("offset", "errno"), [(512 + 7, Errno.EINVAL), (512 + 8, Errno.EINVAL), (27, Errno.EINVAL)]
)
def test_images_that_the_cpu_would_refuse(offset: int, errno: int) -> None:
    """Unknown components, compaction, bits of MXCSR."""
    state, task, xsave = make_state(), make_task(), REGISTER_SETS["x86_64"][NT.X86_XSTATE]
    image = bytearray(FPU)
    image[offset] = 0x80
    assert errno_of(xsave.put, state, bytes(image), task) == errno
    assert errno_of(xsave.put, state, bytes(image[:-8]), task) == Errno.EFAULT
    assert state.fpu == FPU


@given(st.binary(min_size=512, max_size=512))
def test_the_old_fpu_state_has_no_bad_bits(data: bytes) -> None:
    state, task = make_state(), make_task()
    REGISTER_SETS["x86_64"][NT.PRFPREG].put(state, data, task)
    assert len(state.fpu) == len(FPU)
    assert int.from_bytes(state.fpu[24:28], "little") <= 0xFFFF


@pytest.mark.parametrize("kind", [NT.PRSTATUS, NT.PRFPREG, NT.ARM_TLS, NT.ARM_SYSTEM_CALL])
def test_sets_of_aarch64(kind: int) -> None:
    state, task, found = make_state(AARCH64), make_task(AARCH64), REGISTER_SETS["aarch64"][kind]
    state.registers[-1], state.fpu = 0xF000_0000, bytes(528)
    data = found.get(state, task)
    found.put(state, data, task)
    assert found.get(state, task) == data
    found.put(state, data[: found.unit], task)
    assert found.get(state, task) == data


def test_pstate_is_a_programs() -> None:
    state, task = make_state(AARCH64), make_task(AARCH64)
    words_of = REGISTER_SETS["aarch64"][NT.PRSTATUS]
    data = words_of.get(state, task)[:-8] + (0x3C5).to_bytes(8, "little")
    assert errno_of(words_of.put, state, data, task) == Errno.EINVAL
