"""Classic BPF for sockets that are made of our own objects: which packets come in, and how much of them.

Sources: bpf(4) of the BSDs, Linux net/core/filter.c (bpf_check_classic, sk_filter_trim_cap) and
Documentation/networking/filter.rst. Linux's own addresses below 0, for what it knows of a packet besides its bytes,
are refused: EINVAL, as of a kernel that has not got them.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.filter import BPF, BPF_ALU, BPF_JMP, BPF_MAXINSNS, BPF_MEMWORDS, BPF_X, SockFilter

_WORD: Final = 0xFFFF_FFFF
_SIZES: Final = {
    BPF.LD_W_ABS: 4,
    BPF.LD_H_ABS: 2,
    BPF.LD_B_ABS: 1,
    BPF.LD_W_IND: 4,
    BPF.LD_H_IND: 2,
    BPF.LD_B_IND: 1,
}
_INDIRECT: Final = (BPF.LD_W_IND, BPF.LD_H_IND, BPF.LD_B_IND)
_ABSOLUTE: Final = (BPF.LD_W_ABS, BPF.LD_H_ABS, BPF.LD_B_ABS)
_MEMORY: Final = (BPF.ST, BPF.STX, BPF.LD_MEM, BPF.LDX_MEM)
_RETURNS: Final = (BPF.RET_K, BPF.RET_A)
_DIVISIONS: Final = (BPF_ALU.DIV, BPF_ALU.MOD)
_SHIFTS: Final = (BPF_ALU.LSH, BPF_ALU.RSH)
_ARITHMETIC: Final[dict[int, Callable[[int, int], int]]] = {
    BPF_ALU.ADD: operator.add,
    BPF_ALU.SUB: operator.sub,
    BPF_ALU.MUL: operator.mul,
    BPF_ALU.DIV: operator.floordiv,
    BPF_ALU.OR: operator.or_,
    BPF_ALU.AND: operator.and_,
    BPF_ALU.LSH: lambda a, b: a << (b & 31),
    BPF_ALU.RSH: lambda a, b: a >> (b & 31),
    BPF_ALU.MOD: operator.mod,
    BPF_ALU.XOR: operator.xor,
}
_TESTS: Final[dict[int, Callable[[int, int], bool]]] = {
    BPF_JMP.JEQ: operator.eq,
    BPF_JMP.JGT: operator.gt,
    BPF_JMP.JGE: operator.ge,
    BPF_JMP.JSET: lambda a, b: bool(a & b),
}


class Over(Exception):  # noqa: N818 - no error
    """The program goes beyond the packet, or divides by nothing: the packet is dropped."""


def instructions(program: bytes) -> list[SockFilter]:
    """An array of struct sock_filter."""
    size = SockFilter.SIZE
    return [SockFilter.unpack(program[at : at + size]) for at in range(0, len(program), size)]


class Filter:
    """A program that has been checked."""

    def __init__(self, program: bytes) -> None:
        """EINVAL for what the kernel would not run. `program` is an array of struct sock_filter."""
        self.program = program
        self._code = instructions(program)
        check(self._code)

    def passed(self, packet: bytes) -> bytes | None:
        """What gets through of a packet; None if it is dropped."""
        try:
            length = Run(packet).result(self._code)
        except Over:
            return None
        return packet[:length] if length else None


class Run:
    """One packet goes through a program. Filters of system calls have another `load` (process/seccomp.py)."""

    def __init__(self, packet: bytes) -> None:
        self._packet = packet
        self._a = 0
        self._x = 0
        self._memory = [0] * BPF_MEMWORDS

    def result(self, code: Sequence[SockFilter]) -> int:
        """Jumps go forward only, so it ends."""
        at = 0
        while True:
            now = code[at]
            at += 1
            if now.code in _RETURNS:
                return now.k if now.code == BPF.RET_K else self._a
            if now.code == BPF.JMP_JA:
                at += now.k
            elif (test := _TESTS.get(now.code & ~BPF_X)) is not None:
                at += now.jt if test(self._a, self._operand(now)) else now.jf
            elif (calculate := _ARITHMETIC.get(now.code & ~BPF_X)) is not None:
                operand = self._operand(now)
                if not operand and now.code & ~BPF_X in _DIVISIONS:
                    raise Over
                self._a = calculate(self._a, operand) & _WORD
            else:
                self._move(now)

    def _operand(self, now: SockFilter) -> int:
        return self._x if now.code & BPF_X else now.k

    def _move(self, now: SockFilter) -> None:  # noqa: C901, PLR0912 - a table of what there is
        match now.code:
            case BPF.LD_IMM:
                self._a = now.k
            case BPF.LDX_IMM:
                self._x = now.k
            case BPF.LD_W_LEN:
                self._a = len(self._packet)
            case BPF.LDX_W_LEN:
                self._x = len(self._packet)
            case BPF.LD_MEM:
                self._a = self._memory[now.k]
            case BPF.LDX_MEM:
                self._x = self._memory[now.k]
            case BPF.ST:
                self._memory[now.k] = self._a
            case BPF.STX:
                self._memory[now.k] = self._x
            case BPF.MISC_TAX:
                self._x = self._a
            case BPF.MISC_TXA:
                self._a = self._x
            case BPF.ALU_NEG:
                self._a = -self._a & _WORD
            case BPF.LDX_B_MSH:
                self._x = (self.load(now.k, 1) & 15) * 4
            case _:
                self._a = self.load(now.k + (self._x if now.code in _INDIRECT else 0), _SIZES[BPF(now.code)])

    def load(self, at: int, size: int) -> int:
        at &= _WORD
        if at + size > len(self._packet):
            raise Over
        return int.from_bytes(self._packet[at : at + size], "big")


# -- what may run -------------------------------------------------------------------------------------------


def check(code: Sequence[SockFilter]) -> None:
    """EINVAL unless every instruction is one, every path ends, and nothing is read from memory before it is there."""
    if not 0 < len(code) <= BPF_MAXINSNS or code[-1].code not in _RETURNS:
        raise LinuxError(Errno.EINVAL)
    # By place: which words of memory all ways to it have written.
    known = [(1 << BPF_MEMWORDS) - 1] * (len(code) + 1)
    known[0] = 0
    for at, now in enumerate(code):
        if not _is_instruction(now):
            raise LinuxError(Errno.EINVAL)
        bits = known[at]
        if now.code in (BPF.LD_MEM, BPF.LDX_MEM) and not bits >> now.k & 1:
            raise LinuxError(Errno.EINVAL)
        if now.code in (BPF.ST, BPF.STX):
            bits |= 1 << now.k
        if now.code in _RETURNS:
            known[at + 1] &= bits  # Linux does not see that nobody comes this way
            continue
        for distance in _ways(now):
            if at + 1 + distance >= len(code):
                raise LinuxError(Errno.EINVAL)
            known[at + 1 + distance] &= bits


def _is_instruction(now: SockFilter) -> bool:
    if now.code & ~BPF_X in _DIVISIONS:
        return bool(now.code & BPF_X or now.k)
    if now.code & ~BPF_X in _SHIFTS:
        return bool(now.code & BPF_X or now.k < 32)
    if now.code in _MEMORY:
        return now.k < BPF_MEMWORDS
    if now.code in _ABSOLUTE:
        return now.k < 1 << 31
    return now.code in BPF.members() or now.code & ~BPF_X in _ARITHMETIC or now.code & ~BPF_X in _TESTS


def _ways(now: SockFilter) -> tuple[int, ...]:
    """How many instructions may be passed over."""
    if now.code == BPF.JMP_JA:
        return (now.k,)
    return (now.jt, now.jf) if now.code & ~BPF_X in _TESTS else (0,)
