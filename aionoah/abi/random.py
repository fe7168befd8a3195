"""Random bytes (uapi linux/random.h; getrandom(2))."""

from aionoah.abi.flags import Flags

POOL_BITS = 256  # POOL_READY_BITS: what a seeded generator has, always (drivers/char/random.c)


class GRND(Flags):
    NONBLOCK = 0x1
    RANDOM = 0x2
    INSECURE = 0x4
