"""Becoming another program: execve(2), execveat(2)."""

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import AT, AT_FDCWD
from aionoah.abi.limits import ARG_STRING_MAX
from aionoah.abi.resource import RLIMIT
from aionoah.abi.stat import S
from aionoah.abi.words import WORD_MASK
from aionoah.process.elf import ExecError
from aionoah.process.executable import Executable, find_executable, open_executable
from aionoah.process.population import require_few_tasks
from aionoah.process.replace import replace_program
from aionoah.process.stack import POINTER_SIZE, argument_room
from aionoah.process.task import Task
from aionoah.syscalls.arguments import Addr, DirFd, Path
from aionoah.syscalls.paths import locate
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.results import Outcome


@syscall(own_thread=True)
async def execve(task: Task, path: Path, argv: Addr, envp: Addr) -> Outcome:
    if not path:
        raise LinuxError(Errno.ENOENT)
    require_few_tasks(task)
    return await _execute(task, find_executable(task.fs, path), path, argv, envp)


@syscall(own_thread=True)
async def execveat(task: Task, dirfd: DirFd, path: Path, argv: Addr, envp: Addr, flags: AT) -> Outcome:
    require_few_tasks(task)
    if flags.outside(AT.EMPTY_PATH | AT.SYMLINK_NOFOLLOW):
        raise LinuxError(Errno.EINVAL)
    dentry = locate(task, dirfd, path, flags)
    if dentry.inode.kind == S.IFLNK:
        raise LinuxError(Errno.ELOOP)
    name = _visible_name(dirfd, path)
    executable = open_executable(task.fs, dentry, name)
    is_closing = name is not path and task.files.is_close_on_exec(dirfd)
    return await _execute(task, executable, name, argv, envp, is_name_lost=is_closing)


def _visible_name(dirfd: int, path: bytes) -> bytes:
    """The path by which the new program can find itself."""
    if dirfd == AT_FDCWD or path.startswith(b"/"):
        return path
    return b"/dev/fd/%d/%s" % (dirfd, path) if path else b"/dev/fd/%d" % dirfd


async def _execute(
    task: Task, executable: Executable, name: bytes, argv: int, envp: int, *, is_name_lost: bool = False
) -> Outcome:
    """`is_name_lost`: the name means nothing after execve, so that no interpreter could open a script."""
    with executable:
        room = argument_room(0, 0, task.process.limits.soft(RLIMIT.STACK))
        arguments = _read_strings(task, argv, room)
        environment = _read_strings(task, envp, room)
        if is_name_lost and executable.read(0, 2) == b"#!":
            raise ExecError(Errno.ENOENT, "the script's descriptor is closed before its interpreter opens it")
        await replace_program(task, executable, arguments, environment, name)
    return Outcome.KEEP_REGISTERS


def _read_strings(task: Task, address: int, room: int) -> list[bytes]:
    """The strings of an array of pointers that ends with NULL; NULL is an empty array. EFAULT, E2BIG."""
    strings: list[bytes] = []
    while address and (pointer := task.memory.read_word(address)):
        text = _read_string(task, pointer)
        room -= len(text) + 1 + POINTER_SIZE
        if room < 0:
            raise LinuxError(Errno.E2BIG)
        strings.append(text)
        address = address + POINTER_SIZE & WORD_MASK
    return strings


def _read_string(task: Task, address: int) -> bytes:
    try:
        return task.memory.read_cstring(address, ARG_STRING_MAX)
    except LinuxError as error:
        if error.errno is Errno.ENAMETOOLONG:
            raise LinuxError(Errno.E2BIG) from None
        raise
