"""Sending and receiving: send(2), recv(2), sendmmsg(2), recvmmsg(2)."""

from collections.abc import Callable, Coroutine
from struct import Struct
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.signal import SIG
from aionoah.abi.socket import MSG, SOCKADDR_STORAGE_SIZE, Mmsghdr, Msghdr
from aionoah.abi.time import Timespec
from aionoah.abi.uio import UIO_MAXIOV
from aionoah.clocks.duration import nanoseconds, timespec
from aionoah.fs.file import BrokenPipe
from aionoah.net import socket as sockets
from aionoah.net.socket import Outgoing, Received, Socket
from aionoah.signals.generate import send_to_task
from aionoah.signals.info import from_user
from aionoah.syscalls.arguments import Addr, Fd, Int, Ptr, Size, UInt
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.socket_addresses import read_address, socket_of, write_address
from aionoah.syscalls.socket_control import ControlWriter, add_control

if TYPE_CHECKING:
    from aionoah.process.task import Task

_HEADER: Final = Msghdr.flat()
_NAMELEN_OFFSET: Final = 8  # of struct msghdr's msg_namelen
_TOLD: Final = Struct("<QI")  # msg_controllen and msg_flags
_TOLD_OFFSET: Final = 40
_LENGTH_OFFSET: Final = Msghdr.SIZE  # of msg_len in struct mmsghdr
_MAX_CONTROL: Final = 0x7FFF_FFFF
_OPTMEM_MAX: Final = 131072  # net.core.optmem_max


# -- sending ------------------------------------------------------------------------------------------------


@syscall
async def sendto(task: "Task", fd: Fd, buf: Addr, size: Size, flags: MSG, addr: Addr, addrlen: Int) -> int:
    src = task.memory.readable(buf, size)
    socket = socket_of(task, fd)
    address = read_address(task, addr, addrlen) if addr else None
    return await _send(task, socket, Outgoing(src, flags, address, fs=task.fs))


@syscall
async def sendmsg(task: "Task", fd: Fd, msg: Ptr[Msghdr], flags: MSG) -> int:
    socket = socket_of(task, fd)
    return await _send(task, socket, _outgoing(task, socket, msg, flags))


@syscall
async def sendmmsg(task: "Task", fd: Fd, msgvec: Ptr[Mmsghdr], vlen: UInt, flags: MSG) -> int:
    """An error after the first message ends the call with success."""
    socket = socket_of(task, fd)

    async def one(address: int) -> int:
        return await _send(task, socket, _outgoing(task, socket, address, flags))

    return await _each(task, msgvec, min(vlen, UIO_MAXIOV), one)


def _outgoing(task: "Task", socket: Socket, msg: int, flags: MSG) -> Outgoing:
    """The message of a struct msghdr. EMSGSIZE, EINVAL, EFAULT, ENOBUFS and what control messages raise."""
    name, namelen, iov, iovlen, control, controllen, _ = _HEADER.unpack(task.memory.read(msg, Msghdr.SIZE))
    address = None
    if name and namelen:
        if namelen < 0:
            raise LinuxError(Errno.EINVAL)
        address = read_address(task, name, min(namelen, SOCKADDR_STORAGE_SIZE))
    if iovlen > UIO_MAXIOV:
        raise LinuxError(Errno.EMSGSIZE)
    message = Outgoing(task.memory.readable_vector(iov, iovlen), flags, address, fs=task.fs)
    if controllen:
        if controllen > min(_MAX_CONTROL, _OPTMEM_MAX):
            raise LinuxError(Errno.ENOBUFS)
        add_control(task, message, socket.family, task.memory.read(control, controllen))
    return message


async def _send(task: "Task", socket: Socket, message: Outgoing) -> int:
    """Send, with SIGPIPE where nobody receives any more. Files stay the task's if it closes them meanwhile."""
    held = [file.hold() for file in message.files]
    try:
        return await sockets.send(socket, message)
    except BrokenPipe:
        if MSG.NOSIGNAL not in message.flags:
            send_to_task(task, from_user(SIG.PIPE, task.process.pid, task.credentials.uid))
        raise
    finally:
        for file in held:
            file.drop()


# -- receiving ----------------------------------------------------------------------------------------------


@syscall
async def recvfrom(task: "Task", fd: Fd, buf: Addr, size: Size, flags: MSG, addr: Addr, addrlen: Addr) -> int:
    dst = task.memory.writable(buf, size)
    received = await sockets.receive(socket_of(task, fd), dst, flags)
    for file in received.files:  # nowhere to put them
        file.drop()
    if addr:
        write_address(task, received.address, addr, addrlen)
    return received.length


@syscall
async def recvmsg(task: "Task", fd: Fd, msg: Ptr[Msghdr], flags: MSG) -> int:
    return await _receive(task, socket_of(task, fd), msg, flags)


@syscall
async def recvmmsg(
    task: "Task", fd: Fd, msgvec: Ptr[Mmsghdr], vlen: UInt, flags: MSG, tmo: Ptr[Timespec]
) -> int:
    """The timeout is looked at after each message only, as Linux does it (recvmmsg(2), BUGS)."""
    deadline_ns = None
    if tmo:
        deadline_ns = monotonic_ns() + nanoseconds(task.memory.get(Timespec, tmo))
    socket = socket_of(task, fd)
    remaining = flags

    async def one(address: int) -> int:
        nonlocal remaining
        count = await _receive(task, socket, address, MSG(remaining & ~MSG.WAITFORONE))
        if MSG.WAITFORONE in remaining:
            remaining = MSG(remaining | MSG.DONTWAIT)
        return count

    def is_over() -> bool:
        return deadline_ns is not None and monotonic_ns() >= deadline_ns

    count = await _each(task, msgvec, min(vlen, UIO_MAXIOV), one, is_over)
    if deadline_ns is not None:
        task.memory.put(tmo, timespec(max(deadline_ns - monotonic_ns(), 0)))
    return count


async def _receive(task: "Task", socket: Socket, msg: int, flags: MSG) -> int:
    memory = task.memory
    name, namelen, iov, iovlen, control, controllen, _ = _HEADER.unpack(memory.read(msg, Msghdr.SIZE))
    if name and namelen < 0:
        raise LinuxError(Errno.EINVAL)
    if iovlen > UIO_MAXIOV:
        raise LinuxError(Errno.EMSGSIZE)
    received = await sockets.receive(socket, memory.writable_vector(iov, iovlen), flags)
    if name:
        try:
            memory.write(name, received.address[:namelen])
        except LinuxError:
            _discard(received)
            raise
    used, told = 0, received.flags | flags & MSG.CMSG_CLOEXEC
    if received.control or received.files or received.process is not None:
        writer = ControlWriter(task, control, min(controllen, _MAX_CONTROL))
        writer.write(received, cloexec=bool(flags & MSG.CMSG_CLOEXEC))
        used, told = writer.used, told | writer.flags
    if name:
        memory.write_word(msg + _NAMELEN_OFFSET, len(received.address), 4)
    memory.write(msg + _TOLD_OFFSET, _TOLD.pack(used, told))
    return received.length


def _discard(received: Received) -> None:
    for file in received.files:
        file.drop()


# -- several messages ---------------------------------------------------------------------------------------


async def _each(
    task: "Task",
    vector: int,
    count: int,
    one: Callable[[int], Coroutine[Any, Any, int]],
    is_over: Callable[[], bool] = lambda: False,
) -> int:
    """Do one message after the other and note the length of each; how many were done."""
    done = 0
    while done < count:
        address = vector + done * Mmsghdr.SIZE
        try:
            length = await one(address)
            task.memory.write_word(address + _LENGTH_OFFSET, length, 4)
        except LinuxError:
            if not done:
                raise
            break
        done += 1
        if is_over():
            break
    return done
