"""Where a core dump goes: a new file that nobody else can have put there (core(5); Linux fs/coredump.c: do_coredump)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.prctl import SUID_DUMP
from aionoah.abi.resource import RLIMIT
from aionoah.abi.signal import SIG, signal_bit
from aionoah.abi.stat import S
from aionoah.abi.time import CLOCK, NSEC_PER_SEC
from aionoah.clocks.clock import wall_clock
from aionoah.fs.context import FsContext
from aionoah.fs.opening import open_file
from aionoah.fs.path import path_of
from aionoah.fs.removal import unlink
from aionoah.host.application import answered
from aionoah.process.coredump.naming import Facts, core_name
from aionoah.process.rseq import cpu_of

if TYPE_CHECKING:
    from aionoah.fs.file import File
    from aionoah.process.task import Task

T = TypeVar("T")

_FLAGS: Final = O(O.CREAT | O.EXCL | O.WRONLY | O.NOFOLLOW | O.LARGEFILE)
_MODE: Final = 0o600
_MODE_BITS: Final = 0o677  # what it may not be but that


class Interrupted(Exception):  # noqa: N818 - a condition
    """SIGKILL has come, which ends a dump too."""


def require_alive(task: "Task") -> None:
    """Interrupted."""
    if task.signals.all_pending & signal_bit(SIG.KILL):
        raise Interrupted


@contextmanager
def cut_short(task: "Task") -> Iterator[None]:
    """Around a sleep, which signals may end before its time. Interrupted."""
    try:
        yield
    except LinuxError as error:
        if error.errno is not Errno.ERESTARTSYS:
            raise
        require_alive(task)


async def uninterrupted(task: "Task", attempt: Callable[[], T]) -> T:
    """What `attempt` returns, once the application has answered what it asks; begun anew after signals. Interrupted."""
    while True:
        with cut_short(task):
            return await answered(attempt)


async def open_core(task: "Task", signal: int) -> "File | None":
    """The file, empty, whose one reference the caller owns; None if there is not to be one. Interrupted.

    Where a process has changed its user, and dumps nevertheless (fs.suid_dumpable is 2), that is for root only: in a place
    that the process has no say in, where nothing is replaced.
    """
    name = _name(task, signal)
    context, start, is_private = task.fs, task.fs.cwd, task.process.dumpable == SUID_DUMP.ROOT
    if is_private:
        if not name.startswith(b"/"):
            return None
        credentials = task.credentials.copy()
        credentials.fsuid = 0
        start = task.kernel.mounts.root
        context = FsContext(start, credentials, umask=task.fs.umask, programs=task.fs.programs)
    try:
        if not is_private:
            await uninterrupted(task, lambda: _make_way(context, name))
        file = await uninterrupted(task, lambda: open_file(context, start, name, _FLAGS, _MODE))
        return await _checked(task, file, context)
    except LinuxError:
        return None


async def _checked(task: "Task", file: "File", context: FsContext) -> "File | None":
    is_good = False
    try:
        is_good = await uninterrupted(task, lambda: _is_as_made(file, context))
    finally:
        if not is_good:
            file.drop()
    return file if is_good else None


def _make_way(context: FsContext, name: bytes) -> None:
    """What hinders is found when the file is made."""
    try:
        unlink(context, context.cwd, name)
    except LinuxError:
        return


def _is_as_made(file: "File", context: FsContext) -> bool:
    """Whether it is a file of the user's own that nobody else can read: some file systems know no owners."""
    found = file.attributes()
    is_regular = found.mode & S.IFMT == S.IFREG and found.nlink <= 1
    is_own = found.uid == context.identity.uid and found.mode & _MODE_BITS == _MODE
    return is_regular and is_own and (file.dentry is None or not file.dentry.is_deleted)


def _name(task: "Task", signal: int) -> bytes:
    settings = task.kernel.core_settings
    return core_name(settings.pattern, facts_of(task, signal), uses_pid=bool(settings.uses_pid))


def helper_arguments(task: "Task", signal: int) -> list[bytes]:
    """The command line that a pattern stands for: words are told apart before anything is put in."""
    facts = facts_of(task, signal)
    words = task.kernel.core_settings.pattern[1:].split()
    return [core_name(word, facts, uses_pid=False) for word in words]


def facts_of(task: "Task", signal: int) -> Facts:
    process, who = task.process, task.credentials
    executable = process.executable
    known = path_of(executable, task.fs.root) if executable is not None else b"%s (path unknown)" % task.name
    return Facts(
        *(process.pid, task.tid, who.uid, who.gid, process.dumpable, signal),
        wall_clock(CLOCK.REALTIME).now_ns() // NSEC_PER_SEC,
        *(task.namespaces.uts.hostname, task.name, known),
        *(process.limits.soft(RLIMIT.CORE), cpu_of(task)),
    )
