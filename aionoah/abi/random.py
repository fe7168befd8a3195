"""Random bytes (uapi linux/random.h; getrandom(2))."""

from aionoah.abi.flags import Flags


class GRND(Flags):
    NONBLOCK = 0x1
    RANDOM = 0x2
    INSECURE = 0x4
