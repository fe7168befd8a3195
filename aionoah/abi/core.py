"""Core dumps (uapi linux/elf.h, linux/elfcore.h; include/linux/sched/coredump.h; core(5))."""

from typing import Annotated

from aionoah.abi.cstruct import I16, I32, I64, U8, U16, U32, U64, Struct
from aionoah.abi.flags import Flags

CORE_NAME_SIZE = 128  # CORENAME_MAX_SIZE: of a pattern, its NUL included
NAME_LENGTH = 16  # of PrPsInfo
ARGUMENTS_LENGTH = 80  # ELF_PRARGSZ
MAX_FILE_NOTE = 4 << 20


class DUMP(Flags):
    """Kinds of memory, as /proc/PID/coredump_filter says which are dumped."""

    ANON_PRIVATE = 0x01
    ANON_SHARED = 0x02
    MAPPED_PRIVATE = 0x04
    MAPPED_SHARED = 0x08
    ELF_HEADERS = 0x10
    HUGETLB_PRIVATE = 0x20
    HUGETLB_SHARED = 0x40
    DAX_PRIVATE = 0x80
    DAX_SHARED = 0x100


class PF(Flags):
    """Process flags that PrPsInfo shows (include/linux/sched.h)."""

    FORKNOEXEC = 0x40
    DUMPCORE = 0x200
    SIGNALED = 0x400
    RANDOMIZE = 0x400000


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


ELF_IDENT = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")  # 64 bits, little-endian
ET_CORE = 4
PT_LOAD = 1
PT_NOTE = 4


class PrStatusCommon(Struct):
    """struct elf_prstatus_common. Registers follow, and a word that says whether there is an FPU set too."""

    si_signo: I32
    si_code: I32
    si_errno: I32
    pr_cursig: I16
    pr_sigpend: U64
    pr_sighold: U64
    pr_pid: I32
    pr_ppid: I32
    pr_pgrp: I32
    pr_sid: I32
    utime_sec: I64
    utime_usec: I64
    stime_sec: I64
    stime_usec: I64
    cutime_sec: I64
    cutime_usec: I64
    cstime_sec: I64
    cstime_usec: I64


class PrPsInfo(Struct):
    """struct elf_prpsinfo."""

    pr_state: U8
    pr_sname: U8
    pr_zomb: U8
    pr_nice: Annotated[int, "b"]
    pr_flag: U64
    pr_uid: U32
    pr_gid: U32
    pr_pid: I32
    pr_ppid: I32
    pr_pgrp: I32
    pr_sid: I32
    pr_fname: Annotated[bytes, "16s"]
    pr_psargs: Annotated[bytes, "80s"]
