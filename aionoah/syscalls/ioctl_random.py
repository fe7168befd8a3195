"""Requests of /dev/random and /dev/urandom (random(4); Linux drivers/char/random.c, random_ioctl)."""

from typing import TYPE_CHECKING, Final

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.ioctl import IOCTL
from aionoah.abi.random import POOL_BITS
from aionoah.syscalls.cells import Cell32

if TYPE_CHECKING:
    from aionoah.process.task import Task

_POOL_INFO_SIZE: Final = 8  # struct rand_pool_info: how many bits and how many bytes come behind it


def random_ioctl(task: "Task", request: int, argument: int) -> int:
    """The host's generator is seeded and wants nothing of guests: what they add is looked at and forgotten.

    EFAULT, EPERM; EINVAL for what is no request of these devices, where others have ENOTTY.
    """
    if request == IOCTL.RNDGETENTCNT:
        task.memory.put(argument, Cell32(POOL_BITS))
    elif request in (IOCTL.RNDADDTOENTCNT, IOCTL.RNDADDENTROPY):
        task.credentials.require(CAP.SYS_ADMIN)
        _add(task, argument, has_bytes=request == IOCTL.RNDADDENTROPY)
    elif request in (IOCTL.RNDZAPENTCNT, IOCTL.RNDCLEARPOOL, IOCTL.RNDRESEEDCRNG):
        task.credentials.require(CAP.SYS_ADMIN)
    else:
        raise LinuxError(Errno.EINVAL)
    return 0


def _add(task: "Task", address: int, *, has_bytes: bool) -> None:
    if task.memory.get(Cell32, address).value < 0:
        raise LinuxError(Errno.EINVAL)
    if has_bytes:
        size = task.memory.get(Cell32, address + 4).value
        if size < 0:
            raise LinuxError(Errno.EFAULT)
        for start in range(0, size, PAGE_SIZE):
            task.memory.read(address + _POOL_INFO_SIZE + start, min(PAGE_SIZE, size - start))
