"""New tasks: fork(2), vfork(2), clone(2), clone3."""

from typing import Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.sched import CLONE, CLONE_ARGS_SIZE_VER0, CSIGNAL, CloneArgs
from aionoah.abi.signal import SIG
from aionoah.host.waiting import Source, sleep_on
from aionoah.process.clone import CloneRequest, clone_task
from aionoah.process.task import Process, Task
from aionoah.signals.actions import LAST_SIGNAL
from aionoah.syscalls.arguments import Addr, Size, ULong
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.results import wants_restart

_PAGE_SIZE: Final = 4096
_CLONE3_FLAGS: Final = (1 << 34) - 1 & ~CSIGNAL | CLONE.NEWTIME
_NOT_BY_CLONE3: Final = CLONE.DETACHED


@syscall
async def fork(task: Task) -> int:
    return await _clone(task, CloneRequest(CLONE(0), SIG.CHLD))


@syscall
async def vfork(task: Task) -> int:
    return await _clone(task, CloneRequest(CLONE(CLONE.VFORK | CLONE.VM), SIG.CHLD))


@syscall(partial="No namespaces and no tracing: CLONE_NEW… fails as in a kernel without them.")
async def clone(task: Task, flags: ULong, stack: Addr, parent_tid: Addr, fourth: Addr, fifth: Addr) -> int:
    """The last two are child_tid and tls, in the order that the architecture has."""
    tail = (fourth, fifth)
    first = 3
    wanted = CLONE(flags & ~CSIGNAL & 0xFFFF_FFFF)
    request = CloneRequest(
        wanted,
        exit_signal=flags & CSIGNAL,
        parent_tid=parent_tid if wanted & CLONE.PARENT_SETTID else 0,
        child_tid=tail[task.architecture.clone_child_tid_argument - first],
        pidfd=parent_tid if wanted & CLONE.PIDFD else 0,
    )
    if CLONE.PIDFD | CLONE.PARENT_SETTID in wanted:
        raise LinuxError(Errno.EINVAL)
    tls = tail[task.architecture.clone_tls_argument - first]
    return await _clone(task, request, stack, tls if CLONE.SETTLS in wanted else None)


@syscall(partial="set_tid and cgroup are refused; otherwise as clone.")
async def clone3(task: Task, args: Addr, size: Size) -> int:
    wanted = _read_args(task, args, size)
    flags = CLONE(wanted.flags)
    if flags.outside(_CLONE3_FLAGS) or flags & (_NOT_BY_CLONE3 | (CSIGNAL & ~CLONE.NEWTIME)):
        raise LinuxError(Errno.EINVAL)
    if wanted.exit_signal > LAST_SIGNAL or (wanted.exit_signal and flags & (CLONE.THREAD | CLONE.PARENT)):
        raise LinuxError(Errno.EINVAL)
    if bool(wanted.stack) != bool(wanted.stack_size):
        raise LinuxError(Errno.EINVAL)
    if wanted.set_tid_size or wanted.set_tid:
        raise LinuxError(Errno.EPERM if wanted.set_tid and wanted.set_tid_size else Errno.EINVAL)
    request = CloneRequest(flags, wanted.exit_signal, wanted.parent_tid, wanted.child_tid, wanted.pidfd)
    tls = wanted.tls if CLONE.SETTLS in flags else None
    return await _clone(task, request, wanted.stack + wanted.stack_size, tls)


def _read_args(task: Task, address: int, size: int) -> CloneArgs:
    """The structure in any of its sizes; what a later one has more must be 0 (E2BIG)."""
    if size > _PAGE_SIZE:
        raise LinuxError(Errno.E2BIG)
    if size < CLONE_ARGS_SIZE_VER0:
        raise LinuxError(Errno.EINVAL)
    data = task.memory.read(address, size)
    if any(data[CloneArgs.SIZE :]):
        raise LinuxError(Errno.E2BIG)
    return CloneArgs.unpack(data[: CloneArgs.SIZE].ljust(CloneArgs.SIZE, b"\0"))


async def _clone(task: Task, request: CloneRequest, stack: int = 0, tls: int | None = None) -> int:
    child = clone_task(task, request)
    flags = request.flags
    if CLONE.PARENT_SETTID in flags:
        _store_tid(task, request.parent_tid, child.tid)
    if CLONE.CHILD_SETTID in flags:
        _store_tid(child, request.child_tid, child.tid)
    tid = child.tid
    task.control.clone(child, stack, tls)
    if CLONE.VFORK in flags:
        await _memory_is_back(child.process)
    return tid


def _store_tid(task: Task, address: int, tid: int) -> None:
    """As Linux, without minding whether the address is any good."""
    try:
        task.memory.write_word(address, tid, 4)
    except LinuxError as error:
        if error.errno is not Errno.EFAULT:
            raise


async def _memory_is_back(child: Process) -> None:
    """Sleep until a child of vfork has another program or is gone. Only a signal that kills ends it sooner."""
    while not (child.has_executed or (child.wait_status is not None and child.cpus == 0)):
        try:
            await sleep_on(Source(child.vfork_done))
        except LinuxError as error:
            if not wants_restart(error):
                raise
