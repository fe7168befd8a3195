"""New tasks: fork(2), vfork(2), clone(2), clone3."""

from contextlib import ExitStack
from typing import Final

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.sched import CLONE, CLONE_ARGS_SIZE_VER0, CSIGNAL, CloneArgs
from aionoah.abi.signal import SIG
from aionoah.abi.words import INT_MAX
from aionoah.fs.pidfd import PidFile
from aionoah.host.waiting import Source, sleep_on
from aionoah.process.clone import CloneRequest, clone_task, discard_task
from aionoah.process.kernel import PID_MAX
from aionoah.process.task import Task
from aionoah.signals.actions import LAST_SIGNAL
from aionoah.syscalls.arguments import Addr, Size, ULong
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.results import wants_restart
from aionoah.syscalls.structures import read_structure

_CLONE3_FLAGS: Final = ((1 << 34) - 1 & ~CSIGNAL | CLONE.NEWTIME) & ~CLONE.DETACHED
_MAX_PID_NS_LEVEL: Final = 32


@syscall(own_thread=True)
async def fork(task: Task) -> int:
    return await _clone(task, CloneRequest(CLONE(0), SIG.CHLD), 0, 0)


@syscall(own_thread=True)
async def vfork(task: Task) -> int:
    return await _clone(task, CloneRequest(CLONE(CLONE.VFORK | CLONE.VM), SIG.CHLD), 0, 0)


@syscall(
    own_thread=True,
    partial="Of name spaces those of users, mounts, host names and IPC; others fail as in a kernel without them.",
)
async def clone(task: Task, flags: ULong, stack: Addr, parent_tid: Addr, fourth: Addr, fifth: Addr) -> int:
    """The last two are child_tid and tls, in the order that the architecture has."""
    tail = (fourth, fifth)
    first = 3
    wanted = CLONE(flags & ~CSIGNAL & 0xFFFF_FFFF)
    request = CloneRequest(
        wanted,
        exit_signal=flags & CSIGNAL,
        parent_tid=parent_tid,
        child_tid=tail[task.architecture.clone_child_tid_argument - first],
        pidfd=parent_tid,
    )
    return await _clone(task, request, stack, tail[task.architecture.clone_tls_argument - first])


@syscall(own_thread=True, partial="Name spaces as clone; no control groups.")
async def clone3(task: Task, args: Addr, size: Size) -> int:
    wanted = _read_args(task, args, size)
    flags = CLONE(wanted.flags)
    if CLONE.INTO_CGROUP in flags and size < CloneArgs.SIZE:
        raise LinuxError(Errno.EINVAL)
    tid = _read_tid(task, wanted)
    if flags.outside(_CLONE3_FLAGS):
        raise LinuxError(Errno.EINVAL)
    if wanted.exit_signal and flags & (CLONE.THREAD | CLONE.PARENT):
        raise LinuxError(Errno.EINVAL)
    if bool(wanted.stack) != bool(wanted.stack_size):
        raise LinuxError(Errno.EINVAL)
    if wanted.stack + wanted.stack_size > task.architecture.task_size:
        raise LinuxError(Errno.EINVAL)
    request = CloneRequest(flags, wanted.exit_signal, wanted.parent_tid, wanted.child_tid, wanted.pidfd, tid)
    return await _clone(task, request, wanted.stack + wanted.stack_size, wanted.tls)


def _read_args(task: Task, address: int, size: int) -> CloneArgs:
    """The structure in any of its sizes; what a later one has more must be 0 (E2BIG)."""
    if size > PAGE_SIZE:
        raise LinuxError(Errno.E2BIG)
    if size < CLONE_ARGS_SIZE_VER0:
        raise LinuxError(Errno.EINVAL)
    return CloneArgs.unpack(read_structure(task.memory, address, size, CloneArgs.SIZE))


def _read_tid(task: Task, wanted: CloneArgs) -> int | None:
    """The number that the new task is to have, of the arguments whose size has to be right before others."""
    is_bad_signal = wanted.exit_signal > LAST_SIGNAL
    is_bad_group = CLONE.INTO_CGROUP in CLONE(wanted.flags) and wanted.cgroup > INT_MAX
    if wanted.set_tid_size > _MAX_PID_NS_LEVEL or bool(wanted.set_tid) != bool(wanted.set_tid_size):
        raise LinuxError(Errno.EINVAL)
    if is_bad_signal or is_bad_group:
        raise LinuxError(Errno.EINVAL)
    if not wanted.set_tid:
        return None
    tid = task.memory.read_word(wanted.set_tid, 4)
    if wanted.set_tid_size > 1 or not 1 <= tid < PID_MAX:  # there is one PID namespace
        raise LinuxError(Errno.EINVAL)
    if not any(map(task.credentials.has_capability, (CAP.SYS_ADMIN, CAP.CHECKPOINT_RESTORE))):
        raise LinuxError(Errno.EPERM)
    return tid


async def _clone(task: Task, request: CloneRequest, stack: int, tls: int) -> int:
    """`tls` counts with CLONE_SETTLS only."""
    flags = request.flags
    if CLONE.PIDFD | CLONE.PARENT_SETTID in flags and request.pidfd == request.parent_tid:
        raise LinuxError(Errno.EINVAL)
    child = clone_task(task, request)
    tid = child.tid
    with ExitStack() as undo:
        undo.callback(discard_task, child)
        if CLONE.SETTLS in flags and tls >= task.architecture.task_size:
            raise LinuxError(Errno.EPERM)
        pidfd = _put_pidfd(task, request, child) if CLONE.PIDFD in flags else None
        if pidfd is not None:
            undo.callback(task.files.close, pidfd)
        if CLONE.CHILD_SETTID in flags:
            _store_tid(child, request.child_tid, tid)
        task.control.clone(child, stack, tls if CLONE.SETTLS in flags else None)
        undo.pop_all()
    if CLONE.PARENT_SETTID in flags:
        _store_tid(task, request.parent_tid, tid)
    if task.tracing is not None:
        from aionoah.process.tracing_stops import stop_in_clone  # noqa: PLC0415 - few are traced

        await stop_in_clone(task, flags, request.exit_signal, tid)
    if CLONE.VFORK in flags:
        await _memory_is_back(task, child)
        if task.tracing is not None:
            from aionoah.process.tracing_stops import stop_after_vfork  # noqa: PLC0415

            await stop_after_vfork(task, tid)
    return tid


def _put_pidfd(task: Task, request: CloneRequest, child: Task) -> int:
    """A descriptor of the new process or thread. EMFILE, EFAULT."""
    thread = child if CLONE.THREAD in request.flags else None
    fd = task.files.add(PidFile(child.process, thread), cloexec=True)
    try:
        task.memory.write_word(request.pidfd, fd, 4)
    except LinuxError:
        task.files.close(fd)
        raise
    return fd


def _store_tid(task: Task, address: int, tid: int) -> None:
    """As Linux, without minding whether the address is any good."""
    try:
        task.memory.write_word(address, tid, 4)
    except LinuxError as error:
        if error.errno is not Errno.EFAULT:
            raise


async def _memory_is_back(task: Task, child: Task) -> None:
    """Sleep until a child of vfork has another program or is gone. Only a signal that kills ends it sooner."""
    process, memory = child.process, child.memory
    is_thread = process is task.process
    while child.memory is memory and not (child.has_exited and (is_thread or process.cpus == 0)):
        try:
            await sleep_on(Source(process.vfork_done))
        except LinuxError as error:
            if task.signals.is_dying or not wants_restart(error):
                raise
