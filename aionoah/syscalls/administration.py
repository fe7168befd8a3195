"""What administrators want and nothing here has: quotas, swap space, a machine to be rebooted.

Sources: quotactl(2), swapon(2), reboot(2); Linux fs/quota/quota.c, mm/swapfile.c, kernel/reboot.c.
"""

from typing import Final

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.stat import S
from aionoah.process.task import Task
from aionoah.syscalls.arguments import Addr, Fd, Int, Path, UInt
from aionoah.syscalls.paths import WORKING_DIRECTORY, locate
from aionoah.syscalls.registry import syscall

_COMMAND_SHIFT: Final = 8  # sys/quota.h: SUBCMDSHIFT; below is the kind
_KINDS: Final = 3  # of quotas: users', groups', projects'
_Q_SYNC: Final = 0x800001
_SWAP_FLAGS: Final = 0x7FFFF  # SWAP_FLAGS_VALID
_REBOOT_MAGIC: Final = 0xFEE1DEAD
_REBOOT_MAGICS: Final = {672274793, 85072278, 369367448, 537993216}


# -- quotas -----------------------------------------------------------------------------------------------


@syscall(partial="No file system has quotas, and no block device has a file system.")
def quotactl(task: Task, cmd: UInt, special: Path | None, id_: Int, addr: Addr) -> None:  # noqa: ARG001
    _require_kind(cmd)
    if special is None:
        if cmd >> _COMMAND_SHIFT != _Q_SYNC:
            raise LinuxError(Errno.ENODEV)
        return
    if locate(task, WORKING_DIRECTORY, special).inode.attributes().mode & S.IFMT != S.IFBLK:
        raise LinuxError(Errno.ENOTBLK)
    raise LinuxError(Errno.ENODEV)


@syscall(partial="No file system has quotas.")
def quotactl_fd(task: Task, fd: Fd, cmd: UInt, id_: Int, addr: Addr) -> None:  # noqa: ARG001
    task.files.get(fd, allow_path=True)
    _require_kind(cmd)
    raise LinuxError(Errno.ENOSYS)  # as Linux says of a file system without quotas


def _require_kind(command: int) -> None:
    if command & (1 << _COMMAND_SHIFT) - 1 >= _KINDS:
        raise LinuxError(Errno.EINVAL)


# -- swap space and the machine ---------------------------------------------------------------------------


@syscall(partial="Memory is the host's to swap: EPERM for everybody, as in a container.")
def swapon(task: Task, path: Addr, swapflags: UInt) -> None:  # noqa: ARG001
    if swapflags & ~_SWAP_FLAGS:
        raise LinuxError(Errno.EINVAL)
    raise LinuxError(Errno.EPERM)


@syscall
def swapoff(task: Task, path: Addr) -> None:
    """Nothing is swapped to anything."""
    task.credentials.require(CAP.SYS_ADMIN)
    locate(task, WORKING_DIRECTORY, task.memory.read_cstring(path))
    raise LinuxError(Errno.EINVAL)


@syscall(partial="A guest does not end its instance: EPERM for everybody, as in a container.")
def reboot(task: Task, magic: UInt, magic2: UInt, op: UInt, arg: Addr) -> None:  # noqa: ARG001
    if task.credentials.has_capability(CAP.SYS_BOOT) and not (
        magic == _REBOOT_MAGIC and magic2 in _REBOOT_MAGICS
    ):
        raise LinuxError(Errno.EINVAL)
    raise LinuxError(Errno.EPERM)
