"""Extended attributes: setxattr(2), getxattr(2), listxattr(2), removexattr(2); Linux fs/xattr.c.

Each call comes thrice: by path, by path without following a last symbolic link, by descriptor.
"""

from typing import TYPE_CHECKING

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import AT
from aionoah.abi.xattr import XATTR, XATTR_LIST_MAX, XATTR_SIZE_MAX
from aionoah.fs import notify
from aionoah.fs.path import Dentry
from aionoah.fs.xattrs import get_xattr, remove_xattr, require_value, require_xattr, set_xattr, visible_names
from aionoah.syscalls.arguments import Addr, Fd, Name, Path, Size
from aionoah.syscalls.paths import WORKING_DIRECTORY, locate, place_of
from aionoah.syscalls.registry import syscall

if TYPE_CHECKING:
    from aionoah.process.task import Task


# -- set ----------------------------------------------------------------------------------------------


@syscall
def setxattr(task: "Task", path: Path, name: Name, value: Addr, size: Size, flags: XATTR) -> None:
    given = _given(task, name, value, size, flags)
    _set(task, name, locate(task, WORKING_DIRECTORY, path), given, flags)


@syscall
def lsetxattr(task: "Task", path: Path, name: Name, value: Addr, size: Size, flags: XATTR) -> None:
    given = _given(task, name, value, size, flags)
    _set(task, name, _locate_link(task, path), given, flags)


@syscall
def fsetxattr(task: "Task", fd: Fd, name: Name, value: Addr, size: Size, flags: XATTR) -> None:
    given = _given(task, name, value, size, flags)
    _set(task, name, place_of(task.files[fd]), given, flags)


def _given(task: "Task", name: bytes, address: int, size: int, flags: XATTR) -> bytes:
    """The value, which Linux (6.13) looks at before it looks for the file. EINVAL, ERANGE, E2BIG, EFAULT."""
    if flags.outside(XATTR.CREATE | XATTR.REPLACE):
        raise LinuxError(Errno.EINVAL)
    _required(name)
    if size > XATTR_SIZE_MAX:
        raise LinuxError(Errno.E2BIG)
    return task.memory.read(address, size)


def _set(task: "Task", name: bytes, place: Dentry, value: bytes, flags: XATTR) -> None:
    require_value(name, value)
    require_xattr(task.fs, task.credentials, place, name, write=True)
    set_xattr(task.fs, place, name, value, flags)
    notify.attributes_changed(place)


# -- get ----------------------------------------------------------------------------------------------


@syscall
def getxattr(task: "Task", path: Path, name: Name, value: Addr, size: Size) -> int:
    return _get(task, _required(name), locate(task, WORKING_DIRECTORY, path), value, size)


@syscall
def lgetxattr(task: "Task", path: Path, name: Name, value: Addr, size: Size) -> int:
    return _get(task, _required(name), _locate_link(task, path), value, size)


@syscall
def fgetxattr(task: "Task", fd: Fd, name: Name, value: Addr, size: Size) -> int:
    return _get(task, _required(name), place_of(task.files[fd]), value, size)


def _get(task: "Task", name: bytes, place: Dentry, address: int, size: int) -> int:
    require_xattr(task.fs, task.credentials, place, name, write=False)
    return _give(task, get_xattr(place, name), address, size)


def _give(task: "Task", data: bytes, address: int, size: int) -> int:
    """The length of the data, which are copied unless the caller only asks for it (size 0). ERANGE."""
    if size:
        if len(data) > size:
            raise LinuxError(Errno.ERANGE)
        task.memory.write(address, data)
    return len(data)


# -- list ---------------------------------------------------------------------------------------------


@syscall
def listxattr(task: "Task", path: Path, names: Addr, size: Size) -> int:
    return _list(task, locate(task, WORKING_DIRECTORY, path), names, size)


@syscall
def llistxattr(task: "Task", path: Path, names: Addr, size: Size) -> int:
    return _list(task, _locate_link(task, path), names, size)


@syscall
def flistxattr(task: "Task", fd: Fd, names: Addr, size: Size) -> int:
    return _list(task, place_of(task.files[fd]), names, size)


def _list(task: "Task", place: Dentry, address: int, size: int) -> int:
    """A file system without attributes has an empty list of them."""
    try:
        names = visible_names(task.credentials, place.inode.list_xattrs())
    except LinuxError as error:
        if error.errno is not Errno.EOPNOTSUPP:
            raise
        names = []
    data = b"".join(name + b"\0" for name in names)
    if len(data) > XATTR_LIST_MAX:
        raise LinuxError(Errno.E2BIG)
    return _give(task, data, address, size)


# -- remove -------------------------------------------------------------------------------------------


@syscall
def removexattr(task: "Task", path: Path, name: Name) -> None:
    _remove(task, _required(name), locate(task, WORKING_DIRECTORY, path))


@syscall
def lremovexattr(task: "Task", path: Path, name: Name) -> None:
    _remove(task, _required(name), _locate_link(task, path))


@syscall
def fremovexattr(task: "Task", fd: Fd, name: Name) -> None:
    _remove(task, _required(name), place_of(task.files[fd]))


def _remove(task: "Task", name: bytes, place: Dentry) -> None:
    require_xattr(task.fs, task.credentials, place, name, write=True)
    remove_xattr(task.fs, place, name)
    notify.attributes_changed(place)


# -- all ----------------------------------------------------------------------------------------------


def _locate_link(task: "Task", path: bytes) -> Dentry:
    return locate(task, WORKING_DIRECTORY, path, AT.SYMLINK_NOFOLLOW)


def _required(name: bytes) -> bytes:
    """An attribute's name, before its file is looked for. ERANGE."""
    if not name:
        raise LinuxError(Errno.ERANGE)
    return name
