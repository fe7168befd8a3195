"""Program files (uapi linux/elf.h, linux/elf-em.h; elf(5))."""

from typing import Annotated

from aionoah.abi.cstruct import U16, U32, U64, Struct
from aionoah.abi.flags import Choice, Flags

ELF_MAGIC = b"\x7fELF"
ELF_CLASS_64 = 2  # ELFCLASS64, in e_ident[4]
ELF_LITTLE_ENDIAN = 1  # ELFDATA2LSB, in e_ident[5]
ELF_VERSION = 1  # EV_CURRENT
ELF_IDENT = bytes((*ELF_MAGIC, ELF_CLASS_64, ELF_LITTLE_ENDIAN, ELF_VERSION)).ljust(16, b"\0")


class ET(Choice):
    """Kinds of files."""

    REL = 1
    EXEC = 2
    DYN = 3
    CORE = 4


class EM(Choice):
    """Machines that Linux has, or had, programs for."""

    SPARC = 2
    I386 = 3
    M68K = 4
    MIPS = 8
    PARISC = 15
    PPC = 20
    PPC64 = 21
    S390 = 22
    ARM = 40
    SH = 42
    SPARCV9 = 43
    IA_64 = 50
    X86_64 = 62
    AARCH64 = 183
    MICROBLAZE = 189
    RISCV = 243
    BPF = 247
    LOONGARCH = 258
    ALPHA = 0x9026


class PT(Choice):
    """Kinds of program headers."""

    LOAD = 1
    INTERP = 3
    NOTE = 4
    GNU_STACK = 0x6474E551


class PF(Flags):
    """Rights of a segment."""

    X = 1
    W = 2
    R = 4


class ElfHeader(Struct):
    """Elf64_Ehdr."""

    e_ident: Annotated[bytes, "16s"]
    e_type: U16
    e_machine: U16
    e_version: U32
    e_entry: U64
    e_phoff: U64
    e_shoff: U64
    e_flags: U32
    e_ehsize: U16
    e_phentsize: U16
    e_phnum: U16
    e_shentsize: U16
    e_shnum: U16
    e_shstrndx: U16


class ProgramHeader(Struct):
    """Elf64_Phdr."""

    p_type: U32
    p_flags: U32
    p_offset: U64
    p_vaddr: U64
    p_paddr: U64
    p_filesz: U64
    p_memsz: U64
    p_align: U64
