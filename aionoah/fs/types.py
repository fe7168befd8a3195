"""The types of file systems that a program can mount, and their options (filesystems(5), tmpfs(5))."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.fs.inode import FileSystem
from aionoah.fs.path import Dentry
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.host import facts
from aionoah.process.credentials import Credentials
from aionoah.process.current import find_current_task
from aionoah.process.namespaces import current_namespaces
from aionoah.process.user_namespaces import NO_ID, IdMap

if TYPE_CHECKING:
    from aionoah.process.kernel import Kernel

_UNITS: Final = {b"k": 10, b"m": 20, b"g": 30, b"t": 40}  # powers of two
_UNLIMITED: Final = 1 << 62
_FOR_ALL: Final = (b"tmpfs", b"ramfs", b"devpts", b"mqueue")
"""What may be mounted in any user name space. Linux has overlay among them; ours would copy up with the rights of all."""


class Made(NamedTuple):
    """A file system, and what /proc/mounts says of its options."""

    filesystem: FileSystem
    details: bytes = b""


def new_filesystem(
    kernel: "Kernel", type_name: bytes, data: bytes, locate: Callable[[bytes], Dentry]
) -> Made:
    """ENODEV for a type that there is not, EINVAL for options that it does not have, EPERM for one that is not for every user
    name space. `locate` finds the paths in them.
    """
    task = find_current_task()
    who = task.credentials if task is not None else None
    if who is not None and type_name not in _FOR_ALL and (type_name in _TYPES or type_name == b"overlay"):
        who.require(CAP.SYS_ADMIN)
    if type_name == b"overlay":
        from aionoah.fs.overlay_mount import new_overlay  # noqa: PLC0415 - for those who mount it

        return Made(new_overlay(data, locate), data)
    make = _TYPES.get(type_name)
    if make is None:
        raise LinuxError(Errno.ENODEV)
    return make(kernel, data)


def _tmpfs(_kernel: "Kernel", data: bytes) -> Made:
    """Half of the memory, unless `size` or `nr_blocks` says otherwise; 0 is no limit. It is the caller's."""
    memory, task = facts.memory().total, find_current_task()
    who = Credentials() if task is None else task.credentials
    limit, inodes, mode, uid, gid = memory // 2, memory // PAGE_SIZE // 2, 0o1777, who.fsuid, who.fsgid
    for name, value in _options(data):
        if name in (b"size", b"nr_blocks"):
            limit = _size(value, memory) * (PAGE_SIZE if name == b"nr_blocks" else 1)
        elif name == b"nr_inodes":
            inodes = _size(value, memory)
        elif name == b"mode":
            mode = _number(value, 8) & 0o7777
        elif name == b"uid":
            uid = _named(who.user_namespace.uids, value)
        elif name == b"gid":
            gid = _named(who.user_namespace.gids, value)
        elif name not in (b"huge", b"mpol", b"inode64", b"inode32", b"noswap"):
            raise LinuxError(Errno.EINVAL)
    made = TmpFileSystem(limit=limit or _UNLIMITED, inode_limit=inodes or _UNLIMITED, mode=mode)
    made.root.uid, made.root.gid = uid, gid
    return Made(made, data)


def _options(data: bytes) -> list[tuple[bytes, bytes]]:
    words = [word.partition(b"=") for word in data.split(b",") if word]
    return [(name, value) for name, _, value in words]


def _number(text: bytes, base: int) -> int:
    try:
        return int(text, base)
    except ValueError:
        raise LinuxError(Errno.EINVAL) from None


def _size(text: bytes, memory: int) -> int:
    if text.endswith(b"%"):
        return memory * _number(text[:-1], 10) // 100
    shift = _UNITS.get(text[-1:].lower(), 0)
    return _number(text[:-1] if shift else text, 10) << shift


def _proc(kernel: "Kernel", data: bytes) -> Made:
    from aionoah.fs.proc import new_procfs  # noqa: PLC0415 - large, and only for those who mount it

    if any(name not in (b"hidepid", b"gid", b"subset") for name, _ in _options(data)):
        raise LinuxError(Errno.EINVAL)
    return Made(new_procfs(kernel))


def _dev(kernel: "Kernel", data: bytes) -> Made:
    """There is one; another where it has been unmounted."""
    from aionoah.fs.devfs import new_devfs  # noqa: PLC0415

    try:
        return _as_mounted(b"devtmpfs")(kernel, data)
    except LinuxError:
        return Made(new_devfs())


def _named(names: IdMap, value: bytes) -> int:
    found = names.to_kernel(_number(value, 10))
    if found == NO_ID:
        raise LinuxError(Errno.EINVAL)
    return found


def _mqueue(kernel: "Kernel", _data: bytes) -> Made:
    task, ipc = find_current_task(), current_namespaces(kernel).ipc
    if task is not None:
        task.credentials.require_over(CAP.SYS_ADMIN, ipc.owner)
    return Made(ipc.message_queues)


def _as_mounted(type_name: bytes) -> Callable[["Kernel", bytes], Made]:
    """There is one of the type, which every mount of it shows."""

    def make(kernel: "Kernel", data: bytes) -> Made:  # noqa: ARG001 - its options are those of the first mount
        for mount in kernel.mounts.mounts:
            if mount.filesystem.type_name == type_name:
                return Made(mount.filesystem, mount.details)
        raise LinuxError(Errno.ENODEV)

    return make


_TYPES: Final[dict[bytes, Callable[["Kernel", bytes], Made]]] = {
    b"tmpfs": _tmpfs,
    b"ramfs": _tmpfs,
    b"proc": _proc,
    b"devtmpfs": _dev,
    b"devpts": _as_mounted(b"devpts"),
    b"mqueue": _mqueue,
    b"sysfs": _as_mounted(b"sysfs"),
}
