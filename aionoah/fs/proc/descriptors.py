"""/proc/PID/fd and fdinfo, and the magic links to files, directories and programs."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.fs.file import File
from aionoah.fs.mount import Mount
from aionoah.fs.path import Dentry
from aionoah.fs.proc.locks import lock_lines
from aionoah.fs.proc.subject import Subject, find_task, is_own, require_inspectable, shown_path, task_of
from aionoah.fs.synthetic import Bound, Directory, Link, Text

if TYPE_CHECKING:
    from aionoah.process.task import Task

_DELETED: Final = b" (deleted)"


# -- exe, cwd, root ---------------------------------------------------------------------------------------


def executable(subject: Subject) -> Dentry:
    found = require_inspectable(subject).process.executable
    if found is None:
        raise LinuxError(Errno.ENOENT)
    return found


def working_directory(subject: Subject) -> Dentry:
    return require_inspectable(subject).fs.cwd


def root_directory(subject: Subject) -> Dentry:
    return require_inspectable(subject).fs.root


EXE: Link[Subject] = Link(lambda subject: shown_path(executable(subject)), executable)
CWD: Link[Subject] = Link(lambda subject: shown_path(working_directory(subject)), working_directory)
ROOT: Link[Subject] = Link(lambda subject: shown_path(root_directory(subject)), root_directory)


# -- fd ---------------------------------------------------------------------------------------------------


def open_numbers(subject: Subject) -> Iterable[bytes]:
    task = find_task(subject)
    return [b"%d" % fd for fd in task.files] if task is not None else ()


def parse_number(name: bytes) -> int | None:
    """A decimal number written as the kernel writes it."""
    return int(name) if name.isdigit() and (name == b"0" or name[:1] != b"0") else None


def _open_file(subject: Subject, name: bytes) -> File | None:
    task, fd = find_task(subject), parse_number(name)
    if task is None or fd is None or fd not in task.files:
        return None
    return task.files.get(fd, allow_path=True)


def _find_link(subject: Subject, name: bytes) -> Bound | None:
    file = _open_file(subject, name)
    return Bound(_FD_LINK, file) if file is not None else None


def link_text(file: File) -> bytes:
    if file.dentry is None:
        return file.describe()
    is_nowhere = file.dentry.parent is None and file.dentry.name
    if is_nowhere:
        return file.dentry.name
    path = shown_path(file.dentry)
    return path if file.dentry.is_deleted or not _was_deleted(file) else path + _DELETED


def _was_deleted(file: File) -> bool:
    """The host's programs may have taken the last name away."""
    try:
        return not file.attributes().nlink
    except LinuxError:
        return True


def link_target(file: File) -> Dentry:
    """Where the file was found; a file that was found nowhere gets a place outside of the tree."""
    if file.dentry is not None:
        return file.dentry
    place = Mount(file.inode.filesystem, root=file.inode).root
    place.name = file.describe()
    return place


def _link_mode(file: File) -> int:
    return (0o500 if file.is_readable else 0) | (0o300 if file.is_writable else 0)


def _count(subject: Subject) -> int:
    task = find_task(subject)
    return len(task.files) if task is not None else 0


_FD_LINK: Link[File] = Link(link_text, link_target, mode=_link_mode, size=64)
FD: Directory[Subject] = Directory(
    names=open_numbers, find=_find_link, mode=0o500, size=_count, is_own=is_own
)


# -- fdinfo -----------------------------------------------------------------------------------------------


class _Descriptor(NamedTuple):
    task: "Task"
    fd: int


def _find_info(subject: Subject, name: bytes) -> Bound | None:
    fd = parse_number(name)
    if fd is None or _open_file(subject, name) is None:
        return None
    return Bound(_FD_INFO, _Descriptor(task_of(subject), fd))


def _info(descriptor: _Descriptor) -> bytes:
    task, fd = descriptor
    if fd not in task.files:
        raise LinuxError(Errno.ENOENT)
    file = task.files.get(fd, allow_path=True)
    flags = file.flags | (O.CLOEXEC if task.files.is_close_on_exec(fd) else 0)
    mount = file.dentry.mount.identifier if file.dentry is not None else 0
    return (
        b"pos:\t%d\nflags:\t0%o\nmnt_id:\t%d\nino:\t%d\n"
        % (
            file.offset,
            task.architecture.guest_open_flags(flags),
            mount,
            file.attributes().ino,
        )
        + lock_lines(file, task.files)
        + file.fdinfo()
    )


_FD_INFO: Text[_Descriptor] = Text(_info)
FDINFO: Directory[Subject] = Directory(names=open_numbers, find=_find_info)
