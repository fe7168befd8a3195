"""Options of SOL_SOCKET for sockets that are made of our own objects (socket(7); Linux net/core/sock.c).

Most do nothing to a socket that never leaves the machine; they are kept so that programs read back what they
have set.
"""

import struct
from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.socket import SO, Linger
from aionoah.abi.time import NSEC_PER_SEC, NSEC_PER_USEC, USEC_PER_SEC

if TYPE_CHECKING:
    from aionoah.net.socket import Socket

DEFAULT_BUFFER: Final = 212992  # bytes: net.core.wmem_default and rmem_default, and the largest to be set
_SMALLEST: Final = {SO.SNDBUF: 4608, SO.RCVBUF: 2304}
_READ_ONLY: Final = (SO.TYPE, SO.PROTOCOL, SO.DOMAIN, SO.ERROR, SO.ACCEPTCONN, SO.SNDLOWAT, SO.PEERCRED)
_BOOLEANS: Final = (
    *(SO.DEBUG, SO.REUSEADDR, SO.DONTROUTE, SO.BROADCAST, SO.KEEPALIVE, SO.OOBINLINE, SO.NO_CHECK),
    *(SO.REUSEPORT, SO.RXQ_OVFL),
)
# One is in force, or none.
_STAMPS: Final = (SO.TIMESTAMP, SO.TIMESTAMPNS, SO.TIMESTAMP_NEW, SO.TIMESTAMPNS_NEW)
_TIMEOUTS: Final = {
    SO.RCVTIMEO: "read_timeout_ns",
    SO.SNDTIMEO: "write_timeout_ns",
    SO.RCVTIMEO_NEW: "read_timeout_ns",
    SO.SNDTIMEO_NEW: "write_timeout_ns",
}
NOT_EVERYWHERE: Final = (SO.PASSCRED, SO.PASSPIDFD)  # EOPNOTSUPP where a family has no identities to tell
_MAX_PRIORITY: Final = 6  # for everybody
_INT: Final = struct.Struct("<i")
_TIMEVAL: Final = struct.Struct("<qq")


def as_int(value: bytes) -> int:
    """The int that most options have; EINVAL for too short a value."""
    if len(value) < _INT.size:
        raise LinuxError(Errno.EINVAL)
    number: int = _INT.unpack_from(value)[0]
    return number


def from_int(number: int) -> bytes:
    return _INT.pack(number)


def get_common(socket: "Socket", option: int) -> bytes | None:
    """Options that sockets of every family have alike; None for others."""
    match option:
        case SO.TYPE:
            return from_int(socket.kind)
        case SO.DOMAIN:
            return from_int(socket.family)
        case SO.PROTOCOL:
            return from_int(socket.protocol)
        case SO.LOCK_FILTER:
            return from_int(int(socket.is_filter_locked))
    if option in _TIMEOUTS:
        seconds, rest_ns = divmod(getattr(socket, _TIMEOUTS[option]) or 0, NSEC_PER_SEC)
        return _TIMEVAL.pack(seconds, rest_ns // NSEC_PER_USEC)
    return None


def set_common(socket: "Socket", option: int, value: bytes) -> bool:
    """Whether the option was one of those. EINVAL, EDOM, ENOPROTOOPT, EPERM, ENOENT."""
    if option in (SO.DETACH_FILTER, SO.LOCK_FILTER):
        _set_filtering(socket, option, as_int(value))
        return True
    if option in _READ_ONLY:
        raise LinuxError(Errno.ENOPROTOOPT)
    if option not in _TIMEOUTS:
        return False
    setattr(socket, _TIMEOUTS[option], _timeout_ns(value))
    return True


def _set_filtering(socket: "Socket", option: int, number: int) -> None:
    """What is locked stays as it is."""
    is_locking = option == SO.LOCK_FILTER and number != 0
    _require(is_locking or not socket.is_filter_locked)
    if option == SO.LOCK_FILTER:
        socket.is_filter_locked = is_locking
    elif socket.filter_program:
        socket.detach_filter()
    else:
        raise LinuxError(Errno.ENOENT)


def _timeout_ns(value: bytes) -> int | None:
    """None for no limit. A negative time is over at once (sock_set_timeout)."""
    if len(value) < _TIMEVAL.size:
        raise LinuxError(Errno.EINVAL)
    seconds, microseconds = _TIMEVAL.unpack_from(value)
    if not 0 <= microseconds < USEC_PER_SEC:
        raise LinuxError(Errno.EDOM)
    if seconds < 0:
        return 0
    return seconds * NSEC_PER_SEC + microseconds * NSEC_PER_USEC or None


def require_may_set(option: int, number: int, *, is_admin: bool) -> None:
    """EPERM or EACCES for options of SOL_SOCKET that want CAP_NET_ADMIN, which `is_admin` says is there."""
    if is_admin:
        return
    if option == SO.DEBUG and number:
        raise LinuxError(Errno.EACCES)
    _require(
        option not in (SO.SNDBUFFORCE, SO.RCVBUFFORCE, SO.MARK)
        and (option != SO.PRIORITY or 0 <= number <= _MAX_PRIORITY)
        and (option != SO.PREFER_BUSY_POLL or not number)
    )


class LocalOptions:
    """The options of one socket."""

    __slots__ = ("_numbers", "linger", "send_buffer", "stamp")

    def __init__(self) -> None:
        self.send_buffer = DEFAULT_BUFFER  # bytes
        self._numbers: dict[int, int] = {SO.RCVBUF: DEFAULT_BUFFER, SO.RCVLOWAT: 1}
        self.linger = Linger(0, 0)
        self.stamp = 0  # the option that says how messages tell when they came

    @property
    def receive_buffer(self) -> int:
        """Bytes."""
        return self._numbers[SO.RCVBUF]

    def is_set(self, option: int) -> bool:
        return bool(self._numbers.get(option))

    def get(self, option: int) -> bytes:
        """ENOPROTOOPT, EOPNOTSUPP."""
        if option in NOT_EVERYWHERE:
            raise LinuxError(Errno.EOPNOTSUPP)
        if option == SO.LINGER:
            return self.linger.pack()
        if option == SO.SNDBUF:
            return from_int(self.send_buffer)
        if option == SO.SNDLOWAT:
            return from_int(1)
        if option in _STAMPS:
            return from_int(int(self._is_stamp(option)))
        if option in _BOOLEANS or option in (SO.PRIORITY, SO.MARK):
            return from_int(self._numbers.get(option, 0))
        if option in self._numbers:
            return from_int(self._numbers[option])
        raise LinuxError(Errno.ENOPROTOOPT)

    def set(self, option: int, value: bytes, *, is_admin: bool) -> None:
        """EINVAL, ENOPROTOOPT, EOPNOTSUPP, and as `require_may_set`."""
        number = as_int(value)
        require_may_set(option, number, is_admin=is_admin)
        if option in NOT_EVERYWHERE or (option == SO.REUSEPORT and number):  # the latter for the internet's
            raise LinuxError(Errno.EOPNOTSUPP)
        if option in _BOOLEANS:
            self._numbers[option] = int(number != 0)
        elif option in _STAMPS:
            self.stamp = option if number else 0
        elif option in (SO.SNDBUF, SO.RCVBUF):
            self._set_buffer(option, min(number & 0xFFFF_FFFF, DEFAULT_BUFFER))
        elif option in (SO.SNDBUFFORCE, SO.RCVBUFFORCE):
            self._set_buffer(SO.SNDBUF if option == SO.SNDBUFFORCE else SO.RCVBUF, max(number, 0))
        elif option == SO.RCVLOWAT:
            self._numbers[option] = 0x7FFF_FFFF if number < 0 else number or 1
        elif option in (SO.PRIORITY, SO.MARK):
            self._numbers[option] = number
        elif option == SO.LINGER:
            self._set_linger(value)
        else:
            raise LinuxError(Errno.ENOPROTOOPT)

    def _is_stamp(self, option: int) -> bool:
        """As in Linux, whoever has asked for nanoseconds in the new form reads that he has asked for microseconds too."""
        return self.stamp == option or (option, self.stamp) == (SO.TIMESTAMP_NEW, SO.TIMESTAMPNS_NEW)

    def _set_buffer(self, option: int, size: int) -> None:
        """Twice what was asked for: the kernel's own needs come out of it."""
        doubled = max(min(size, 0x3FFF_FFFF) * 2, _SMALLEST[option])
        if option == SO.SNDBUF:
            self.send_buffer = doubled
        else:
            self._numbers[option] = doubled

    def _set_linger(self, value: bytes) -> None:
        if len(value) < Linger.SIZE:
            raise LinuxError(Errno.EINVAL)
        self.linger = Linger.unpack(value)


def _require(is_allowed: bool) -> None:  # noqa: FBT001 - reads as a sentence
    if not is_allowed:
        raise LinuxError(Errno.EPERM)
