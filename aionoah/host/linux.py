"""Calls that differ between hosts, as Linux has them. darwin.py has the same functions.

All raise OSError; callers stand inside `host_errors()`.
"""

import array
import contextlib
import errno
import fcntl
import os
import select
import socket
import stat
import struct
import time
from typing import TYPE_CHECKING, Any, Final

from aionoah.abi.fcntl import RENAME
from aionoah.abi.filter import SockFilter
from aionoah.abi.socket import SO
from aionoah.abi.uio import RWF
from aionoah.host.open_flags import host_open_flags

if TYPE_CHECKING:
    import ctypes

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

_F_GET_RW_HINT: Final = 1035
_F_SET_RW_HINT: Final = 1036
_CACHESTAT: Final = 451  # on every architecture
_FS_IOC_GETFLAGS: Final = 0x80086601  # linux/fs.h
_FS_CASEFOLD_FL: Final = 0x40000000
_PTMX: Final = os.makedev(5, 2)  # opening it makes a new pty (pts(4))


def open_nonblocking(fd: int) -> int:
    """A non-blocking descriptor for the same pipe or terminal, which leaves `fd` blocking.

    O_NONBLOCK belongs to the open file description, and that of `fd` is shared with other programs: so
    open it anew. Where that is refused (a terminal of another user, a pipe without readers) or would
    give something else (a socket, the master of a pty, a file with its position) the result is a plain
    duplicate: who uses it must poll first.
    """
    if _may_reopen(fd):
        flags = fcntl.fcntl(fd, fcntl.F_GETFL) & (os.O_ACCMODE | os.O_APPEND)
        with contextlib.suppress(OSError):
            return os.open(f"/proc/self/fd/{fd}", flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 0)


def _may_reopen(fd: int) -> bool:
    status = os.fstat(fd)
    return stat.S_ISFIFO(status.st_mode) or (os.isatty(fd) and status.st_rdev != _PTMX)


def anonymous_file(name: str) -> int:
    """A read-write descriptor of an empty file that has no path; `name` is for debugging."""
    return os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def path_open(name: bytes, dir_fd: int, *, directory: bool) -> int:
    """A descriptor that only names the entry `name` of a directory, a symbolic link itself included.

    `directory`: ENOTDIR for anything else.
    """
    kind = os.O_DIRECTORY if directory else 0
    return os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC | kind, dir_fd=dir_fd)


def pipe() -> tuple[int, int]:
    """Two ends of a host pipe, both non-blocking and close-on-exec."""
    return os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)


def umask() -> int:
    """The process's own (umask(2)), asked for without changing it."""
    with open("/proc/self/status", "rb") as status:  # noqa: PTH123 - a third of the time
        return next((int(line[6:], 8) for line in status if line.startswith(b"Umask:")), 0o022)


def transfer_flags(flags: int) -> int:
    """The host's flags of preadv2 for those of RWF that are about its cache."""
    return flags & (RWF.NOWAIT | RWF.DONTCACHE)


def write_hint(fd: int) -> int:
    """How long what is written to a file may live (fcntl(2), F_GET_RW_HINT)."""
    return int.from_bytes(fcntl.fcntl(fd, _F_GET_RW_HINT, bytes(8)), "little")


def set_write_hint(fd: int, hint: int) -> None:
    fcntl.fcntl(fd, _F_SET_RW_HINT, hint.to_bytes(8, "little"))


def total_memory() -> int:
    """Bytes of memory that the host has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def folds_case(path: bytes) -> bool:
    """Whether names of a directory that differ in case are the same to the host."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flags = fcntl.ioctl(fd, _FS_IOC_GETFLAGS, bytes(8))
    except OSError:  # a file system that knows no such flags
        return False
    finally:
        os.close(fd)
    return bool(int.from_bytes(flags[:4], "little") & _FS_CASEFOLD_FL)


def host_whence(whence: int) -> int:
    """The host's number for a member of abi.fcntl.SEEK."""
    return whence


def copy_range(source: int, source_offset: int, target: int, target_offset: int, count: int) -> int:
    """Copy between files without moving their positions; returns how many bytes, 0 at the end."""
    return os.copy_file_range(source, target, count, source_offset, target_offset)


def fallocate(fd: int, mode: int, offset: int, length: int) -> None:
    """Reserve or free blocks of a file; `mode` has bits of abi.fcntl.FALLOC, which are the host's."""
    _call("fallocate", fd, mode, _off_t(offset), _off_t(length))


def advise(fd: int, offset: int, length: int, advice: int) -> None:
    """posix_fadvise(2); `advice` is one of abi.fcntl.FADV. No more than advice: what the host refuses is forgotten."""
    with contextlib.suppress(OSError, OverflowError):
        os.posix_fadvise(fd, offset, length, advice)


def page_cache(fd: int, offset: int, length: int) -> tuple[int, ...]:
    """Pages of a range of bytes that are in memory, dirty, being written, evicted, and recently so (cachestat(2)).

    ENOSYS before Linux 6.5.
    """
    from ctypes import c_long, c_uint64  # noqa: PLC0415 - slow to import and rarely needed

    found = (c_uint64 * 5)()
    span = (c_uint64 * 2)(offset, length)
    _call("syscall", c_long(_CACHESTAT), fd, span, found, 0)
    return tuple(found)


def rename(old_dir: int, old: bytes, new_dir: int, new: bytes, flags: int) -> None:
    """Rename between directories; `flags` has bits of abi.fcntl.RENAME."""
    if flags == 0:
        os.rename(old, new, src_dir_fd=old_dir, dst_dir_fd=new_dir)
        return
    if RENAME(flags).outside(RENAME.NOREPLACE | RENAME.EXCHANGE | RENAME.WHITEOUT):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    _call("renameat2", old_dir, old, new_dir, new, flags)


def is_pollable(fd: int) -> bool:
    """Whether an event loop can wait for the descriptor: epoll refuses regular files and directories."""
    return not (stat.S_ISREG(mode := os.fstat(fd).st_mode) or stat.S_ISDIR(mode) or stat.S_ISBLK(mode))


def wait_for_end(pid: int, seconds: float) -> bool:
    """Wait until a process has ended, or the time is over; False if there is no such process to wait for."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        poller.poll(max(seconds, 0) * 1000)
    finally:
        os.close(fd)
    return True


# -- locks --------------------------------------------------------------------------------------------------

_FLOCK: Final = struct.Struct("hhqqi4x")  # struct flock: type, whence, start, length, pid
_LOCK_KINDS: Final = {
    fcntl.LOCK_SH: fcntl.F_RDLCK,
    fcntl.LOCK_EX: fcntl.F_WRLCK,
    fcntl.LOCK_UN: fcntl.F_UNLCK,
}


def reopen(fd: int, flags: int) -> int:
    """A further open file description of the same regular file, whatever its name is by now."""
    return os.open(f"/proc/self/fd/{fd}", flags | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)


def lock_range(fd: int, kind: int, start: int, length: int) -> None:
    """Lock or unlock bytes (to the end if `length` is 0) for an open file description; `kind` is LOCK_SH, LOCK_EX
    or LOCK_UN of the module fcntl. EAGAIN or EACCES if somebody else has them.
    """
    wanted = _FLOCK.pack(_LOCK_KINDS[kind], os.SEEK_SET, start, length, 0)
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, wanted)


def range_holder(fd: int, start: int, length: int, *, exclusive: bool) -> tuple[bool, int, int, bool] | None:
    """What is in the way of a lock: whether it is exclusive, its start and length, and whether it belongs to an
    open file description.
    """
    kind = fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK
    answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _FLOCK.pack(kind, os.SEEK_SET, start, length, 0))
    kind, _, start, length, pid = _FLOCK.unpack(answer)
    return None if kind == fcntl.F_UNLCK else (kind == fcntl.F_WRLCK, start, length, pid < 0)


def _off_t(value: int) -> "ctypes.c_int64":
    from ctypes import c_int64  # noqa: PLC0415 - ctypes is slow to import and rarely needed

    return c_int64(value)


def _call(name: str, *arguments: Any) -> None:  # noqa: ANN401 - as ctypes has it
    from aionoah.host.libc import call  # noqa: PLC0415 - slow to import and rarely needed

    call(name, *arguments)


def thread_cpu_time_ns(ident: int) -> int:
    """CPU time that a live thread of this process has used, by threading's ident."""
    return time.clock_gettime_ns(time.pthread_getcpuclockid(ident))


# -- sockets ------------------------------------------------------------------------------------------------


def socket_option(name: str, number: int) -> int | None:  # noqa: ARG001 - Darwin goes by the name
    """The host's number of an option or control message with this name in C; None if it has none."""
    return number


def disconnect(fd: int) -> None:
    """Connect a socket to nothing (AF_UNSPEC), which Python has no way to say."""
    _call("connect", fd, bytes(16), 16)


def attach_filter(fd: int, program: bytes) -> None:
    """SO_ATTACH_FILTER, whose struct sock_fprog points to the program."""
    from ctypes import Structure, byref, c_char_p, c_ushort, sizeof  # noqa: PLC0415 - slow to import

    class Program(Structure):
        _fields_ = (("length", c_ushort), ("code", c_char_p))

    given = Program(len(program) // SockFilter.SIZE, program)
    _call("setsockopt", fd, socket.SOL_SOCKET, SO.ATTACH_FILTER, byref(given), sizeof(given))


def detach_filter(fd: int) -> None:
    value = bytes(4)
    _call("setsockopt", fd, socket.SOL_SOCKET, SO.DETACH_FILTER, value, len(value))


def interface_request(fd: int, request: int, data: bytes) -> bytes:
    """An ioctl on a network interface: a struct ifreq there and back."""
    return fcntl.ioctl(fd, request, data)


def interface_configuration(fd: int, room: int) -> bytes:
    """The array of struct ifreq that SIOCGIFCONF gives: interfaces with their IPv4 addresses."""
    space = array.array("B", bytes(room))
    address, _ = space.buffer_info()
    answer = fcntl.ioctl(fd, _SIOCGIFCONF, struct.pack("iP", room, address))
    return space.tobytes()[: struct.unpack("iP", answer)[0]]


def interface_details(fd: int, name: bytes, question: bytes) -> bytes:
    """SIOCETHTOOL: the structure of an ETHTOOL command there and back."""
    space = array.array("B", question)
    address, _ = space.buffer_info()
    fcntl.ioctl(fd, _SIOCETHTOOL, struct.pack("16sP16x", name[:15], address))
    return space.tobytes()


_SIOCETHTOOL: Final = 0x8946
_SIOCGIFCONF: Final = 0x8912


def write_out(fd: int) -> None:
    """Have all that has been written to a descriptor's file system on the disk (syncfs(2)). OSError."""
    from aionoah.host.libc import call  # noqa: PLC0415 - slow to import

    call("syncfs", fd)


HAS_NETLINK: Final = True


class RouteSocket:
    """A netlink socket to the kernel's routing family. Answers are there as soon as a request is sent."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.setblocking(False)

    def ask(self, request: bytes) -> list[bytes]:
        """One message; the datagrams that answer it."""
        self._socket.send(request)
        answers: list[bytes] = []
        while True:
            try:
                length = self._socket.recv_into(bytearray(1), 0, socket.MSG_PEEK | socket.MSG_TRUNC)
                answers.append(self._socket.recv(length))
            except BlockingIOError:
                return answers

    def set_option(self, option: int, value: int) -> None:
        self._socket.setsockopt(_SOL_NETLINK, option, value)

    def close(self) -> None:
        self._socket.close()


_SOL_NETLINK: Final = 270
