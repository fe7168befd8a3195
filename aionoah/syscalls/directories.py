"""Making and listing directories, and which one is whose: mkdir, mknod, getdents, chdir, chroot.

Sources: mkdir(2), mknod(2), getdents(2), getcwd(2), chdir(2), chroot(2), umask(2); Linux fs/readdir.c, fs/d_path.c.
"""

from typing import TYPE_CHECKING, Final

from aionoah.abi.capability import CAP
from aionoah.abi.dirent import pack_dirent
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.stat import S, makedev
from aionoah.fs import notify, operations
from aionoah.fs.file import File
from aionoah.syscalls.arguments import Addr, DirFd, Fd, Mode, Path, Size, UInt
from aionoah.syscalls.paths import WORKING_DIRECTORY, base, locate, own_place
from aionoah.syscalls.registry import syscall

if TYPE_CHECKING:
    from aionoah.process.task import Task


_SMALLEST: Final = 24  # bytes of an entry

# -- making -------------------------------------------------------------------------------------------


@syscall
def mkdir(task: "Task", pathname: Path, mode: Mode) -> None:
    mkdirat(task, WORKING_DIRECTORY, pathname, mode)


@syscall
def mkdirat(task: "Task", dirfd: DirFd, pathname: Path, mode: Mode) -> None:
    operations.mkdir(task.fs, base(task, dirfd, pathname), pathname, mode)


@syscall
def mknod(task: "Task", pathname: Path, mode: Mode, dev: UInt) -> None:
    mknodat(task, WORKING_DIRECTORY, pathname, mode, dev)


@syscall
def mknodat(task: "Task", dirfd: DirFd, pathname: Path, mode: Mode, dev: UInt) -> None:
    """The device number of a call has 32 bits: twelve of the major one amid twenty of the minor."""
    operations.require_node_mode(mode)
    device = makedev(dev >> 8 & 0xFFF, dev & 0xFF | dev >> 12 & 0xFFF00)
    operations.mknod(task.fs, base(task, dirfd, pathname), pathname, mode, device)


@syscall
def umask(task: "Task", mask: Mode) -> int:
    old = task.fs.umask
    task.fs.umask = mask & S.IRWXUGO
    return old


# -- listing ------------------------------------------------------------------------------------------


@syscall
def getdents(task: "Task", fd: Fd, dirp: Addr, count: UInt) -> int:
    """As many whole entries as there is room for. EINVAL if there is none for the first."""
    file = task.files[fd]
    listing, first = file.listing(), file.offset
    packed: list[bytes] = []
    used = 0
    for cookie, (ino, kind, name) in enumerate(listing[first : first + count // _SMALLEST], first + 1):
        record = pack_dirent(ino, cookie, kind, name)
        used += len(record)
        if used > count:
            break
        packed.append(record)
    return _give(task, file, dirp, b"".join(packed), first + len(packed), is_last=first >= len(listing))


@syscall
def getdents64(task: "Task", fd: Fd, dirp: Addr, count: UInt) -> int:
    file = task.files[fd]
    entries, first = file.packed(), file.offset
    data, last = entries.part(first, count)
    return _give(task, file, dirp, data, last, is_last=first >= len(entries))


def _give(task: "Task", file: File, address: int, data: bytes, position: int, *, is_last: bool) -> int:
    if not data and not is_last:
        raise LinuxError(Errno.EINVAL)
    try:
        task.memory.write(address, data)
        file.offset = position
    finally:
        if notify.WATCHES:
            notify.accessed(file)
    return len(data)


# -- root and working directory -------------------------------------------------------------------------


@syscall
def getcwd(task: "Task", buf: Addr, size: Size) -> int:
    """The length with the NUL. ENOENT once the directory has been removed."""
    if task.fs.cwd.is_deleted:
        raise LinuxError(Errno.ENOENT)
    path = operations.path_of(task.fs.cwd, task.fs.root) + b"\0"
    if len(path) > size:
        raise LinuxError(Errno.ERANGE)
    task.memory.write(buf, path)
    return len(path)


@syscall
def chdir(task: "Task", path: Path) -> None:
    place = locate(task, WORKING_DIRECTORY, path)
    operations.require_enterable(task.fs, place)
    task.fs.cwd = place


@syscall
def fchdir(task: "Task", fd: Fd) -> None:
    task.files.get(fd, allow_path=True)  # WORKING_DIRECTORY is no descriptor here
    place = own_place(task, fd)
    operations.require_enterable(task.fs, place)
    task.fs.cwd = place


@syscall
def chroot(task: "Task", path: Path) -> None:
    place = locate(task, WORKING_DIRECTORY, path)
    operations.require_enterable(task.fs, place)
    task.credentials.require_own(CAP.SYS_CHROOT)
    task.fs.root = place
