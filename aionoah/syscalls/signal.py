"""Signals: kill(2), sigaction(2), sigprocmask(2), sigpending(2), sigsuspend(2), sigwaitinfo(2),
sigaltstack(2), rt_sigqueueinfo(2), pause(2), restart_syscall(2).
"""

import time
from typing import Final

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.resource import RLIMIT
from aionoah.abi.siginfo import SI, SIGINFO_SIZE
from aionoah.abi.signal import SIG, SIG_HOW, SIGSET_SIZE, Sigaction, StackT, signal_bit
from aionoah.abi.time import Timespec
from aionoah.clocks.duration import nanoseconds
from aionoah.host.waiting import Source, sleep_on
from aionoah.process.groups import members
from aionoah.process.task import Process, Task
from aionoah.signals.actions import LAST_SIGNAL, UNBLOCKABLE, Disposition
from aionoah.signals.delivery import take_signal
from aionoah.signals.generate import discard_ignored, send_to_process, send_to_task
from aionoah.signals.info import SigInfo, from_bytes, from_user
from aionoah.syscalls.arguments import Addr, In, Pid, Ptr, Signal, Size
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.results import Outcome, wants_restart

_INT_MIN: Final = -(1 << 31)
_SIGACTION: Final = Sigaction.flat()  # posix_spawn asks for all dispositions, and sets them


# -- dispositions and masks -----------------------------------------------------------------------------


@syscall
def rt_sigaction(task: Task, signum: Signal, act: In[Sigaction], oldact: Ptr[Sigaction], size: Size) -> None:
    _require_set_size(size)
    new = Disposition.from_abi(*_SIGACTION.unpack(task.memory.read(act, Sigaction.SIZE))) if act else None
    if not 1 <= signum <= LAST_SIGNAL or (new and signal_bit(signum) & UNBLOCKABLE):
        raise LinuxError(Errno.EINVAL)

    dispositions = task.process.signals.dispositions
    old = dispositions[signum]
    if new is not None:
        dispositions[signum] = new
        discard_ignored(task.process, signum)
    if oldact:
        task.memory.write(oldact, _SIGACTION.pack(*old))


@syscall
def rt_sigprocmask(task: Task, how: SIG_HOW, new: Addr, old: Addr, size: Size) -> None:
    _require_set_size(size)
    mask = task.signals.mask
    if new:
        task.signals.set_mask(_changed(mask, how, task.memory.read_word(new)))
    if old:
        task.memory.write_word(old, mask)


def _changed(mask: int, how: int, change: int) -> int:
    if how == SIG_HOW.BLOCK:
        return mask | change
    if how == SIG_HOW.UNBLOCK:
        return mask & ~change
    if how == SIG_HOW.SETMASK:
        return change
    raise LinuxError(Errno.EINVAL)


@syscall(own_thread=True)
def rt_sigreturn(task: Task) -> Outcome:
    task.control.leave_handler()
    return Outcome.KEEP_REGISTERS


@syscall
def rt_sigpending(task: Task, set_: Addr, size: Size) -> None:
    if size > SIGSET_SIZE:
        raise LinuxError(Errno.EINVAL)
    pending = task.signals.all_pending & task.signals.mask
    task.memory.write(set_, pending.to_bytes(SIGSET_SIZE, "little")[:size])


@syscall(own_thread=True)
def sigaltstack(task: Task, new: In[StackT], old: Ptr[StackT]) -> None:
    wanted = task.memory.get(StackT, new) if new else None
    stack_pointer = task.signals.stack_pointer()
    before = task.signals.stack
    if wanted is not None:
        task.signals.set_stack(wanted, stack_pointer, task.architecture.minimum_signal_stack)
    if old:
        task.memory.put(old, before.seen_from(stack_pointer))


def _require_set_size(size: int) -> None:
    if size != SIGSET_SIZE:
        raise LinuxError(Errno.EINVAL)


# -- waiting --------------------------------------------------------------------------------------------


@syscall
async def pause(task: Task) -> None:
    await _sleep_for_signal(task)


@syscall
async def rt_sigsuspend(task: Task, mask: Addr, size: Size) -> None:
    _require_set_size(size)
    task.signals.replace_mask(task.memory.read_word(mask))  # delivery takes it back
    await _sleep_for_signal(task)


async def _sleep_for_signal(task: Task) -> None:
    """Sleep until a signal is delivered: only a handler lets the program see that (EINTR)."""
    try:
        while not task.signals.is_interrupted:
            await sleep_on(Source())
    except LinuxError as error:
        if not wants_restart(error):
            raise
    raise LinuxError(Errno.ERESTARTNOHAND)


@syscall
async def rt_sigtimedwait(task: Task, wanted: Addr, info: Addr, uts: In[Timespec], size: Size) -> int:
    _require_set_size(size)
    signals = task.memory.read_word(wanted) & ~UNBLOCKABLE
    timeout_ns = nanoseconds(task.memory.get(Timespec, uts)) if uts else None
    task.signals.wait_for(signals)
    try:
        taken = await _next_signal(task, signals, timeout_ns)
    except LinuxError as error:
        raise LinuxError(Errno.EINTR if wants_restart(error) else error.errno) from None
    finally:
        task.signals.wait_for(0)
    if info:
        task.memory.write(info, taken.pack())
    return taken.si_signo


async def _next_signal(task: Task, wanted: int, timeout_ns: int | None) -> SigInfo:
    """Take one of a set out of the queues, waiting for it: EAGAIN after the timeout."""
    deadline_ns = None if timeout_ns is None else time.monotonic_ns() + timeout_ns
    while (info := take_signal(task, wanted)) is None:
        if deadline_ns is not None and time.monotonic_ns() >= deadline_ns:
            raise LinuxError(Errno.EAGAIN)
        await sleep_on(Source(task.process.signals.queue), deadline_ns)
    return info


@syscall
async def restart_syscall(task: Task) -> int | None:
    block, task.signals.restart_block = task.signals.restart_block, None
    if block is None:
        raise LinuxError(Errno.EINTR)
    return await block()


# -- sending --------------------------------------------------------------------------------------------


@syscall
def kill(task: Task, pid: Pid, sig: Signal) -> None:
    if pid > 0:
        _send(task, _find_process(task, pid), sig)
    elif pid == -1:
        _send_to_everybody(task, sig)
    elif pid == _INT_MIN:
        raise LinuxError(Errno.ESRCH)
    else:
        send_to_group(task, -pid or task.process.process_group, sig, _own_info(task, sig, SI.USER))


def _send_to_everybody(task: Task, sig: int) -> None:
    """All but init and oneself; that some may not be signalled does not count. ESRCH if there is nobody."""
    processes = task.kernel.processes.values()
    others = [other for other in processes if other.pid > 1 and other is not task.process]
    if not others:
        raise LinuxError(Errno.ESRCH)
    for process in others:
        try:
            _send(task, process, sig)
        except LinuxError as error:
            if error.errno is not Errno.EPERM:
                raise


@syscall
def tkill(task: Task, tid: Pid, sig: Signal) -> None:
    if tid <= 0:
        raise LinuxError(Errno.EINVAL)
    _send_to_thread(task, None, tid, sig, _own_info(task, sig, SI.TKILL))


@syscall
def tgkill(task: Task, tgid: Pid, tid: Pid, sig: Signal) -> None:
    if tgid <= 0 or tid <= 0:
        raise LinuxError(Errno.EINVAL)
    _send_to_thread(task, tgid, tid, sig, _own_info(task, sig, SI.TKILL))


@syscall
def rt_sigqueueinfo(task: Task, tgid: Pid, sig: Signal, uinfo: Addr) -> None:
    info = _given_info(task, tgid, sig, uinfo)
    process = _find_process(task, tgid)
    check_kill_permission(task, process, sig)
    if sig:
        send_to_process(process, info, process.limits.soft(RLIMIT.SIGPENDING))


@syscall
def rt_tgsigqueueinfo(task: Task, tgid: Pid, tid: Pid, sig: Signal, uinfo: Addr) -> None:
    if tgid <= 0 or tid <= 0:
        raise LinuxError(Errno.EINVAL)
    _send_to_thread(task, tgid, tid, sig, _given_info(task, tid, sig, uinfo))


def _find_process(task: Task, pid: int) -> Process:
    """The process of a thread id: ESRCH."""
    process = task.kernel.processes.get(pid)
    if process is None:
        target = task.kernel.tasks.get(pid)
        if target is None:
            raise LinuxError(Errno.ESRCH)
        process = target.process
    return process


def _own_info(task: Task, sig: int, code: int) -> SigInfo:
    return from_user(sig, task.process.pid, task.credentials.uid, code)


def _given_info(task: Task, target: int, sig: int, uinfo: int) -> SigInfo:
    """The siginfo that the program made; only towards itself may it pose as the kernel or as kill."""
    info = from_bytes(task.memory.read(uinfo, SIGINFO_SIZE), sig)
    if (info.si_code >= 0 or info.si_code == SI.TKILL) and target != task.tid:
        raise LinuxError(Errno.EPERM)
    return info


def _send(task: Task, process: Process, sig: int) -> None:
    check_kill_permission(task, process, sig)
    if sig:
        limit = process.limits.soft(RLIMIT.SIGPENDING)
        send_to_process(process, _own_info(task, sig, SI.USER), limit)


def send_to_group(task: Task, group: int, sig: int, info: SigInfo) -> None:
    """ESRCH if nobody is in a process group, EPERM if none of them may be signalled."""
    failed, has_succeeded = Errno.ESRCH, False
    for process in members(task.kernel, group):
        try:
            check_kill_permission(task, process, sig)
            if sig:
                send_to_process(process, info, process.limits.soft(RLIMIT.SIGPENDING))
        except LinuxError as error:
            failed = error.errno
        else:
            has_succeeded = True
    if not has_succeeded:
        raise LinuxError(failed)


def _send_to_thread(task: Task, tgid: int | None, tid: int, sig: int, info: SigInfo) -> None:
    target = task.kernel.tasks.get(tid)
    # The main thread of a process may have ended.
    process = target.process if target is not None else task.kernel.processes.get(tid)
    if process is None or (tgid is not None and process.pid != tgid):
        raise LinuxError(Errno.ESRCH)
    check_kill_permission(task, process, sig)
    if sig and target is not None:
        send_to_task(target, info, target.process.limits.soft(RLIMIT.SIGPENDING))


def check_kill_permission(task: Task, process: Process, sig: int) -> None:
    """EINVAL, EPERM (kernel/signal.c: check_kill_permission)."""
    if not 0 <= sig <= LAST_SIGNAL:
        raise LinuxError(Errno.EINVAL)
    if process is task.process or not process.tasks:
        return  # nobody feels a signal to a zombie
    mine = task.credentials
    theirs = next(iter(process.tasks.values())).credentials
    if {mine.euid, mine.uid} & {theirs.suid, theirs.uid} or mine.may(CAP.KILL, theirs.user_namespace):
        return
    if sig == SIG.CONT and process.session == task.process.session:
        return
    raise LinuxError(Errno.EPERM)
