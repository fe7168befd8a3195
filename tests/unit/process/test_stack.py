"""The initial stack: read back as a program reads it, and compared with the kernel's own."""

import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.auxv import AUX
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.limits import ARG_MAX, ARG_STRING_MAX
from aionoah.process.stack import argument_room, build_stack, check_arguments

TOP = 0x7FFF_FFFF_F000
SEED = bytes(range(16))
MIB = 1 << 20


class Seen(NamedTuple):
    """What a program finds, starting from nothing but the stack pointer."""

    argv: list[bytes]
    envp: list[bytes]
    auxiliary: list[tuple[int, int]]
    argv_addresses: list[int]
    envp_addresses: list[int]


class Reader:
    """A reader that knows the psABI and nothing of how the image was made."""

    def __init__(self, pointer: int, data: bytes) -> None:
        self.pointer = pointer
        self.data = data

    def word(self, address: int) -> int:
        return int(struct.unpack_from("<Q", self.data, address - self.pointer)[0])

    def string(self, address: int) -> bytes:
        start = address - self.pointer
        assert 0 <= start < len(self.data)
        return self.data[start : self.data.index(b"\0", start)]

    def pointers(self, address: int) -> tuple[list[int], int]:
        found = []
        while (value := self.word(address)) != 0:
            found.append(value)
            address += 8
        return found, address + 8

    def read(self) -> Seen:
        argc = self.word(self.pointer)
        argv, address = self.pointers(self.pointer + 8)
        assert len(argv) == argc
        envp, address = self.pointers(address)
        auxiliary = []
        while True:
            entry = self.word(address), self.word(address + 8)
            if entry[0] == AUX.NULL:
                break
            auxiliary.append(entry)
            address += 16
        return Seen([*map(self.string, argv)], [*map(self.string, envp)], auxiliary, argv, envp)


def built(argv: list[bytes], envp: list[bytes], execfn: bytes = b"/p", gap: int = 0) -> tuple[Seen, Reader]:
    entries = [(AUX.PAGESZ, 4096), (AUX.RANDOM, 0), (AUX.EXECFN, 0), (AUX.PLATFORM, 0)]
    layout = build_stack(TOP, argv, envp, execfn, entries, platform=b"x86_64", random_bytes=SEED, gap=gap)
    assert layout.pointer + len(layout.data) == TOP
    assert layout.pointer % 16 == 0
    reader = Reader(layout.pointer, layout.data)
    seen = reader.read()
    arguments = reader.data[layout.argument_start - layout.pointer : layout.argument_end - layout.pointer]
    assert arguments == b"".join(text + b"\0" for text in argv)
    start, end = layout.environment_start - layout.pointer, layout.environment_end - layout.pointer
    assert reader.data[start:end] == b"".join(text + b"\0" for text in envp)
    assert layout.auxiliary_vector == struct.pack("<10Q", *sum(seen.auxiliary, ()), 0, 0)
    return seen, reader


words = st.lists(st.binary(max_size=40).filter(lambda text: b"\0" not in text), max_size=12)


@given(
    words,
    words,
    st.binary(min_size=1, max_size=30).filter(lambda text: b"\0" not in text),
    st.integers(0, 8191),
)
def test_a_program_reads_what_was_given(
    argv: list[bytes],
    envp: list[bytes],
    execfn: bytes,
    gap: int,
) -> None:
    seen, reader = built(argv, envp, execfn, gap)
    assert seen.argv == argv
    assert seen.envp == envp
    values = dict(seen.auxiliary)
    assert [kind for kind, _ in seen.auxiliary] == [AUX.PAGESZ, AUX.RANDOM, AUX.EXECFN, AUX.PLATFORM]
    assert values[AUX.PAGESZ] == 4096
    assert reader.string(values[AUX.EXECFN]) == execfn
    assert reader.string(values[AUX.PLATFORM]) == b"x86_64"
    start = values[AUX.RANDOM] - reader.pointer
    assert reader.data[start : start + 16] == SEED


def test_strings_are_where_linux_puts_them() -> None:
    seen, reader = built([b"ab", b"c"], [b"E=1"], b"/bin/ab")
    assert reader.data.endswith(b"ab\0c\0E=1\0/bin/ab\0" + bytes(8))
    assert seen.envp_addresses == [seen.argv_addresses[1] + 2]


def test_random_bytes_have_a_fixed_size() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        build_stack(TOP, [], [], b"", [], platform=b"x", random_bytes=b"short")


# -- compared with the kernel ---------------------------------------------------------------------------------

DUMP = r"""
#include <stdio.h>
#include <string.h>
extern char **environ;
/* From the stack pointer to the top of the stack, preceded by where it starts. */
int main(int argc, char **argv) {
    unsigned long *sp = (unsigned long *)argv - 1;
    char line[512];
    unsigned long low, high, end = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps))
        if (strstr(line, "[stack]") && sscanf(line, "%lx-%lx", &low, &high) == 2) end = high;
    fwrite(&sp, 8, 1, stdout);
    fwrite(sp, 1, end - (unsigned long)sp, stdout);
    return 0;
}
"""

NATIVE_ARGUMENTS = [
    ([], {}),
    (["x"], {"A": "1"}),
    (["x", "yy", ""], {"A": "1", "LONG": "z" * 5000}),
    (["w" * n for n in range(17)], {f"V{n}": "v" * n for n in range(9)}),
]


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if os.uname().sysname != "Linux" or shutil.which("cc") is None or shutil.which("setarch") is None:
        pytest.skip("needs Linux, a C compiler and setarch")
    directory = tmp_path_factory.mktemp("dump")
    (directory / "dump.c").write_text(DUMP)
    subprocess.run(["cc", "-o", directory / "dump", directory / "dump.c"], check=True)
    return directory / "dump"


@pytest.mark.parametrize(("arguments", "environment"), NATIVE_ARGUMENTS)
def test_the_kernels_stack_is_reproduced(
    dump: Path,
    arguments: list[str],
    environment: dict[str, str],
) -> None:
    """Given the same strings and auxiliary values, every byte is where Linux has it."""
    command = ["setarch", "-R", dump, *arguments]
    out = subprocess.run(command, env=environment, capture_output=True, check=True).stdout
    pointer, data = int.from_bytes(out[:8], "little"), out[8:]
    reader = Reader(pointer, data)
    native = reader.read()
    values = dict(native.auxiliary)
    start = values[AUX.RANDOM] - pointer
    platform = reader.string(values[AUX.PLATFORM])
    ours = build_stack(
        pointer + len(data),
        native.argv,
        native.envp,
        reader.string(values[AUX.EXECFN]),
        [(kind, 0 if kind in (AUX.RANDOM, AUX.EXECFN, AUX.PLATFORM) else n) for kind, n in native.auxiliary],
        platform=platform,
        random_bytes=data[start : start + 16],
    )
    assert ours.pointer == pointer
    assert ours.data == data


# -- limits -----------------------------------------------------------------------------------------------------


def fails(argv: list[bytes], envp: list[bytes], limit: int) -> bool:
    try:
        check_arguments(b"/p", argv, envp, limit)
    except LinuxError as error:
        assert error.errno is Errno.E2BIG  # noqa: PT017 - both outcomes are fine
        return True
    return False


def test_a_single_string() -> None:
    assert not fails([b"a" * (ARG_STRING_MAX - 1)], [], 8 * MIB)
    assert fails([b"a" * ARG_STRING_MAX], [], 8 * MIB)
    assert fails([], [b"a" * ARG_STRING_MAX], 8 * MIB)


@pytest.mark.parametrize(
    ("limit", "room"),
    [(8 * MIB, 2 * MIB), (1 << 40, 6 * MIB), ((1 << 64) - 1, 6 * MIB), (64 * 1024, ARG_MAX), (0, ARG_MAX)],
)
def test_room_is_a_quarter_of_the_stack(limit: int, room: int) -> None:
    assert argument_room(3, 2, limit) == room - 5 * 8
    assert argument_room(0, 0, limit) == room - 8  # an empty argv becomes one empty string


def test_pointers_count_too() -> None:
    count = ARG_MAX // (8 + 1)
    assert not fails([b""] * (count - 10), [], 64 * 1024)
    assert fails([b""] * (count + 10), [], 64 * 1024)
    with pytest.raises(LinuxError):
        argument_room(ARG_MAX // 8, 0, 0)


@pytest.mark.parametrize(("limit", "most"), [(0, 4096), (4096, 4096), (6144, 4096), (24576, 24576)])
def test_strings_fit_the_stack_that_there_may_be(limit: int, most: int) -> None:
    """As the kernel was seen to draw the line: eight zero bytes and `/p` are there too, and a first page always."""
    length = most - 8 - len(b"/p\0") - 1
    assert not fails([b"a" * length], [], limit)
    assert fails([b"a" * (length + 1)], [], limit)


def test_the_kernel_draws_the_line_at_the_same_place(dump: Path) -> None:
    """The greatest sum of strings that the kernel takes with this process's stack limit."""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_STACK)[0]
    limit = (1 << 64) - 1 if limit == resource.RLIM_INFINITY else limit
    path = bytes(dump)
    room = argument_room(60, 0, limit) - 2 * (len(path) + 1)
    exact = [b"a" * (100_000 - 1)] * (room // 100_000)
    exact += [b"a" * (room - sum(map(len, exact)) - len(exact) - (59 - len(exact)))]
    exact += [b""] * (59 - len(exact))
    for extra in (0, 1):
        argv = [path, *exact[:-1], b"a" * extra]
        check = check_succeeds(argv, path, limit)
        assert check == (extra == 0)
        assert kernel_succeeds(argv, path) == check


def check_succeeds(argv: list[bytes], path: bytes, limit: int) -> bool:
    try:
        check_arguments(path, argv, [], limit)
    except LinuxError:
        return False
    return True


def kernel_succeeds(argv: list[bytes], path: bytes) -> bool:
    pid = os.fork()
    if pid == 0:
        try:
            os.close(1)
            os.open("/dev/null", os.O_WRONLY)
            os.execve(path, argv, {})
        except OSError:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 99
