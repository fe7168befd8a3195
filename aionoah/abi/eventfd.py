"""Flags of eventfd2 (uapi linux/eventfd.h; eventfd(2))."""

from aionoah.abi.flags import Flags


class EFD(Flags):
    SEMAPHORE = 1
    NONBLOCK = 0o4000
    CLOEXEC = 0o2000000
