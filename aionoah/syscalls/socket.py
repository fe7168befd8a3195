"""Making sockets: socket(2), socketpair(2)."""

from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.socket import AF, SOCK, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_TYPE_MASK
from aionoah.net.creation import new_socket, new_socket_pair
from aionoah.syscalls.arguments import Int, Ptr
from aionoah.syscalls.descriptors import FdPair
from aionoah.syscalls.registry import syscall

if TYPE_CHECKING:
    from aionoah.process.task import Task

_TYPES_END: Final = 11  # SOCK_MAX
_FAMILIES_END: Final = 46  # AF_MAX


@syscall
def socket(task: "Task", domain: AF, type_: SOCK, protocol: Int) -> int:
    kind, flags = _kind_and_flags(domain, type_)
    made = new_socket(task.kernel.network, task.credentials, domain, kind, protocol, flags)
    try:
        return task.files.add(made, cloexec=bool(flags & SOCK_CLOEXEC))
    except LinuxError:
        made.drop()
        raise


@syscall
def socketpair(task: "Task", domain: AF, type_: SOCK, protocol: Int, sv: Ptr[FdPair]) -> None:
    kind, flags = _kind_and_flags(domain, type_)
    with task.files.reserve(2) as (first, second):
        task.memory.put(sv, FdPair(first, second))
        one, other = new_socket_pair(task.kernel.network, task.credentials, domain, kind, protocol, flags)
        cloexec = bool(flags & SOCK_CLOEXEC)
        task.files.install(first, one, cloexec=cloexec)
        task.files.install(second, other, cloexec=cloexec)


def _kind_and_flags(family: int, word: int) -> tuple[int, int]:
    """What the type argument is made of. EINVAL, EAFNOSUPPORT."""
    flags = word & ~SOCK_TYPE_MASK
    if flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK):
        raise LinuxError(Errno.EINVAL)
    if not 0 <= family < _FAMILIES_END:
        raise LinuxError(Errno.EAFNOSUPPORT)
    if word & SOCK_TYPE_MASK >= _TYPES_END:
        raise LinuxError(Errno.EINVAL)
    return word & SOCK_TYPE_MASK, flags
