"""The few functions of the ABI: device numbers, modes, wait statuses, signal names."""

import ctypes
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi import stat, wait
from aionoah.abi.signal import SIG, signal_bit, signal_name
from aionoah.abi.stat import DT, S
from aionoah.abi.words import signed

WORDS = st.integers(0, 0xFFFF_FFFF)


@given(WORDS)
def test_signed_words(word: int) -> None:
    assert signed(word) == ctypes.c_int(word).value
    assert signed(word << 32 | word, 64) == ctypes.c_int64(word << 32 | word).value
    assert signed(word, 12) % 4096 == word % 4096
    assert -2048 <= signed(word, 12) < 2048


@given(WORDS, WORDS)
def test_device_numbers(major: int, minor: int) -> None:
    device = stat.makedev(major, minor)
    assert (stat.major(device), stat.minor(device)) == (major, minor)
    assert 0 <= device < 1 << 64


@pytest.mark.parametrize(
    ("major", "minor"), [(0, 0), (1, 3), (5, 2), (8, 255), (259, 70000), (4095, 1048575)]
)
def test_device_numbers_are_the_c_librarys(major: int, minor: int) -> None:
    if os.uname().sysname != "Linux":
        pytest.skip("other hosts have other device numbers")
    assert stat.makedev(major, minor) == os.makedev(major, minor)


@pytest.mark.parametrize(
    ("kind", "entry"),
    [
        (S.IFREG, DT.REG),
        (S.IFDIR, DT.DIR),
        (S.IFLNK, DT.LNK),
        (S.IFCHR, DT.CHR),
        (S.IFBLK, DT.BLK),
        (S.IFIFO, DT.FIFO),
        (S.IFSOCK, DT.SOCK),
    ],
)
def test_directory_types(kind: int, entry: int) -> None:
    mode = kind | 0o7777
    assert stat.directory_type(mode) == entry
    assert stat.is_regular(mode) is (kind == S.IFREG)
    assert stat.is_directory(mode) is (kind == S.IFDIR)
    assert stat.is_symlink(mode) is (kind == S.IFLNK)


@given(st.integers(-(1 << 31), (1 << 31) - 1))
def test_exit_statuses(code: int) -> None:
    status = wait.exited_status(code)
    assert os.WIFEXITED(status)
    assert os.WEXITSTATUS(status) == code & 0xFF == wait.exit_code(status)
    assert wait.term_signal(status) == 0


@given(st.integers(1, 64), st.booleans())
def test_kill_statuses(number: int, core: bool) -> None:
    status = wait.killed_status(number, core=core)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == number == wait.term_signal(status)
    assert os.WCOREDUMP(status) is core


@given(st.integers(1, 64))
def test_stop_statuses(number: int) -> None:
    status = wait.stopped_status(number)
    assert os.WIFSTOPPED(status)
    assert os.WSTOPSIG(status) == number
    assert os.WIFCONTINUED(wait.WAIT_CONTINUED)


def test_signal_names() -> None:
    assert signal_name(SIG.SEGV) == "SIGSEGV"
    assert signal_name(SIG.IO) == "SIGIO"
    assert signal_name(SIG.RTMIN) == "SIGRT_0"
    assert signal_name(SIG.RTMAX) == "SIGRT_32"
    assert [signal_name(number) for number in (0, 65, -1)] == ["0", "65", "-1"]
    assert all(signal_name(number).startswith("SIG") for number in range(1, 65))


def test_signal_bits() -> None:
    assert signal_bit(SIG.HUP) == 1
    assert signal_bit(SIG.RTMAX) == 1 << 63
