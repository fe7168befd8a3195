"""Requests of ioctl(2) (uapi asm-generic/ioctls.h; ioctl_tty(2)). The same on both architectures."""

from aionoah.abi.cstruct import U16, Struct
from aionoah.abi.flags import Choice


class IOCTL(Choice):
    """What the kernel knows by name; drivers have more."""

    TCGETS = 0x5401
    TCSETS = 0x5402
    TCSETSW = 0x5403
    TCSETSF = 0x5404
    TCSBRK = 0x5409
    TCXONC = 0x540A
    TCFLSH = 0x540B
    TIOCSCTTY = 0x540E
    TIOCGPGRP = 0x540F
    TIOCSPGRP = 0x5410
    TIOCGWINSZ = 0x5413
    TIOCSWINSZ = 0x5414
    FIONREAD = 0x541B
    FIONBIO = 0x5421
    TIOCNOTTY = 0x5422
    TIOCGSID = 0x5429
    FIONCLEX = 0x5450
    FIOCLEX = 0x5451
    FIOASYNC = 0x5452
    FIOQSIZE = 0x5460
    FIGETBSZ = 0x2


class Winsize(Struct):
    """The size of a terminal, in characters and in pixels."""

    ws_row: U16
    ws_col: U16
    ws_xpixel: U16
    ws_ypixel: U16
