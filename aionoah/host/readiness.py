"""What a descriptor of the host is ready for at this moment: poll(2), in bits of abi.poll.Poll."""

import select
import sys
from collections.abc import Sequence
from typing import Final

from aionoah.abi.poll import Poll

_EVENTS: Final = tuple(
    (bits, getattr(select, f"POLL{name}"))
    for name, bits in Poll.members().items()
    if hasattr(select, f"POLL{name}") and name != "NVAL"
)
_HAS_SAME_BITS: Final = sys.platform == "linux"


def _mask(events: Sequence[tuple[int, int]]) -> int:
    """All of the host's bits, of which one may stand for several events: Darwin has one for OUT and WRNORM."""
    return sum({host for _, host in events})


_ALL_EVENTS: Final = _mask(_EVENTS)


class Readiness:
    """Of one descriptor, again and again."""

    __slots__ = ("_fd", "_poller")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._poller = select.poll()
        self._poller.register(fd, _ALL_EVENTS)

    def now(self) -> int:
        ready = self._poller.poll(0)
        if not ready:
            return 0
        host_events = ready[0][1]
        if _HAS_SAME_BITS:
            return host_events
        if host_events & select.POLLNVAL:  # Darwin's poll takes no terminals
            return _selected(self._fd)
        return sum(bits for bits, host in _EVENTS if host_events & host)


def _selected(fd: int) -> int:
    readable, writable, _ = select.select([fd], [fd], [], 0)
    mask = Poll.IN | Poll.RDNORM if readable else 0
    return mask | (Poll.OUT | Poll.WRNORM if writable else 0)


def poll_now(fd: int) -> int:
    """The same, asked once."""
    return Readiness(fd).now()
