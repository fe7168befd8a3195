"""News of the host's files, as Linux has it: inotify(7). darwin_notify.py has the same."""

import ctypes
import os
import struct
from typing import Final, NamedTuple

from aionoah.host import reserve
from aionoah.host.libc import call

_FLAGS: Final = os.O_NONBLOCK | os.O_CLOEXEC  # IN_NONBLOCK | IN_CLOEXEC
_HEADER: Final = struct.Struct("iIII")
_ROOM: Final = 65536


class HostEvent(NamedTuple):
    """As struct inotify_event; the mask is in the numbers of abi.inotify.IN."""

    wd: int  # -1 for an overflow
    mask: int
    cookie: int
    name: bytes


class HostNotifier:
    """Watches on files of the host, and a queue of what has happened to them.

    Its descriptor can be read once there is something in the queue. OSError: EMFILE, ENFILE and ENOSPC at the host's
    limits, EACCES for what the user that runs us may not read.
    """

    def __init__(self) -> None:
        self._fd = reserve.require_more(call("inotify_init1", _FLAGS))

    def fileno(self) -> int:
        return self._fd

    def watch(self, fd: int, mask: int) -> int:
        """Watch the file of a descriptor, which may be closed then; returns the watch's number. The same file
        has the same number, and the latest mask.
        """
        path = b"/proc/self/fd/%d" % fd
        return call("inotify_add_watch", self._fd, path, ctypes.c_uint32(mask))

    def forget(self, wd: int) -> None:
        """End a watch; what it has seen may still come, and IN_IGNORED."""
        call("inotify_rm_watch", self._fd, wd)

    def read(self) -> list[HostEvent]:
        """What has happened since the last time."""
        events: list[HostEvent] = []
        while True:
            try:
                data = os.read(self._fd, _ROOM)
            except BlockingIOError:
                return events
            position = 0
            while position < len(data):
                wd, mask, cookie, length = _HEADER.unpack_from(data, position)
                position += _HEADER.size
                name = data[position : position + length].rstrip(b"\0")
                events.append(HostEvent(wd, mask, cookie, name))
                position += length

    def close(self) -> None:
        os.close(self._fd)
