"""Filters of packets: the real kernel's answers are the right ones."""

import contextlib
import ctypes
import socket
import sys

import pytest
from fakes.expect import fails
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.filter import BPF, BPF_ALU, BPF_JMP, BPF_X, SockFilter
from aionoah.abi.socket import SO
from aionoah.net.filters import Filter

CODES = sorted(
    {
        *BPF.members(),
        *BPF_ALU.members(),
        *BPF_JMP.members(),
        *(code | BPF_X for code in BPF_ALU.members()),
        *(code | BPF_X for code in BPF_JMP.members()),
    }
)
SMALL = st.integers(0, 6)
INSTRUCTIONS = st.builds(
    SockFilter,
    st.sampled_from(CODES) | st.integers(0, 0xFF),
    SMALL,
    SMALL,
    SMALL | st.sampled_from([16, 31, 32, 0x7FFF_FFFF, 0xFFFF_FFFF]),
)
RETURNS = st.builds(SockFilter, st.just(BPF.RET_A) | st.just(BPF.RET_K), st.just(0), st.just(0), SMALL)
PROGRAMS = st.builds(
    lambda code, end: b"".join(each.pack() for each in (*code, end)),
    st.lists(INSTRUCTIONS, max_size=12),
    RETURNS,
)


class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def natively(program: bytes, packets: list[bytes]) -> list[bytes] | None:
    """What comes through the host's filter; None if it refuses the program."""
    receiver, sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with receiver, sender:
        given_program = Program(len(program) // SockFilter.SIZE, program)
        try:
            receiver.setsockopt(socket.SOL_SOCKET, SO.ATTACH_FILTER, bytes(given_program))
        except OSError:
            return None
        receiver.setblocking(False)
        for packet in packets:
            sender.send(packet)
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(receiver.recv(1000))
        return found


def ours(program: bytes, packets: list[bytes]) -> list[bytes] | None:
    try:
        tried = Filter(program)
    except LinuxError:
        return None
    return [passed for packet in packets if (passed := tried.passed(packet)) is not None]


def code(*instructions: tuple[int, int, int, int]) -> bytes:
    return b"".join(SockFilter(*each).pack() for each in instructions)


@pytest.mark.skipif(sys.platform != "linux", reason="the oracle is Linux's kernel")
@settings(max_examples=300, deadline=None)
@given(program=PROGRAMS, packets=st.lists(st.binary(max_size=12), max_size=3))
@example(code((BPF.LD_MEM, 0, 0, 3), (BPF.RET_A, 0, 0, 0)), [b"abc"])
@example(code((BPF.LD_B_ABS, 0, 0, 3), (BPF.RET_K, 0, 0, 9)), [b"abc", b"abcd"])
def test_is_as_the_kernels(program: bytes, packets: list[bytes]) -> None:
    assert ours(program, packets) == natively(program, packets)


def test_a_word_of_memory_must_be_written_on_every_way() -> None:
    jump, read, end = (BPF_JMP.JEQ, 1, 0, 5), (BPF.LD_MEM, 0, 0, 2), (BPF.RET_A, 0, 0, 0)
    write = (BPF.ST, 0, 0, 2)
    Filter(code(write, jump, write, read, end))
    fails(Errno.EINVAL, Filter, code(jump, write, read, end))


def test_addresses_below_zero_are_refused() -> None:
    fails(Errno.EINVAL, Filter, code((BPF.LD_W_ABS, 0, 0, 0xFFFF_F000), (BPF.RET_A, 0, 0, 0)))
