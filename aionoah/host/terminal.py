"""Terminal requests on a terminal of the host, in Linux's numbers and structures.

On Linux the host's kernel understands them as they are. Elsewhere settings are translated name by name
through the standard library's termios; what the other side has no name for is left out.
"""

import fcntl
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from aionoah.abi import termios as linux
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.ioctl import IOCTL, Winsize

_WHEN: Final = {
    IOCTL.TCSETS: termios.TCSANOW,
    IOCTL.TCSETSW: termios.TCSADRAIN,
    IOCTL.TCSETSF: termios.TCSAFLUSH,
}


def exchange(fd: int, request: int, data: bytes) -> bytes:
    """Perform a request whose argument points to `data`; what the kernel puts there. OSError, LinuxError."""
    if sys.platform == "linux":
        return fcntl.ioctl(fd, request, data)
    with _termios_errors():
        return translated_exchange(fd, request, data)


def perform(fd: int, request: int, value: int) -> None:
    """Perform a request whose argument is a number: TCSBRK, TCXONC, TCFLSH. OSError, LinuxError."""
    if sys.platform == "linux":
        fcntl.ioctl(fd, request, value)
        return
    with _termios_errors():
        translated_perform(fd, request, value)


@contextmanager
def _termios_errors() -> Iterator[None]:
    """The termios module has an exception of its own where others raise OSError."""
    try:
        yield
    except termios.error as error:
        raise OSError(*error.args) from error


# -- hosts that are not Linux -------------------------------------------------------------------------------


def translated_exchange(fd: int, request: int, data: bytes) -> bytes:
    """TCGETS, TCSETS*, TIOCGWINSZ, TIOCSWINSZ, FIONREAD, TIOCOUTQ; ENOTTY for the rest."""
    if request == IOCTL.TCGETS:
        return _from_host(termios.tcgetattr(fd)).pack()
    if request in _WHEN:
        old = termios.tcgetattr(fd)
        termios.tcsetattr(fd, _WHEN[request], _to_host(linux.Termios.unpack(data), old))
        return data
    if request == IOCTL.TIOCGWINSZ:
        rows, columns = termios.tcgetwinsize(fd)
        return Winsize(rows, columns, 0, 0).pack()
    if request == IOCTL.TIOCSWINSZ:
        size = Winsize.unpack(data)
        termios.tcsetwinsize(fd, (size.ws_row, size.ws_col))
        return data
    if request in (IOCTL.FIONREAD, IOCTL.TIOCOUTQ):
        host_request = termios.FIONREAD if request == IOCTL.FIONREAD else termios.TIOCOUTQ
        return fcntl.ioctl(fd, host_request, bytes(4))
    raise LinuxError(Errno.ENOTTY)


_QUEUES: Final = (termios.TCIFLUSH, termios.TCOFLUSH, termios.TCIOFLUSH)  # by value of TCFLUSH
_FLOWS: Final = (termios.TCOOFF, termios.TCOON, termios.TCIOFF, termios.TCION)  # by value of TC


def translated_perform(fd: int, request: int, value: int) -> None:
    if request == IOCTL.TCFLSH and 0 <= value < len(_QUEUES):
        termios.tcflush(fd, _QUEUES[value])
    elif request == IOCTL.TCXONC and 0 <= value < len(_FLOWS):
        termios.tcflow(fd, _FLOWS[value])
    elif request == IOCTL.TCSBRK:
        if value:
            termios.tcdrain(fd)
        else:
            termios.tcsendbreak(fd, 0)
    else:
        raise LinuxError(Errno.EINVAL)


_FLAG_WORDS: Final = (linux.Iflag, linux.Oflag, linux.Cflag, linux.Lflag)
_NOT_FLAGS: Final = ("CSIZE", "CBAUD", "CIBAUD", "NLDLY", "CRDLY", "TABDLY", "BSDLY", "VTDLY", "FFDLY")
_BITS: Final = tuple(
    [
        (bits, getattr(termios, name))
        for name, bits in word.members().items()
        if hasattr(termios, name) and name not in _NOT_FLAGS
    ]
    for word in _FLAG_WORDS
)
_SIZES: Final = [(value, getattr(termios, name)) for value, name in linux.Csize.members().items()]
_SPEEDS: Final = [
    (value, getattr(termios, name)) for value, name in linux.Baud.members().items() if hasattr(termios, name)
]
_KEYS: Final = [
    (index, getattr(termios, f"V{name}"))
    for index, name in linux.CC.members().items()
    if hasattr(termios, f"V{name}")
]
_KEY_OFF: Final = b"\0" if sys.platform == "linux" else b"\xff"  # _POSIX_VDISABLE of the host


def _from_host(settings: list[Any]) -> linux.Termios:
    """What tcgetattr gave, as the kernel's structure."""
    words = [
        sum(theirs_bit for theirs_bit, ours in pairs if word & ours == ours)
        for pairs, word in zip(_BITS, settings[:4], strict=True)
    ]
    words[2] |= _translate_value(settings[2] & termios.CSIZE, _SIZES, linux.Csize.CS8, to_host=False)
    words[2] |= _translate_value(settings[5], _SPEEDS, linux.Baud.B38400, to_host=False)
    keys = bytearray(linux.NCCS)
    for index, ours in _KEYS:
        key = settings[6][ours]
        keys[index] = key if isinstance(key, int) else 0 if key == _KEY_OFF else key[0]
    iflag, oflag, cflag, lflag = words
    return linux.Termios(iflag, oflag, cflag, lflag, 0, bytes(keys))


def _to_host(wanted: linux.Termios, old: list[Any]) -> list[Any]:
    """What tcsetattr takes. What Linux has no name for stays as it was."""
    words = []
    fields = (wanted.c_iflag, wanted.c_oflag, wanted.c_cflag, wanted.c_lflag)
    for pairs, word, before in zip(_BITS, fields, old[:4], strict=True):
        known = sum(ours for _, ours in pairs)
        words.append((before & ~known) | sum(ours for bits, ours in pairs if word & bits == bits))
    size = _translate_value(wanted.c_cflag & linux.Cflag.CSIZE, _SIZES, termios.CS8, to_host=True)
    words[2] = (words[2] & ~termios.CSIZE) | size
    speed = _translate_value(wanted.c_cflag & linux.Cflag.CBAUD, _SPEEDS, old[5], to_host=True)
    keys = list(old[6])
    is_canonical = bool(wanted.c_lflag & linux.Lflag.ICANON)
    for index, ours in _KEYS:
        key = wanted.c_cc[index]
        is_count = index in (linux.CC.MIN, linux.CC.TIME) and not is_canonical
        keys[ours] = key if is_count else bytes([key]) if key else _KEY_OFF
    return [*words, speed, speed, keys]


def _translate_value(value: int, pairs: list[tuple[int, int]], default: int, *, to_host: bool) -> int:
    for theirs, ours in pairs:
        if value == (theirs if to_host else ours):
            return ours if to_host else theirs
    return default
