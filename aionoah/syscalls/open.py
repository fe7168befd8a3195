"""Opening files by name: open(2), openat2(2); Linux fs/open.c."""

from typing import TYPE_CHECKING, Final

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import RESOLVE, VALID_OPEN_FLAGS, O, OpenHow
from aionoah.abi.stat import S
from aionoah.fs import notify
from aionoah.fs.inode import MustWait
from aionoah.fs.operations import open_file
from aionoah.syscalls.arguments import DirFd, In, Mode, Path, Size
from aionoah.syscalls.paths import WORKING_DIRECTORY, base
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.structures import read_structure

if TYPE_CHECKING:
    from aionoah.fs.file import File
    from aionoah.process.descriptors import DescriptorTable
    from aionoah.process.task import Task

_CREATING: Final = O.CREAT | O.TMPFILE & ~O.DIRECTORY
_VALID_PATH: Final = O.PATH | O.DIRECTORY | O.NOFOLLOW | O.CLOEXEC
_VALID_RESOLVE: Final = (
    RESOLVE.NO_XDEV
    | RESOLVE.NO_MAGICLINKS
    | RESOLVE.NO_SYMLINKS
    | RESOLVE.BENEATH
    | RESOLVE.IN_ROOT
    | RESOLVE.CACHED
)


@syscall
async def open_(task: "Task", pathname: Path, flags: O, mode: Mode) -> int:
    return await _open(task, WORKING_DIRECTORY, pathname, _tolerated(flags), mode)


@syscall
async def openat(task: "Task", dirfd: DirFd, pathname: Path, flags: O, mode: Mode) -> int:
    return await _open(task, dirfd, pathname, _tolerated(flags), mode)


@syscall
async def creat(task: "Task", pathname: Path, mode: Mode) -> int:
    return await _open(task, WORKING_DIRECTORY, pathname, O(O.CREAT | O.WRONLY | O.TRUNC), mode)


@syscall(partial="RESOLVE_CACHED always asks to be called again without it (EAGAIN).")
async def openat2(task: "Task", dirfd: DirFd, pathname: Path, how: In[OpenHow], size: Size) -> int:
    request = _read_how(task, how, size)
    flags = O(task.architecture.open_flags(request.flags))
    _require_valid(flags, request)
    return await _open(task, dirfd, pathname, flags, request.mode, request.resolve)


def _tolerated(flags: O) -> O:
    """What the older calls do: ignore what they do not know, and with O_PATH nearly everything."""
    return O(flags & (_VALID_PATH if flags & O.PATH else VALID_OPEN_FLAGS))


def _read_how(task: "Task", address: int, size: int) -> OpenHow:
    """copy_struct_from_user: a longer structure is fine while its unknown fields are zero."""
    if size < OpenHow.SIZE:
        raise LinuxError(Errno.EINVAL)
    if size > PAGE_SIZE:
        raise LinuxError(Errno.E2BIG)
    return OpenHow.unpack(read_structure(task.memory, address, size, OpenHow.SIZE))


def _require_valid(flags: O, how: OpenHow) -> None:
    """openat2 refuses what openat ignores (build_open_flags)."""
    both = RESOLVE.BENEATH | RESOLVE.IN_ROOT
    valid_mode = S.IALLUGO if flags & _CREATING else 0
    if (
        flags.outside(VALID_OPEN_FLAGS)
        or how.resolve & ~_VALID_RESOLVE
        or how.resolve & both == both
        or how.mode & ~valid_mode
        or (O.PATH in flags and flags.outside(_VALID_PATH))
    ):
        raise LinuxError(Errno.EINVAL)
    if how.resolve & RESOLVE.CACHED:
        raise LinuxError(Errno.EAGAIN)


async def _open(task: "Task", dirfd: int, path: bytes, flags: O, mode: int, resolve: int = 0) -> int:
    files = task.files
    fd = files.take_lowest()
    try:
        file = open_file(task.fs, base(task, dirfd, path), path, flags, mode, resolve)
    except MustWait as condition:
        file = await _open_slowly(condition, files, fd)
    except BaseException:
        files.give_back(fd)
        raise
    files.install(fd, file, cloexec=flags & O.CLOEXEC != 0)
    return fd


async def _open_slowly(condition: MustWait, files: "DescriptorTable", fd: int) -> "File":
    try:
        file = await condition.opening()
    except BaseException:
        files.give_back(fd)
        raise
    if notify.WATCHES:
        notify.opened(file)
    return file
