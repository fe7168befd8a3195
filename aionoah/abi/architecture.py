"""What differs between guest architectures, as one value for each of them.

X86_64 is in x86_64.py, AARCH64 in aarch64.py. Signal frames and CPU-specific system calls are not
here: their structures are in those modules, and signals/ has one builder for each.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Final

from aionoah.abi.cstruct import Struct

PAGE_SHIFT: Final = 12
PAGE_SIZE: Final = 1 << PAGE_SHIFT
PAGE_MASK: Final = PAGE_SIZE - 1
STACK_GUARD_GAP: Final = 256 * PAGE_SIZE  # mm/mmap.c: stack_guard_gap, kept free below whatever grows down
_MMAP_GAP_MINIMUM: Final = 128 << 20  # arch/x86/mm/mmap.c: SIZE_128M; mm/util.c: MIN_GAP


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Architecture:
    """Numbers, register conventions, address-space layout and structures of one architecture."""

    name: str  # "x86_64" or "aarch64", as in Machine.architecture
    machine: bytes  # what uname says
    elf_machine: int  # e_machine of its programs
    platform: bytes  # AT_PLATFORM

    # -- system calls ---------------------------------------------------------------------------------
    syscall_names: Mapping[int, str]  # canonical names: handlers are called by them

    # -- registers: indices into Vcpu.registers ---------------------------------------------------------
    register_names: tuple[str, ...]
    syscall_registers: tuple[int, int, int, int, int, int, int]  # the number, then six arguments
    result_register: int
    stack_pointer: int
    program_counter: int
    flags_register: int  # rflags or pstate
    syscall_instruction: bytes  # what stands right before the program counter of a SYSCALL exit

    # -- address space ----------------------------------------------------------------------------------
    task_size: int  # first address that no program has (4-KiB pages, no tagged or 52-bit addresses)
    stack_top: int  # where the initial stack ends, unless it is moved by randomization
    pie_base: int  # ELF_ET_DYN_BASE: where an interpreter puts a position-independent program

    # -- structures -------------------------------------------------------------------------------------
    stat_struct: type[Struct]  # the same field names for both: st_dev … st_ctime_nsec
    epoll_event_struct: type[Struct]  # events, data
    sigaction_struct: type[Struct]  # sa_handler, sa_flags, sa_restorer, sa_mask
    minimum_signal_stack: int  # MINSIGSTKSZ: what sigaltstack accepts
    clone_tls_argument: int  # which argument of clone is the thread pointer…
    clone_child_tid_argument: int  # …and which is child_tid: the two are in either order

    # -- open flags -------------------------------------------------------------------------------------
    open_flags: Callable[[int], int]  # the guest's bits as members of abi.fcntl.O
    guest_open_flags: Callable[[int], int]  # and back, for F_GETFL and /proc/self/fdinfo

    @cached_property
    def syscall_numbers(self) -> dict[str, int]:
        """The number of each system call by its canonical name."""
        return {name: number for number, name in self.syscall_names.items()}

    def __repr__(self) -> str:
        return f"<Architecture {self.name}>"

    def mmap_base(self, stack_limit: int) -> int:
        """Where mappings start to grow down from, under a stack of at most `stack_limit` bytes.

        A stack without a limit leaves them a sixth of the space (arch/x86/mm/mmap.c: mmap_base).
        """
        gap = max(stack_limit + STACK_GUARD_GAP, _MMAP_GAP_MINIMUM)
        gap = min(gap, self.task_size // 6 * 5)
        return (self.stack_top - gap) & ~PAGE_MASK


def architecture_named(name: str) -> Architecture:
    """The architecture of that name; only the one that is asked for is loaded. KeyError for another name."""
    modules = {"x86_64": "X86_64", "aarch64": "AARCH64"}
    found: Architecture = getattr(import_module(f"aionoah.abi.{name}"), modules[name])
    return found
