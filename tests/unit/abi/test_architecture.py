"""What an Architecture says beyond its structures."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi import aarch64, x86_64
from aionoah.abi.aarch64 import AARCH64
from aionoah.abi.architecture import PAGE_SIZE, Architecture
from aionoah.abi.fcntl import VALID_OPEN_FLAGS, O
from aionoah.abi.resource import RLIM_INFINITY
from aionoah.abi.x86_64 import X86_64

BOTH = pytest.mark.parametrize("guest", [X86_64, AARCH64], ids=lambda guest: guest.name)


@BOTH
def test_register_file(guest: Architecture) -> None:
    names = guest.register_names
    assert len(set(names)) == len(names)
    chosen = [names[i] for i in (guest.stack_pointer, guest.program_counter, guest.flags_register)]
    call = [names[i] for i in guest.syscall_registers]
    assert (chosen, call, names[guest.result_register]) == {
        "x86_64": (["rsp", "rip", "rflags"], ["rax", "rdi", "rsi", "rdx", "r10", "r8", "r9"], "rax"),
        "aarch64": (["sp", "pc", "pstate"], ["x8", "x0", "x1", "x2", "x3", "x4", "x5"], "x0"),
    }[guest.name]


def test_named_indices() -> None:
    for index, name in enumerate(X86_64.register_names):
        assert getattr(x86_64, name.upper()) == index
    named = {"FP": "x29", "LR": "x30", "SP": "sp", "PC": "pc", "PSTATE": "pstate", "X8": "x8"}
    for name, register in named.items():
        assert AARCH64.register_names[getattr(aarch64, name)] == register


@pytest.mark.parametrize("architecture", ["x86_64"], indirect=True)
def test_x86_64_registers_are_those_of_kvm(c_facts: Callable) -> None:
    fields = list(X86_64.register_names)
    offsets = c_facts(["asm/kvm.h"], [f"offsetof(struct kvm_regs, {name})" for name in fields])
    assert list(offsets.values()) == [8 * index for index in range(len(fields))]


@BOTH
@given(flags=st.integers(0, 0xFFFF_FFFF))
def test_open_flags_go_back_and_forth(guest: Architecture, flags: int) -> None:
    assert guest.guest_open_flags(guest.open_flags(flags)) == flags
    assert guest.open_flags(flags).bit_count() == flags.bit_count()


def test_aarch64_open_flags() -> None:
    assert AARCH64.open_flags(0o40000) == O.DIRECTORY
    assert AARCH64.open_flags(0o100000) == O.NOFOLLOW
    assert AARCH64.open_flags(0o200000) == O.DIRECT
    assert AARCH64.open_flags(0o400000) == O.LARGEFILE
    unmoved = VALID_OPEN_FLAGS & ~(O.DIRECTORY | O.NOFOLLOW | O.DIRECT | O.LARGEFILE)
    assert AARCH64.open_flags(unmoved) == unmoved


def test_valid_open_flags_are_the_members() -> None:
    together = 0
    for bits in O.members().values():
        together |= bits
    assert together == VALID_OPEN_FLAGS


@BOTH
def test_address_space(guest: Architecture) -> None:
    assert guest.pie_base == guest.task_size // 3 * 2 // PAGE_SIZE * PAGE_SIZE
    assert guest.stack_top <= guest.task_size
    assert guest.stack_top % PAGE_SIZE == 0


def test_mmap_base_without_randomization() -> None:
    """What /proc/self/maps shows under `setarch -R`: the first mapping ends here."""
    assert X86_64.mmap_base(8 << 20) == 0x7FFF_F7FF_F000
    assert X86_64.mmap_base(0) == X86_64.mmap_base(100 << 20)
    assert X86_64.mmap_base(1 << 30) == 0x7FFF_FFFF_F000 - (1 << 30) - (1 << 20)


@BOTH
@given(limit=st.integers(0, RLIM_INFINITY))
def test_mmap_base_leaves_room_on_both_sides(guest: Architecture, limit: int) -> None:
    base = guest.mmap_base(limit)
    assert base % PAGE_SIZE == 0
    assert guest.task_size // 6 - PAGE_SIZE <= base <= guest.stack_top - (128 << 20)


@BOTH
def test_stat_fields(guest: Architecture) -> None:
    """Handlers build a stat by keywords, without knowing the architecture."""
    assert set(guest.stat_struct.FIELDS) == set(X86_64.stat_struct.FIELDS)
    made = guest.stat_struct(**dict.fromkeys(guest.stat_struct.FIELDS, 1))
    assert guest.stat_struct.unpack(made.pack()) == made
    assert set(guest.epoll_event_struct.FIELDS) == {"events", "data"}
    assert guest.sigaction_struct.FIELDS == ("sa_handler", "sa_flags", "sa_restorer", "sa_mask")


@BOTH
def test_clone_arguments_differ_in_order(guest: Architecture) -> None:
    assert {guest.clone_tls_argument, guest.clone_child_tid_argument} == {3, 4}


def test_elf_machines(architecture: Architecture, c_facts: Callable) -> None:
    name = {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64"}[architecture.name]
    assert c_facts(["linux/elf-em.h"], [name]) == {name: architecture.elf_machine}


def test_minimum_signal_stack(architecture: Architecture, c_facts: Callable) -> None:
    assert c_facts(["asm/signal.h"], ["MINSIGSTKSZ"]) == {"MINSIGSTKSZ": architecture.minimum_signal_stack}


def test_syscall_instruction(architecture: Architecture, run_c: Callable[[str], bytes]) -> None:
    text = {"x86_64": "syscall", "aarch64": "svc #0"}[architecture.name]
    program = f"""
    #include <unistd.h>
    extern const char before[], after[];
    void unused(void) {{ asm(".global before, after; before: {text}; after:"); }}
    int main(void) {{ return write(1, before, after - before) < 0; }}
    """
    assert run_c(program) == architecture.syscall_instruction
