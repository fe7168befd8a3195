"""Flags of memfd_create (uapi linux/memfd.h; memfd_create(2)). The seals are in fcntl.py."""

from aionoah.abi.flags import Flags


class MFD(Flags):
    CLOEXEC = 0x1
    ALLOW_SEALING = 0x2
    HUGETLB = 0x4
    NOEXEC_SEAL = 0x8
    EXEC = 0x10
