"""ioctl: what every file knows, and what a file knows itself; ENOTTY for the rest.

Sources: ioctl(2), ioctl_tty(2); Linux fs/ioctl.c (do_vfs_ioctl).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Protocol, TypeGuard, runtime_checkable

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import SEEK, F, O
from aionoah.abi.ioctl import IOCTL
from aionoah.abi.stat import S
from aionoah.abi.words import signed
from aionoah.fs.devices import RandomDevice
from aionoah.fs.file import File
from aionoah.fs.regular import RegularFile
from aionoah.fs.stdio import Exchange
from aionoah.net.socket import Socket
from aionoah.process.seccomp_listener import SeccompListener
from aionoah.syscalls.arguments import Fd, ULong
from aionoah.syscalls.cells import Cell32
from aionoah.syscalls.file_ioctl import FILE_REQUESTS
from aionoah.syscalls.ioctl_random import random_ioctl
from aionoah.syscalls.ioctl_tty import terminal_ioctl
from aionoah.syscalls.owners import control_owner
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.seccomp_notify import listener_ioctl
from aionoah.syscalls.sigio import can_signal, set_asynchronous
from aionoah.syscalls.socket_interfaces import ask_ethtool, tell_interfaces
from aionoah.terminal.files import TerminalFile

if TYPE_CHECKING:
    from aionoah.process.task import Task


_INTERFACE_REQUESTS: Final = {IOCTL.SIOCGIFCONF: tell_interfaces, IOCTL.SIOCETHTOOL: ask_ethtool}
_OWNER_COMMANDS: Final = {
    IOCTL.FIOSETOWN: F.SETOWN,
    IOCTL.SIOCSPGRP: F.SETOWN,
    IOCTL.FIOGETOWN: F.GETOWN,
    IOCTL.SIOCGPGRP: F.GETOWN,
}


@runtime_checkable
class Controllable(Protocol):
    """A file with requests of its own."""

    @property
    def exchanges(self) -> Mapping[int, Exchange]:
        """The requests that `ioctl` takes, and which way their arguments go."""
        ...

    def ioctl(self, request: int, argument: bytes | int) -> bytes | int | File:
        """What goes to the argument's address, or the result: a new file becomes a descriptor."""
        ...


@runtime_checkable
class Queue(Protocol):
    """A file that knows how many bytes wait to be read."""

    def available(self) -> int: ...


@syscall
async def ioctl(task: "Task", fd: Fd, request: IOCTL, argument: ULong) -> int:
    file = task.files[fd]
    if request in (IOCTL.FIOCLEX, IOCTL.FIONCLEX):
        task.files.set_close_on_exec(fd, cloexec=request == IOCTL.FIOCLEX)
    elif request == IOCTL.FIONBIO:
        is_on = task.memory.get(Cell32, argument).value != 0
        file.flags = O(file.flags | O.NONBLOCK if is_on else file.flags & ~O.NONBLOCK)
    elif request == IOCTL.FIOASYNC:
        _set_asynchronous(task, fd, file, is_on=task.memory.get(Cell32, argument).value != 0)
    elif request in _INTERFACE_REQUESTS and isinstance(file, Socket):
        _INTERFACE_REQUESTS[request](task, file, argument)
    elif request in _OWNER_COMMANDS and isinstance(file, Socket):
        _control_owner(task, fd, file, request, argument)
    elif isinstance(file, TerminalFile | RandomDevice | SeccompListener) and request != IOCTL.FIGETBSZ:
        return await _device_ioctl(task, file, request, argument)
    elif _is_controllable(file) and request in file.exchanges:
        return _exchange(task, file, request, argument)
    elif request == IOCTL.FIONREAD:
        task.memory.put(argument, Cell32(_readable_bytes(file)))
    elif request in FILE_REQUESTS:
        FILE_REQUESTS[request](task, file, argument)
    else:
        raise LinuxError(Errno.ENOTTY)
    return 0


async def _device_ioctl(
    task: "Task", file: TerminalFile | RandomDevice | SeccompListener, request: int, argument: int
) -> int:
    if isinstance(file, TerminalFile):
        return terminal_ioctl(task, file, request, argument)
    if isinstance(file, SeccompListener):
        return await listener_ioctl(task, file, request, argument)
    return random_ioctl(task, request, argument)


def _is_controllable(file: File) -> TypeGuard[Controllable]:
    """Regular files are asked most, whether they are terminals; and asking for a protocol takes long."""
    return not isinstance(file, RegularFile) and isinstance(file, Controllable)


def _set_asynchronous(task: "Task", fd: int, file: File, *, is_on: bool) -> None:
    """ENOTTY for files that send no signals, unless nothing is to change."""
    if can_signal(file):
        set_asynchronous(task.kernel, file, fd, is_on=is_on)
    elif is_on:
        raise LinuxError(Errno.ENOTTY)


def _control_owner(task: "Task", fd: int, file: Socket, request: int, argument: int) -> None:
    """As F_SETOWN and F_GETOWN, by way of memory (socket(7))."""
    command = _OWNER_COMMANDS[request]
    if command == F.SETOWN:
        number = task.memory.get(Cell32, argument).value
        control_owner(task, fd, file, command, number)
    else:
        task.memory.put(argument, Cell32(control_owner(task, fd, file, command, 0)))


def _exchange(task: "Task", file: Controllable, request: int, argument: int) -> int:
    shape = file.exchanges[request]
    reply = file.ioctl(request, task.memory.read(argument, shape.takes) if shape.takes else argument)
    if isinstance(reply, File):
        return _new_descriptor(task, reply)
    if isinstance(reply, int):
        return reply
    if reply:
        task.memory.write(argument, reply)
    return 0


def _new_descriptor(task: "Task", file: File) -> int:
    try:
        return task.files.add(file, cloexec=True)
    except LinuxError:
        file.drop()
        raise


def _readable_bytes(file: File) -> int:
    """As an int, which is how Linux cuts it off."""
    if isinstance(file, Queue):
        return file.available()
    attributes = file.attributes()
    if attributes.mode & S.IFMT != S.IFREG:
        raise LinuxError(Errno.ENOTTY)
    return signed(attributes.size - file.seek(0, SEEK.CUR))
