"""The first contents of a program's stack: strings, auxiliary vector, pointers, argc.

Laid out as Linux does it (fs/exec.c copy_strings, fs/binfmt_elf.c create_elf_tables), from the top down:

    top          eight zero bytes
                 execfn
                 environment strings, in order
                 argument strings, in order
                 (a random gap of less than 8 KiB)
                 platform name, 16 random bytes
                 (padding)
                 auxiliary vector, AT_NULL at its end
                 NULL, environment pointers ascending
                 NULL, argument pointers ascending
    sp           argc; a multiple of 16
"""

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.auxv import AUX
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.limits import ARG_MAX, ARG_STRING_MAX
from aionoah.abi.resource import STK_LIM

POINTER_SIZE: Final = 8
_STACK_LIMIT_SHARE: Final = STK_LIM // 4 * 3  # beyond it a huge RLIMIT_STACK helps no further
_RANDOM_BYTES: Final = 16
_ALIGNMENT: Final = 16


class StackLayout(NamedTuple):
    """The image and what /proc and prctl want to know of it. Addresses are the guest's."""

    pointer: int  # the stack pointer at the program's first instruction
    data: bytes  # from `pointer` to the top of the stack
    argument_start: int
    argument_end: int
    environment_start: int
    environment_end: int
    auxiliary_vector: bytes  # as /proc/self/auxv shows it


def argument_room(argument_count: int, environment_count: int, stack_limit: int) -> int:
    """How many bytes the strings may take: a quarter of the stack limit, less the pointers to them.

    Raises E2BIG (bprm_stack_limits in fs/exec.c).
    """
    limit = max(min(_STACK_LIMIT_SHARE, stack_limit // 4), ARG_MAX)
    pointers = (max(argument_count, 1) + environment_count) * POINTER_SIZE
    if limit <= pointers:
        raise LinuxError(Errno.E2BIG)
    return limit - pointers


def check_arguments(execfn: bytes, argv: Sequence[bytes], envp: Sequence[bytes], stack_limit: int) -> None:
    """Raises E2BIG if the strings are too long or too many; `stack_limit` is RLIMIT_STACK in bytes, which the stack keeps
    to while they are put there, but for its first page.
    """
    room = argument_room(len(argv), len(envp), stack_limit)
    longest = max(map(len, (execfn, *argv, *envp))) + 1
    total = sum(map(len, (execfn, *argv, *envp))) + len(argv) + len(envp) + 1
    pages = -(-(POINTER_SIZE + total) // PAGE_SIZE)
    if longest > ARG_STRING_MAX or total > room or PAGE_SIZE < pages * PAGE_SIZE > stack_limit:
        raise LinuxError(Errno.E2BIG)


def build_stack(
    top: int,
    argv: Sequence[bytes],
    envp: Sequence[bytes],
    execfn: bytes,
    auxiliary: Sequence[tuple[int, int]],
    *,
    platform: bytes,
    random_bytes: bytes,
    gap: int = 0,
) -> StackLayout:
    """The image for a stack that ends at `top`, a page boundary.

    `auxiliary` holds the numeric entries in Linux's order; those that point into the stack (AT_RANDOM,
    AT_EXECFN, AT_PLATFORM) have their value filled in here, and AT_NULL is added. `gap` is the random
    distance below the strings, in bytes.
    """
    if len(random_bytes) != _RANDOM_BYTES:
        raise ValueError("AT_RANDOM points to 16 bytes")
    strings = b"".join(text + b"\0" for text in (*argv, *envp, execfn)) + bytes(POINTER_SIZE)
    argument_start = top - len(strings)
    argv_pointers = _pointers(argument_start, argv)
    environment_start = argument_start + sum(map(len, argv)) + len(argv)
    envp_pointers = _pointers(environment_start, envp)
    execfn_address = environment_start + sum(map(len, envp)) + len(envp)

    platform_address = ((argument_start - gap) & -_ALIGNMENT) - len(platform) - 1
    random_address = platform_address - _RANDOM_BYTES
    own = {AUX.RANDOM: random_address, AUX.EXECFN: execfn_address, AUX.PLATFORM: platform_address}
    entries = [*((kind, own.get(kind, value)) for kind, value in auxiliary), (AUX.NULL, 0)]
    vector = struct.pack(f"<{2 * len(entries)}Q", *(word for entry in entries for word in entry))

    words = [len(argv), *argv_pointers, 0, *envp_pointers, 0]
    table = struct.pack(f"<{len(words)}Q", *words) + vector
    pointer = (random_address - len(table)) & -_ALIGNMENT
    data = b"".join(
        (
            table,
            bytes(random_address - pointer - len(table)),
            random_bytes,
            platform + b"\0",
            bytes(argument_start - platform_address - len(platform) - 1),
            strings,
        )
    )
    return StackLayout(
        pointer, data, argument_start, environment_start, environment_start, execfn_address, vector
    )


def _pointers(address: int, strings: Sequence[bytes]) -> list[int]:
    found = []
    for text in strings:
        found.append(address)
        address += len(text) + 1
    return found
