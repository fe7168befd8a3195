"""What wakes an event loop, as Linux has it: a timer and edges of descriptors. darwin_events.py has the same.

Both are descriptors that a loop watches for reading, and both are set from any thread without waking it.
"""

import contextlib
import os
import select
import struct
import time
from typing import Final

from aionoah.abi.time import NSEC_PER_SEC

_ABSOLUTE: Final = 1  # TFD_TIMER_ABSTIME
_CANCEL_ON_SET: Final = 2  # TFD_TIMER_CANCEL_ON_SET
_FLAGS: Final = os.O_NONBLOCK | os.O_CLOEXEC  # TFD_NONBLOCK | TFD_CLOEXEC
_EXPIRATIONS_SIZE: Final = 8
_NEVER: Final = (1 << 62, 0)


_ITIMERSPEC: Final = struct.Struct("4l")  # interval and value, each of seconds and nanoseconds


class _Timerfd:
    def __init__(self, clock: int) -> None:
        from aionoah.host.libc import call  # noqa: PLC0415 - slow to import, and many programs wait for no time

        self._call = call
        self._fd = call("timerfd_create", clock, _FLAGS)

    def fileno(self) -> int:
        return self._fd

    def _settime(self, flags: int, seconds: int, nanoseconds: int) -> None:
        self._call("timerfd_settime", self._fd, flags, _ITIMERSPEC.pack(0, 0, seconds, nanoseconds), None)

    def close(self) -> None:
        os.close(self._fd)


class HostTimer(_Timerfd):
    """Readable once a time has come, as precise as the host's clock: event loops count in milliseconds."""

    def __init__(self) -> None:
        super().__init__(time.CLOCK_MONOTONIC)

    def set(self, deadline_ns: int) -> None:
        """Become readable at `deadline_ns` of time.monotonic_ns, instead of any earlier wish."""
        self._settime(_ABSOLUTE, *divmod(max(deadline_ns, 1), NSEC_PER_SEC))

    def acknowledge(self) -> None:
        """Not readable any more, until the next deadline."""
        with contextlib.suppress(BlockingIOError):  # it has been set anew meanwhile
            os.read(self._fd, _EXPIRATIONS_SIZE)


class ClockWatch(_Timerfd):
    """Readable once somebody has set the host's CLOCK_REALTIME."""

    def __init__(self) -> None:
        super().__init__(time.CLOCK_REALTIME)
        self._settime(_ABSOLUTE | _CANCEL_ON_SET, *_NEVER)

    def acknowledge(self) -> bool:
        """Whether it has been set; look for the next time."""
        try:
            os.read(self._fd, _EXPIRATIONS_SIZE)
        except BlockingIOError:
            return False
        except OSError:  # ECANCELED
            self._settime(_ABSOLUTE | _CANCEL_ON_SET, *_NEVER)
            return True
        return False


_READABLE: Final = select.EPOLLIN | select.EPOLLPRI | select.EPOLLRDHUP
_ALWAYS: Final = select.EPOLLERR | select.EPOLLHUP


class EdgePoller:
    """Tells when descriptors become ready, once for each time, and is itself readable then."""

    def __init__(self, *, only_data: bool = False) -> None:
        self._epoll = select.epoll()
        self._readable = select.EPOLLIN if only_data else _READABLE

    def fileno(self) -> int:
        return self._epoll.fileno()

    def watch(self, fd: int, *, reading: bool, writing: bool, is_new: bool) -> None:
        """Watch a descriptor, or watch it for something else; if it is ready, it counts as becoming so.

        EPERM for one that is always ready.
        """
        events = select.EPOLLET | (self._readable if reading else 0) | (select.EPOLLOUT if writing else 0)
        try:
            (self._epoll.register if is_new else self._epoll.modify)(fd, events)
        except FileNotFoundError:  # closed without a word, and the number used again
            self._epoll.register(fd, events)

    def forget(self, fd: int) -> None:
        with contextlib.suppress(OSError):  # it has been closed, which epoll notices by itself
            self._epoll.unregister(fd)

    def ready(self) -> list[tuple[int, bool, bool]]:
        """Which have become ready since the last time, for reading and for writing."""
        return [
            (fd, bool(events & (_READABLE | _ALWAYS)), bool(events & (select.EPOLLOUT | _ALWAYS)))
            for fd, events in self._epoll.poll(0)
        ]

    def close(self) -> None:
        self._epoll.close()
