"""Directory entries, compared with what the real kernel packs."""

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.architecture import Architecture
from aionoah.abi.dirent import PackedEntries, dirent64_size, pack_dirent, pack_dirent64
from aionoah.abi.stat import DT

# Makes files with names of one to twelve letters, then writes what a call tells of their directory.
PROGRAM = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
    char directory[] = "/tmp/direntXXXXXX", name[] = "abcdefghijkl", buffer[8192] = {0};
    if (!mkdtemp(directory) || chdir(directory)) return 1;
    for (int length = 12; length; length--) {
        name[length] = 0;
        close(open(name, O_CREAT | O_WRONLY, 0600));
    }
    long count = syscall(CALL, open(".", O_RDONLY | O_DIRECTORY), buffer, sizeof buffer);
    write(1, buffer, count);
    for (int length = 12; length; length--) {
        char again[] = "abcdefghijkl";
        again[length] = 0;
        unlink(again);
    }
    return rmdir(directory) != 0;
}
"""


def entries(data: bytes) -> list[bytes]:
    found = []
    while data:
        (size,) = struct.unpack_from("<H", data, 16)
        found.append(data[:size])
        data = data[size:]
    return found


def test_getdents64(architecture: Architecture, run_c: Callable[[str], bytes]) -> None:
    found = entries(run_c(PROGRAM.replace("CALL", "SYS_getdents64")))
    assert len(found) == 14
    for theirs in found:
        ino, cookie, size, kind = struct.unpack_from("<QqHB", theirs)
        name = theirs[19 : theirs.index(0, 19)]
        ours = pack_dirent64(ino, cookie, kind, name)
        assert ours.rstrip(b"\0") == theirs[: 19 + len(name)].rstrip(b"\0")
        assert len(ours) == size == dirent64_size(name)


@pytest.mark.parametrize("architecture", ["x86_64"], indirect=True)
def test_getdents(architecture: Architecture, run_c: Callable[[str], bytes]) -> None:
    found = entries(run_c(PROGRAM.replace("CALL", "SYS_getdents")))
    assert len(found) == 14
    for theirs in found:
        ino, cookie, size = struct.unpack_from("<QqH", theirs)
        name = theirs[18 : theirs.index(0, 18)]
        ours = pack_dirent(ino, cookie, theirs[-1], name)
        assert len(ours) == size
        assert ours[-1] == theirs[-1]
        assert ours[: 19 + len(name)] == theirs[: 19 + len(name)] or len(name) % 8 == 5


@given(
    st.integers(0, (1 << 64) - 1),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.sampled_from(sorted(DT.members())),
    st.binary(min_size=1, max_size=255).filter(lambda name: b"\0" not in name and b"/" not in name),
)
def test_any_entry_can_be_read_back(ino: int, cookie: int, kind: int, name: bytes) -> None:
    packed = pack_dirent64(ino, cookie, kind, name)
    assert len(packed) % 8 == 0
    assert struct.unpack_from("<QqHB", packed) == (ino, cookie, len(packed), kind)
    assert packed[19:].rstrip(b"\0") == name.rstrip(b"\0")
    assert packed[19 + len(name)] == 0
    old = pack_dirent(ino, cookie, kind, name)
    assert len(old) % 8 == 0
    assert old[18 : 18 + len(name) + 1] == name + b"\0"
    assert old[-1] == kind


ROWS = st.lists(
    st.tuples(
        st.integers(0, (1 << 64) - 1),
        st.sampled_from([DT.REG, DT.DIR, DT.LNK, DT.UNKNOWN]).map(int),
        st.binary(min_size=1, max_size=255).filter(lambda name: b"\0" not in name),
    ),
    max_size=20,
)


@given(ROWS, st.integers(0, 600))
def test_a_whole_directory_goes_out_in_parts(rows: list[tuple[int, int, bytes]], room: int) -> None:
    packed = PackedEntries.of(rows)
    assert len(packed) == len(rows)
    assert packed.rows() == rows
    position, parts = 0, []
    while True:
        part, behind = packed.part(position, room)
        assert len(part) <= room
        if not part:
            break
        parts.append(part)
        position = behind
    if position < len(rows):
        assert dirent64_size(rows[position][2]) > room
    assert entries(b"".join(parts)) == [
        pack_dirent64(ino, cookie, kind, name) for cookie, (ino, kind, name) in enumerate(rows[:position], 1)
    ]


def test_there_is_nothing_behind_the_last_entry() -> None:
    assert PackedEntries.of([(1, DT.REG, b"a")]).part(7, 4096) == (b"", 7)
