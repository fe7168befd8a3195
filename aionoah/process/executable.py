"""A file that is to be executed: found, permitted, open."""

from typing import TYPE_CHECKING, Final, Self

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import ACCESS, O
from aionoah.abi.stat import S, is_directory, is_regular
from aionoah.fs.leases import LEASES, ask_holders
from aionoah.fs.path import walk
from aionoah.fs.permissions import allows
from aionoah.memory.buffer import KernelBuffer
from aionoah.process.elf import ExecError, show_path

if TYPE_CHECKING:
    from aionoah.fs.context import FsContext
    from aionoah.fs.file import File
    from aionoah.fs.path import Dentry

_REASONS: Final = {
    Errno.ENOENT: "does not exist",
    Errno.ENOTDIR: "does not exist: part of its path is not a directory",
    Errno.EACCES: "cannot be reached: a directory on its path may not be searched",
    Errno.ELOOP: "cannot be reached: too many symbolic links",
    Errno.ENAMETOOLONG: "cannot exist: its path is too long",
}


class Executable:
    """An open regular file that may be executed. A context manager, which drops the file."""

    def __init__(self, file: "File", dentry: "Dentry", path: bytes) -> None:
        self.file = file
        self.dentry = dentry
        self.path = path  # as it was asked for
        self.attributes = file.attributes()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.drop()

    @property
    def name(self) -> bytes:
        """The last component: comm of the program."""
        return self.path.rsplit(b"/", 1)[-1]

    def may_be_read(self, context: "FsContext") -> bool:
        """Execute permission alone lets nobody see what is in the file."""
        return allows(self.attributes, context.identity, ACCESS.R, self.dentry.inode)

    def read(self, offset: int, length: int) -> bytes:
        """What the file has there, shorter or empty at its end."""
        buffer = bytearray(length)
        count = 0
        while count < length:
            step = self.file.pread(KernelBuffer(memoryview(buffer)[count:]), offset + count)
            if step == 0:
                break
            count += step
        return bytes(buffer[:count])


def find_executable(context: "FsContext", path: bytes, start: "Dentry | None" = None) -> Executable:
    """Walk to a program and open it.

    Raises ExecError with what the walk raises, and EACCES for what may not be executed.
    """
    try:
        dentry = walk(context, start or context.cwd, path or b".")
    except LinuxError as error:
        reason = _REASONS.get(error.errno, f"cannot be reached: {error.errno.name}")
        raise ExecError(error.errno, f"{show_path(path)} {reason}") from None
    return open_executable(context, dentry, path)


def open_executable(context: "FsContext", dentry: "Dentry", path: bytes) -> Executable:
    """Open a program at a known place. Execute permission is enough; Linux needs no right to read.

    Raises ExecError: EACCES for anything but a regular file, on a noexec mount, and without permission.
    """
    attributes = dentry.inode.attributes()
    refusal = _refusal(dentry, attributes.mode)
    if refusal is None and not allows(attributes, context.identity, ACCESS.X):
        refusal = "is not executable" if not attributes.mode & S.IXUGO else "may not be executed by this user"
    if refusal is not None:
        raise ExecError(Errno.EACCES, f"{show_path(path)} {refusal}")
    if LEASES:
        ask_holders(dentry.inode, O.RDONLY)
    return Executable(dentry.inode.open(O(O.RDONLY), dentry), dentry, path)


def _refusal(dentry: "Dentry", mode: int) -> str | None:
    """Why nobody may execute this; None if somebody may."""
    if is_directory(mode):
        return "is a directory"
    if not is_regular(mode):
        return "is not a regular file"
    if b"noexec" in dentry.mount.options.split(b","):
        return "is on a file system mounted with noexec"
    return None
