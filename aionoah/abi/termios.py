"""Terminal settings (uapi asm-generic/termbits.h; termios(3), ioctl_tty(2)). The same on both architectures."""

from typing import Annotated

from aionoah.abi.cstruct import U8, U16, U32, Struct
from aionoah.abi.flags import Choice, Flags


class Iflag(Flags):
    """c_iflag."""

    IGNBRK = 0x1
    BRKINT = 0x2
    IGNPAR = 0x4
    PARMRK = 0x8
    INPCK = 0x10
    ISTRIP = 0x20
    INLCR = 0x40
    IGNCR = 0x80
    ICRNL = 0x100
    IUCLC = 0x200
    IXON = 0x400
    IXANY = 0x800
    IXOFF = 0x1000
    IMAXBEL = 0x2000
    IUTF8 = 0x4000


class Oflag(Flags):
    """c_oflag. The delays are fields of bits; only XTABS (TAB3) does anything."""

    OPOST = 0x1
    OLCUC = 0x2
    ONLCR = 0x4
    OCRNL = 0x8
    ONOCR = 0x10
    ONLRET = 0x20
    OFILL = 0x40
    OFDEL = 0x80
    NLDLY = 0x100
    CRDLY = 0x600
    TABDLY = 0x1800
    XTABS = 0x1800
    BSDLY = 0x2000
    VTDLY = 0x4000
    FFDLY = 0x8000


class Cflag(Flags):
    """c_cflag. CSIZE and CBAUD are fields; their values are in Csize and Baud."""

    CSIZE = 0x30
    CSTOPB = 0x40
    CREAD = 0x80
    PARENB = 0x100
    PARODD = 0x200
    HUPCL = 0x400
    CLOCAL = 0x800
    CBAUDEX = 0x1000
    CBAUD = 0x100F
    CIBAUD = 0x100F0000
    ADDRB = 0x20000000
    CMSPAR = 0x40000000
    CRTSCTS = 0x80000000


class Lflag(Flags):
    """c_lflag."""

    ISIG = 0x1
    ICANON = 0x2
    XCASE = 0x4
    ECHO = 0x8
    ECHOE = 0x10
    ECHOK = 0x20
    ECHONL = 0x40
    NOFLSH = 0x80
    TOSTOP = 0x100
    ECHOCTL = 0x200
    ECHOPRT = 0x400
    ECHOKE = 0x800
    FLUSHO = 0x1000
    PENDIN = 0x4000
    IEXTEN = 0x8000
    EXTPROC = 0x10000


class Csize(Choice):
    """Values of Cflag.CSIZE."""

    CS5 = 0x0
    CS6 = 0x10
    CS7 = 0x20
    CS8 = 0x30


class Baud(Choice):
    """Values of Cflag.CBAUD: line speeds."""

    B0 = 0x0
    B50 = 0x1
    B75 = 0x2
    B110 = 0x3
    B134 = 0x4
    B150 = 0x5
    B200 = 0x6
    B300 = 0x7
    B600 = 0x8
    B1200 = 0x9
    B1800 = 0xA
    B2400 = 0xB
    B4800 = 0xC
    B9600 = 0xD
    B19200 = 0xE
    B38400 = 0xF
    B57600 = 0x1001
    B115200 = 0x1002
    B230400 = 0x1003
    B460800 = 0x1004
    B500000 = 0x1005
    B576000 = 0x1006
    B921600 = 0x1007
    B1000000 = 0x1008
    B1152000 = 0x1009
    B1500000 = 0x100A
    B2000000 = 0x100B
    B2500000 = 0x100C
    B3000000 = 0x100D
    B3500000 = 0x100E
    B4000000 = 0x100F
    BOTHER = 0x1000


class CC(Choice):
    """Indices into c_cc: VINTR and so on."""

    INTR = 0
    QUIT = 1
    ERASE = 2
    KILL = 3
    EOF = 4
    TIME = 5
    MIN = 6
    SWTC = 7
    START = 8
    STOP = 9
    SUSP = 10
    EOL = 11
    REPRINT = 12
    DISCARD = 13
    WERASE = 14
    LNEXT = 15
    EOL2 = 16


NCCS = 19
VDISABLE = 0  # a control character that is switched off


class TC(Choice):
    """Arguments of TCXONC."""

    OOFF = 0
    OON = 1
    IOFF = 2
    ION = 3


class TCFLUSH(Choice):
    """Arguments of TCFLSH: TCIFLUSH, TCOFLUSH, TCIOFLUSH."""

    INPUT = 0
    OUTPUT = 1
    BOTH = 2


class TIOCPKT(Flags):
    """The first byte of what a master reads in packet mode (asm-generic/ioctls.h)."""

    FLUSHREAD = 1
    FLUSHWRITE = 2
    STOP = 4
    START = 8
    NOSTOP = 16
    DOSTOP = 32
    IOCTL = 64


class Termios(Struct):
    """The kernel's struct termios, 36 bytes; a C library's is longer."""

    c_iflag: U32
    c_oflag: U32
    c_cflag: U32
    c_lflag: U32
    c_line: U8
    c_cc: Annotated[bytes, "19s"]


class Termios2(Struct):
    """With speeds as numbers, used where CBAUD is BOTHER."""

    c_iflag: U32
    c_oflag: U32
    c_cflag: U32
    c_lflag: U32
    c_line: U8
    c_cc: Annotated[bytes, "19s"]
    c_ispeed: U32
    c_ospeed: U32


class Termio(Struct):
    """The old form, for TCGETA and TCSETA (asm-generic/termios.h)."""

    c_iflag: U16
    c_oflag: U16
    c_cflag: U16
    c_lflag: U16
    c_line: U8
    c_cc: Annotated[bytes, "8s"]
