"""What wakes an event loop, as macOS has it: kqueues. linux_events.py describes it.

The numbers of Darwin's sys/event.h stand here, so that the module can be imported anywhere.
"""

import contextlib
import errno
import os
import select
import time
from typing import Any, Final

from aionoah.host import darwin

_READ: Final = -1  # EVFILT_READ
_WRITE: Final = -2
_TIMER: Final = -7
_ADD: Final = 0x0001  # EV_ADD
_DELETE: Final = 0x0002
_ONESHOT: Final = 0x0010
_CLEAR: Final = 0x0020  # report edges
_NANOSECONDS: Final = 0x0004  # NOTE_NSECONDS
_MANY: Final = 256


class _Kqueue:
    def __init__(self) -> None:
        self._queue: Any = select.kqueue()  # type: ignore[attr-defined]

    def fileno(self) -> int:
        return int(self._queue.fileno())

    def _change(self, ident: int, kind: int, flags: int, fflags: int = 0, data: int = 0) -> None:
        event = select.kevent(ident, kind, flags, fflags, data)  # type: ignore[attr-defined]
        self._queue.control([event], 0, 0)

    def close(self) -> None:
        self._queue.close()


class HostTimer(_Kqueue):
    """Readable once a time has come."""

    def set(self, deadline_ns: int) -> None:
        left_ns = max(deadline_ns - time.monotonic_ns(), 1)
        self._change(0, _TIMER, _ADD | _ONESHOT, _NANOSECONDS, left_ns)

    def acknowledge(self) -> None:
        self._queue.control(None, 1, 0)


class ClockWatch(_Kqueue):
    """Never readable: Darwin tells nobody that its clock has been set."""

    def acknowledge(self) -> bool:
        return False


class EdgePoller(_Kqueue):
    """Tells when descriptors become ready."""

    def __init__(self, *, only_data: bool = False) -> None:  # noqa: ARG002 - urgent data has a filter of its own
        super().__init__()

    def watch(self, fd: int, *, reading: bool, writing: bool, is_new: bool) -> None:
        if not darwin.is_pollable(fd):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        if not is_new:
            self.forget(fd)
        if reading:
            self._change(fd, _READ, _ADD | _CLEAR)
        if writing:
            self._change(fd, _WRITE, _ADD | _CLEAR)

    def forget(self, fd: int) -> None:
        for kind in (_READ, _WRITE):
            with contextlib.suppress(FileNotFoundError):  # not watched for this
                self._change(fd, kind, _DELETE)

    def ready(self) -> list[tuple[int, bool, bool]]:
        events = self._queue.control(None, _MANY, 0)
        return [(event.ident, event.filter == _READ, event.filter == _WRITE) for event in events]
