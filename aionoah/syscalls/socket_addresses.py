"""Socket addresses in guest memory, and descriptors that are sockets (Linux net/socket.c)."""

from typing import TYPE_CHECKING

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.socket import SOCKADDR_STORAGE_SIZE
from aionoah.net.socket import Socket

if TYPE_CHECKING:
    from aionoah.process.task import Task


def socket_of(task: "Task", fd: int) -> Socket:
    """EBADF, ENOTSOCK."""
    file = task.files[fd]
    if not isinstance(file, Socket):
        raise LinuxError(Errno.ENOTSOCK)
    return file


def read_address(task: "Task", address: int, length: int) -> bytes:
    """A sockaddr that the guest gives (move_addr_to_kernel). EINVAL, EFAULT."""
    if not 0 <= length <= SOCKADDR_STORAGE_SIZE:
        raise LinuxError(Errno.EINVAL)
    return task.memory.read(address, length) if length else b""


def write_address(task: "Task", name: bytes, address: int, length_address: int) -> None:
    """As much of a sockaddr as there is room for, and how long it is (move_addr_to_user). EINVAL, EFAULT."""
    room = task.memory.read_word(length_address, 4)
    if room >= 1 << 31:  # an int
        raise LinuxError(Errno.EINVAL)
    if name[:room]:
        task.memory.write(address, name[:room])
    task.memory.write_word(length_address, len(name), 4)
