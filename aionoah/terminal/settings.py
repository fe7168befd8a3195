"""What a terminal is set to: flags, characters and speeds, in every form that ioctls know (ioctl_tty(2))."""

from typing import Final, NamedTuple

from aionoah.abi.termios import CC, NCCS, Baud, Cflag, Csize, Iflag, Lflag, Oflag, Termio, Termios, Termios2

_OLD_NCCS: Final = 8  # characters of the old form


def _control_characters() -> bytes:
    """INIT_C_CC of asm-generic/termios.h."""
    keys = bytearray(NCCS)
    for index, key in (
        *((CC.INTR, 0x03), (CC.QUIT, 0x1C), (CC.ERASE, 0x7F), (CC.KILL, 0x15), (CC.EOF, 0x04), (CC.MIN, 1)),
        *((CC.START, 0x11), (CC.STOP, 0x13), (CC.SUSP, 0x1A), (CC.REPRINT, 0x12), (CC.DISCARD, 0x0F)),
        *((CC.WERASE, 0x17), (CC.LNEXT, 0x16)),
    ):
        keys[index] = key
    return bytes(keys)


class Settings(NamedTuple):
    """All that TCSETS2 sets. A change makes a new one."""

    iflag: int
    oflag: int
    cflag: int
    lflag: int
    keys: bytes  # c_cc: NCCS characters, by CC
    line: int = 0
    ispeed: int = 38400
    ospeed: int = 38400

    # -- as structures ------------------------------------------------------------------------------------

    def termios(self) -> Termios:
        return Termios(self.iflag, self.oflag, self.cflag, self.lflag, self.line, self.keys)

    def termios2(self) -> Termios2:
        words = (self.iflag, self.oflag, self.cflag, self.lflag, self.line, self.keys)
        return Termios2(*words, self.ispeed, self.ospeed)

    def termio(self) -> Termio:
        """The old form has the lower halves of the flags, and the first eight characters."""
        words = [word & 0xFFFF for word in (self.iflag, self.oflag, self.cflag, self.lflag)]
        return Termio(*words, self.line, self.keys[:_OLD_NCCS])  # type: ignore[call-arg, arg-type]

    def changed_by_termios(self, wanted: Termios) -> "Settings":
        return Settings(
            wanted.c_iflag, wanted.c_oflag, wanted.c_cflag, wanted.c_lflag, wanted.c_cc, wanted.c_line
        ).with_speeds(self.ispeed, self.ospeed)

    def changed_by_termios2(self, wanted: Termios2) -> "Settings":
        return Settings(
            wanted.c_iflag, wanted.c_oflag, wanted.c_cflag, wanted.c_lflag, wanted.c_cc, wanted.c_line
        ).with_speeds(wanted.c_ispeed, wanted.c_ospeed)

    def changed_by_termio(self, wanted: Termio) -> "Settings":
        high = 0xFFFF_0000
        return Settings(
            self.iflag & high | wanted.c_iflag,
            self.oflag & high | wanted.c_oflag,
            self.cflag & high | wanted.c_cflag,
            self.lflag & high | wanted.c_lflag,
            wanted.c_cc + self.keys[_OLD_NCCS:],
            wanted.c_line,
        ).with_speeds(self.ispeed, self.ospeed)

    def with_speeds(self, ispeed: int, ospeed: int) -> "Settings":
        """Speeds are what the flags say; with BOTHER the given numbers (tty_baudrate.c)."""
        out_bits = self.cflag & Cflag.CBAUD
        in_bits = self.cflag >> _INPUT_SHIFT & Cflag.CBAUD
        output = ospeed if out_bits == Baud.BOTHER else _SPEEDS.get(out_bits, 0)
        if in_bits == Baud.B0:
            return self._replace(ispeed=output, ospeed=output)
        return self._replace(
            ispeed=ispeed if in_bits == Baud.BOTHER else _SPEEDS.get(in_bits, 0), ospeed=output
        )

    def for_pty(self) -> "Settings":
        """A pty has eight bits and no parity, whatever is asked for (pty_set_termios)."""
        return self._replace(cflag=self.cflag & ~(Cflag.CSIZE | Cflag.PARENB) | Csize.CS8 | Cflag.CREAD)

    # -- what is asked most -------------------------------------------------------------------------------

    @property
    def has_usual_flow_control(self) -> bool:
        """Whether ^S and ^Q stop and start output (what packet mode tells)."""
        return bool(self.iflag & Iflag.IXON) and self.keys[CC.STOP] == 0x13 and self.keys[CC.START] == 0x11

    @property
    def is_canonical(self) -> bool:
        return bool(self.lflag & Lflag.ICANON)


_INPUT_SHIFT: Final = 16  # IBSHIFT: where cflag has the input speed
_SPEEDS: Final = {value: int(name[1:]) for value, name in Baud.members().items() if name[1:].isdecimal()}

_ECHOING: Final = Lflag.ECHO | Lflag.ECHOE | Lflag.ECHOK | Lflag.ECHOCTL | Lflag.ECHOKE
_BASE_CFLAG: Final = Baud.B38400 | Csize.CS8 | Cflag.CREAD
SLAVE_SETTINGS: Final = Settings(
    Iflag.ICRNL | Iflag.IXON,
    Oflag.OPOST | Oflag.ONLCR,
    _BASE_CFLAG,
    _ECHOING | Lflag.ISIG | Lflag.ICANON | Lflag.IEXTEN,
    _control_characters(),
)
"""What a new terminal is set to (tty_std_termios)."""
MASTER_SETTINGS: Final = SLAVE_SETTINGS._replace(iflag=0, oflag=0, lflag=0)
"""What passes a master is never touched."""
