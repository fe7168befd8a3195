"""Filters of packets, as socket(7) takes them: classic BPF (uapi linux/filter.h, linux/bpf_common.h)."""

from typing import Final

from aionoah.abi.cstruct import U8, U16, U32, U64, Struct
from aionoah.abi.flags import Choice

BPF_MAXINSNS: Final = 4096
BPF_MEMWORDS: Final = 16


class SockFilter(Struct):
    """One instruction."""

    code: U16
    jt: U8
    jf: U8
    k: U32


class SockFprog(Struct):
    len: U16
    filter: U64


class BPF(Choice):
    """Instructions: class, size or operation, mode or source."""

    RET_K = 0x06
    RET_A = 0x16
    LD_W_ABS = 0x20
    LD_H_ABS = 0x28
    LD_B_ABS = 0x30
    LD_W_IND = 0x40
    LD_H_IND = 0x48
    LD_B_IND = 0x50
    LD_W_LEN = 0x80
    LDX_W_LEN = 0x81
    LD_IMM = 0x00
    LDX_IMM = 0x01
    LDX_B_MSH = 0xB1
    LD_MEM = 0x60
    LDX_MEM = 0x61
    ST = 0x02
    STX = 0x03
    MISC_TAX = 0x07
    MISC_TXA = 0x87
    ALU_NEG = 0x84
    JMP_JA = 0x05


class BPF_ALU(Choice):  # noqa: N801 - as the header has it
    """With a constant for the other operand; or with X, and then BPF_X more."""

    ADD = 0x04
    SUB = 0x14
    MUL = 0x24
    DIV = 0x34
    OR = 0x44
    AND = 0x54
    LSH = 0x64
    RSH = 0x74
    MOD = 0x94
    XOR = 0xA4


class BPF_JMP(Choice):  # noqa: N801 - as the header has it
    """Likewise."""

    JEQ = 0x15
    JGT = 0x25
    JGE = 0x35
    JSET = 0x45


BPF_X: Final = 0x08
