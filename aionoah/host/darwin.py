"""Calls that differ between hosts, as macOS has them. linux.py has the same functions and describes them.

Constants are looked up by name, with the numbers of Darwin's headers for what Python may lack, so that
this module can be imported and its arithmetic tested anywhere.
"""

import contextlib
import errno
import fcntl
import os
import select
import socket
import stat
import struct
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import FADV, FALLOC, RENAME, SEEK
from aionoah.abi.uio import RWF
from aionoah.host.open_flags import host_open_flags

__all__ = [
    "HAS_NETLINK",
    "RouteSocket",
    "advise",
    "anonymous_file",
    "copy_range",
    "disconnect",
    "fallocate",
    "folds_case",
    "host_open_flags",
    "host_whence",
    "interface_configuration",
    "interface_details",
    "interface_request",
    "is_pollable",
    "lock_range",
    "open_nonblocking",
    "page_cache",
    "path_open",
    "pipe",
    "range_holder",
    "rename",
    "reopen",
    "set_write_hint",
    "socket_option",
    "thread_cpu_time_ns",
    "total_memory",
    "transfer_flags",
    "umask",
    "wait_for_end",
    "write_hint",
]

_PC_CASE_SENSITIVE: Final = 11  # sys/unistd.h
_O_SYMLINK: Final = getattr(os, "O_SYMLINK", 0x200000)  # sys/fcntl.h
_O_EVTONLY: Final = getattr(os, "O_EVTONLY", 0x8000)
_F_PREALLOCATE: Final = 42
_F_PUNCHHOLE: Final = 99
_F_ALLOCATEALL: Final = 0x4
_F_PEOFPOSMODE: Final = 3
_F_RDADVISE: Final = 44
_RENAME_SWAP: Final = 0x2  # sys/stdio.h
_RENAME_EXCL: Final = 0x4
_COPY_CHUNK: Final = 1 << 20

_WHENCE: Final = {
    int(SEEK.SET): os.SEEK_SET,
    int(SEEK.CUR): os.SEEK_CUR,
    int(SEEK.END): os.SEEK_END,
    int(SEEK.DATA): getattr(os, "SEEK_DATA", 4),
    int(SEEK.HOLE): getattr(os, "SEEK_HOLE", 3),
}


def open_nonblocking(fd: int) -> int:
    """A plain duplicate: /dev/fd/N shares the description here, so nothing can be opened anew."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 0)


def anonymous_file(name: str) -> int:
    """An unlinked temporary file."""
    fd, path = tempfile.mkstemp(prefix=f"{name}-".replace("/", "-"))
    Path(path).unlink()
    return fd


def path_open(name: bytes, dir_fd: int, *, directory: bool) -> int:
    """O_EVTONLY asks for no right but search on the way, O_SYMLINK opens a link itself."""
    kind = os.O_DIRECTORY | os.O_NOFOLLOW if directory else _O_SYMLINK | _O_EVTONLY
    return os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | kind, dir_fd=dir_fd)


def pipe() -> tuple[int, int]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    return reader, writer


def umask() -> int:
    """The process's own (umask(2)). It cannot be asked for: files that are made meanwhile have too few rights."""
    old = os.umask(0o077)
    os.umask(old)
    return old


def total_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def folds_case(path: bytes) -> bool:
    return os.pathconf(path, _PC_CASE_SENSITIVE) == 0


def host_whence(whence: int) -> int:
    """DATA and HOLE have each other's numbers."""
    return _WHENCE.get(whence, whence)


def copy_range(source: int, source_offset: int, target: int, target_offset: int, count: int) -> int:
    """There is no such call: a chunk through our memory."""
    data = os.pread(source, min(count, _COPY_CHUNK), source_offset)
    return os.pwrite(target, data, target_offset) if data else 0


def transfer_flags(flags: int) -> int:
    """There are none: EOPNOTSUPP for those that are about the cache, as from a file system without them."""
    if flags & (RWF.NOWAIT | RWF.DONTCACHE):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
    return 0


def write_hint(fd: int) -> int:  # noqa: ARG001 - as on Linux
    """There are none: EINVAL, as from an older Linux."""
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def set_write_hint(fd: int, hint: int) -> None:  # noqa: ARG001
    write_hint(fd)


def fallocate(fd: int, mode: int, offset: int, length: int) -> None:
    """Mode 0, KEEP_SIZE and hole punching; EOPNOTSUPP for the rest, as from a file system without it."""
    if mode == FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE:
        fcntl.fcntl(fd, _F_PUNCHHOLE, struct.pack("IIqq", 0, 0, offset, length))
    elif mode & ~FALLOC.KEEP_SIZE:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
    else:
        _preallocate(fd, offset + length, keep_size=mode == FALLOC.KEEP_SIZE)


def _preallocate(fd: int, end: int, *, keep_size: bool) -> None:
    """Only what lies behind the end can be allocated; F_PREALLOCATE does not move the end."""
    missing = end - os.fstat(fd).st_size
    if missing > 0:
        fcntl.fcntl(fd, _F_PREALLOCATE, struct.pack("Iiqqq", _F_ALLOCATEALL, _F_PEOFPOSMODE, 0, missing, 0))
        if not keep_size:
            os.ftruncate(fd, end)


def advise(fd: int, offset: int, length: int, advice: int) -> None:
    """Only reading ahead has a counterpart."""
    if advice == FADV.WILLNEED:
        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, _F_RDADVISE, struct.pack("qi4x", offset, min(length, (1 << 31) - 1)))


def page_cache(fd: int, offset: int, length: int) -> tuple[int, ...]:  # noqa: ARG001
    """It does not tell."""
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def rename(old_dir: int, old: bytes, new_dir: int, new: bytes, flags: int) -> None:
    if flags == 0:
        os.rename(old, new, src_dir_fd=old_dir, dst_dir_fd=new_dir)
        return
    _call("renameatx_np", old_dir, old, new_dir, new, rename_flags(flags))


def rename_flags(flags: int) -> int:
    """The bits of renameatx_np; EINVAL for WHITEOUT, which there is only on Linux, and for both."""
    chosen = {int(RENAME.NOREPLACE): _RENAME_EXCL, int(RENAME.EXCHANGE): _RENAME_SWAP}.get(flags)
    if chosen is None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return chosen


def is_pollable(fd: int) -> bool:
    """Kqueue takes regular files too, but reports them ready at their end only."""
    return not (stat.S_ISREG(mode := os.fstat(fd).st_mode) or stat.S_ISDIR(mode) or stat.S_ISBLK(mode))


_EVFILT_PROC: Final = -5  # sys/event.h
_EV_ADD: Final = 1
_NOTE_EXIT: Final = 0x80000000


def wait_for_end(pid: int, seconds: float) -> bool:
    queue: Any = select.kqueue()  # type: ignore[attr-defined]
    with contextlib.closing(queue):
        end = select.kevent(pid, _EVFILT_PROC, _EV_ADD, _NOTE_EXIT)  # type: ignore[attr-defined]
        try:
            queue.control([end], 1, max(seconds, 0))
        except ProcessLookupError:
            return False
    return True


_FLOCK: Final = struct.Struct("qqihh")  # struct flock: start, length, pid, type, whence
_F_OFD_SETLK: Final = 90  # sys/fcntl.h
_F_OFD_GETLK: Final = 92
_LOCK_KINDS: Final = {
    fcntl.LOCK_SH: fcntl.F_RDLCK,
    fcntl.LOCK_EX: fcntl.F_WRLCK,
    fcntl.LOCK_UN: fcntl.F_UNLCK,
}


def reopen(fd: int, flags: int) -> int:
    """By its path: a file without a name cannot be opened again."""
    path = fcntl.fcntl(fd, getattr(fcntl, "F_GETPATH", 50), bytes(1024)).partition(b"\0")[0]
    return os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW)


def lock_range(fd: int, kind: int, start: int, length: int) -> None:
    fcntl.fcntl(fd, _F_OFD_SETLK, _FLOCK.pack(start, length, 0, _LOCK_KINDS[kind], os.SEEK_SET))


def range_holder(fd: int, start: int, length: int, *, exclusive: bool) -> tuple[bool, int, int, bool] | None:
    kind = fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK
    answer = fcntl.fcntl(fd, _F_OFD_GETLK, _FLOCK.pack(start, length, 0, kind, os.SEEK_SET))
    start, length, pid, kind, _ = _FLOCK.unpack(answer)
    return None if kind == fcntl.F_UNLCK else (kind == fcntl.F_WRLCK, start, length, pid < 0)


def _call(name: str, *arguments: Any) -> None:  # noqa: ANN401 - as ctypes has it
    from aionoah.host.libc import call  # noqa: PLC0415 - slow to import and rarely needed

    call(name, *arguments)


def thread_cpu_time_ns(ident: int) -> int:
    """CPU time that a live thread of this process has used, by threading's ident. Only the calling thread's
    can be had from Python here; of another one it is 0.
    """
    return time.thread_time_ns() if ident == threading.get_ident() else 0


# -- sockets ------------------------------------------------------------------------------------------------


def attach_filter(fd: int, program: bytes) -> None:  # noqa: ARG001 - sockets have none here
    raise LinuxError(Errno.ENOPROTOOPT)


def detach_filter(fd: int) -> None:  # noqa: ARG001
    raise LinuxError(Errno.ENOENT)


def socket_option(name: str, number: int) -> int | None:  # noqa: ARG001 - the number is Linux's
    """Numbers differ; options that Python's socket module has no name for are left out. What has another
    name here is translated, where the meaning is the same.
    """
    found: int | None = getattr(socket, _SOCKET_OPTIONS.get(name, name), None)
    return found


_SOCKET_OPTIONS: Final = {
    "TCP_KEEPIDLE": "TCP_KEEPALIVE",
    "IPV6_ADD_MEMBERSHIP": "IPV6_JOIN_GROUP",
    "IPV6_DROP_MEMBERSHIP": "IPV6_LEAVE_GROUP",
}


def disconnect(fd: int) -> None:
    """AF_UNSPEC with its length in front, as sockaddr has it here. EAFNOSUPPORT is what success looks like."""
    try:
        _call("connect", fd, bytes([16]) + bytes(15), 16)
    except OSError as error:
        if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            raise


def interface_request(fd: int, request: int, data: bytes) -> bytes:  # noqa: ARG001
    """The structures of Darwin's ioctls differ: ENODEV, as of an interface that is not there."""
    raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))


def interface_configuration(fd: int, room: int) -> bytes:  # noqa: ARG001
    """Nothing, for the same reason."""
    return b""


def interface_details(fd: int, name: bytes, question: bytes) -> bytes:  # noqa: ARG001
    raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))


_F_FULLFSYNC: Final = 51  # sys/fcntl.h


def write_out(fd: int) -> None:
    """Have all that has been written to a descriptor's file system on the disk. OSError."""
    os.sync()
    fcntl.fcntl(fd, _F_FULLFSYNC)  # the drive's own cache


HAS_NETLINK: Final = False


class RouteSocket:
    """There is no netlink here."""

    def __init__(self) -> None: ...

    def ask(self, request: bytes) -> list[bytes]:  # noqa: ARG002
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    def set_option(self, option: int, value: int) -> None:  # noqa: ARG002
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    def close(self) -> None: ...
