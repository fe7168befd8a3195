"""How a task treats user 0 (uapi linux/securebits.h; capabilities(7))."""

from aionoah.abi.flags import Flags


class SECBIT(Flags):
    """The word of PR_GET_SECUREBITS; a LOCKED bit keeps the one before it from changing."""

    NOROOT = 0x01
    NOROOT_LOCKED = 0x02
    NO_SETUID_FIXUP = 0x04
    NO_SETUID_FIXUP_LOCKED = 0x08
    KEEP_CAPS = 0x10
    KEEP_CAPS_LOCKED = 0x20
    NO_CAP_AMBIENT_RAISE = 0x40
    NO_CAP_AMBIENT_RAISE_LOCKED = 0x80


SECURE_ALL_BITS = 0x55
SECURE_ALL_LOCKS = 0xAA
