"""RLIMIT_FSIZE: how large a process may make files (setrlimit(2); Linux generic_write_check_limits, inode_newsize_ok).

Each refusal is EFBIG, and SIGXFSZ for the calling thread. A write that begins below the limit ends there.
"""

from typing import TYPE_CHECKING

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.signal import SIG
from aionoah.memory.buffer import Front
from aionoah.signals.generate import send_to_task
from aionoah.signals.info import from_user

if TYPE_CHECKING:
    from aionoah.fs.file import File
    from aionoah.memory.buffer import Buffer
    from aionoah.process.task import Task


def bounded(task: "Task", file: "File", src: "Buffer", offset: int | None = None) -> "Buffer":
    """What of `src` may be written at an offset, None for the file's own position. EFBIG if that is nothing."""
    if task.process.limits.file_size is None or not src.length:
        return src
    start = file.write_start(offset)
    if start is None:
        return src
    room = room_at(task, start, src.length)
    return src if room == src.length else Front(src, room)


def room_at(task: "Task", start: int, length: int) -> int:
    """How many of `length` bytes a write at an offset may leave; EFBIG at the limit, of no bytes too."""
    limit = task.process.limits.file_size
    if limit is None:
        return length
    if start >= limit:
        raise _refusal(task)
    return min(length, limit - start)


def require_size(task: "Task", present: int, wanted: int) -> None:
    """EFBIG if a file is to grow to a size that it may not have."""
    limit = task.process.limits.file_size
    if limit is not None and present < wanted and wanted > limit:
        raise _refusal(task)


def _refusal(task: "Task") -> LinuxError:
    send_to_task(task, from_user(SIG.XFSZ, task.process.pid, task.credentials.uid))
    return LinuxError(Errno.EFBIG)
