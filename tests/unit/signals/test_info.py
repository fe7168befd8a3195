"""The siginfo of each kind of sender."""

import struct

from aionoah.abi.siginfo import SI, SIGINFO_SIZE
from aionoah.abi.signal import SIG
from aionoah.signals.info import from_bytes, from_child, from_fault, from_kernel, from_user


def test_from_user() -> None:
    packed = from_user(SIG.TERM, 1234, 1000).pack()
    assert struct.unpack_from("<iii4xiI", packed) == (15, 0, 0, 1234, 1000)
    assert len(packed) == SIGINFO_SIZE
    assert from_user(SIG.TERM, 1, 2, SI.TKILL).si_code == -6


def test_from_kernel() -> None:
    assert struct.unpack_from("<iii", from_kernel(SIG.SEGV).pack()) == (11, 0, 128)


def test_from_fault() -> None:
    packed = from_fault(SIG.SEGV, 1, 0xFFFF_8000_0000_0000).pack()
    assert struct.unpack_from("<iii4xQ", packed) == (11, 0, 1, 0xFFFF_8000_0000_0000)


def test_from_child() -> None:
    packed = from_child(SIG.CHLD, 2, 77, 1000, 9, 3, 4).pack()
    assert struct.unpack_from("<iii4xiIi4xqq", packed) == (17, 0, 2, 77, 1000, 9, 3, 4)


def test_what_a_program_made_keeps_its_bytes_but_not_its_number() -> None:
    given = struct.pack("<iii4xiIQ", 5, 22, -1, 1, 2, 0xDEAD).ljust(SIGINFO_SIZE, b"\x07")
    info = from_bytes(given, SIG.USR1)
    assert (info.si_signo, info.si_errno, info.si_code) == (SIG.USR1, 22, -1)
    assert info.pack() == struct.pack("<i", SIG.USR1) + given[4:]
