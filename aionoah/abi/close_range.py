"""Flags of close_range (uapi linux/close_range.h; close_range(2))."""

from aionoah.abi.flags import Flags


class CLOSE_RANGE(Flags):  # noqa: N801 - the name of the header
    UNSHARE = 0x2
    CLOEXEC = 0x4
