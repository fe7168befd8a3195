"""Tracing other threads: ptrace(2)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.prctl import SECCOMP_MODE
from aionoah.abi.ptrace import (
    AUDIT_ARCH,
    EVENTMSG,
    PEEKSIGINFO_SHARED,
    PTRACE,
    PTRACE_EVENT,
    PTRACE_O,
    SYSCALL_INFO,
    PtracePeekSigInfo,
    PtraceRseqConfiguration,
    PtraceSyscallInfo,
    SeccompMetadata,
    UserRegs,
)
from aionoah.abi.seccomp import SECCOMP_FILTER_FLAG
from aionoah.abi.siginfo import SIGINFO_SIZE
from aionoah.abi.signal import SIG, SIGSET_SIZE
from aionoah.abi.uio import Iovec
from aionoah.abi.words import WORD_MASK, WORD_SIZE
from aionoah.abi.x86_64 import ARCH, FXSAVE_SIZE
from aionoah.process.debug_registers import DebugRegisters
from aionoah.process.task import Task
from aionoah.process.tracees import (
    TracedState,
    Tracing,
    attach,
    detach,
    interrupt,
    listen,
    resume,
    trace_me,
)
from aionoah.signals.generate import send_to_process
from aionoah.signals.info import from_bytes, from_user
from aionoah.syscalls.arguments import Addr, Pid, ULong
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.traced_registers import (
    REGISTER_SETS,
    RegisterSet,
    debug_register,
    get_user_registers,
    peek_user,
    poke_user,
    put_user_registers,
)

if TYPE_CHECKING:
    from aionoah.process.seccomp import Program
    from aionoah.process.tracees import Stop

_MOST_ERRNO: Final = 4095
_ALL_OPTIONS: Final = sum(PTRACE_O.members().values())
_ARCHES: Final = {"x86_64": AUDIT_ARCH.X86_64, "aarch64": AUDIT_ARCH.AARCH64}
_RESUMING: Final = {
    *(PTRACE.CONT, PTRACE.SYSCALL, PTRACE.SYSEMU, PTRACE.SINGLESTEP, PTRACE.SYSEMU_SINGLESTEP),
}
_BASES: Final = {ARCH.GET_FS: "tls", ARCH.SET_FS: "tls", ARCH.GET_GS: "gs_base", ARCH.SET_GS: "gs_base"}
_STEPPING: Final = {PTRACE.SINGLESTEP, PTRACE.SYSEMU_SINGLESTEP}


@syscall(
    partial="Debug registers see no reads, and writes by what they change; no steps by blocks, and on aarch64 no single steps."
)
def ptrace(task: Task, request: PTRACE, pid: Pid, addr: Addr, data: ULong) -> int | None:
    if request == PTRACE.TRACEME:
        trace_me(task)
        return None
    target = task.kernel.tasks.get(pid)
    if target is None:
        raise LinuxError(Errno.ESRCH)
    if request in {PTRACE.ATTACH, PTRACE.SEIZE}:
        _attach(task, target, request, addr, data)
        return None
    tracing = target.tracing
    if tracing is None or tracing.tracer is not task:
        raise LinuxError(Errno.ESRCH)
    if request == PTRACE.KILL:
        send_to_process(target.process, from_user(SIG.KILL, task.process.pid, task.credentials.uid))
        return None
    if request == PTRACE.INTERRUPT:
        interrupt(tracing)
        return None
    tracing.require_stop()
    operation = _OPERATIONS.get(request)
    if operation is not None:
        return operation(task, tracing, addr, data)
    _resume(tracing, request, data)
    return None


def _attach(task: Task, target: Task, request: int, addr: int, options: int) -> None:
    is_seized = request == PTRACE.SEIZE
    if is_seized and addr:
        raise LinuxError(Errno.EIO)
    if is_seized and options & ~_ALL_OPTIONS:
        raise LinuxError(Errno.EIO)
    wanted = PTRACE_O(options if is_seized else 0)
    _require_options(task, wanted)
    attach(task, target, wanted, is_seized=is_seized)


def _resume(tracing: Tracing, request: int, signal: int) -> None:
    if request not in _RESUMING or (request in _STEPPING and tracing.task.architecture.name != "x86_64"):
        raise LinuxError(Errno.EIO)
    resume(tracing, request, signal)


def _detach(_task: Task, tracing: Tracing, _addr: int, signal: int) -> None:
    detach(tracing, signal)


def _listen(_task: Task, tracing: Tracing, _addr: int, _data: int) -> None:
    listen(tracing)


def _require_options(task: Task, options: PTRACE_O) -> None:
    """EINVAL; EPERM for who may not suspend filters: who is no administrator, or filtered himself."""
    if options.outside(_ALL_OPTIONS):
        raise LinuxError(Errno.EINVAL)
    if PTRACE_O.SUSPEND_SECCOMP in options:
        task.credentials.require(CAP.SYS_ADMIN)
        is_suspended = task.tracing is not None and PTRACE_O.SUSPEND_SECCOMP in task.tracing.options
        if task.seccomp is not None or is_suspended:
            raise LinuxError(Errno.EPERM)


def _set_options(task: Task, tracing: Tracing, _addr: int, options: int) -> None:
    wanted = PTRACE_O(options)
    _require_options(task, wanted)
    tracing.options = wanted


# -- memory ---------------------------------------------------------------------------------------------


def _peek(task: Task, tracing: Tracing, addr: int, data: int) -> None:
    word = tracing.task.memory.peek(addr, WORD_SIZE)
    if len(word) != WORD_SIZE:
        raise LinuxError(Errno.EIO)
    task.memory.write(data, word)


def _poke(_task: Task, tracing: Tracing, addr: int, data: int) -> None:
    if tracing.task.memory.poke(addr, data.to_bytes(WORD_SIZE, "little")) != WORD_SIZE:
        raise LinuxError(Errno.EIO)


# -- registers ------------------------------------------------------------------------------------------


def _state(tracing: Tracing) -> TracedState:
    assert tracing.state is not None  # noqa: S101 - it is in a stop
    return tracing.state


def _x86_state(tracing: Tracing) -> TracedState:
    """EIO where there is no struct user."""
    if tracing.task.architecture.name != "x86_64":
        raise LinuxError(Errno.EIO)
    return _state(tracing)


def _peek_user(task: Task, tracing: Tracing, addr: int, data: int) -> None:
    state, number = _x86_state(tracing), debug_register(addr)
    word = peek_user(state, addr) if number is None else (tracing.debug or DebugRegisters()).get(number)
    task.memory.write_word(data, word)


def _poke_user(_task: Task, tracing: Tracing, addr: int, data: int) -> None:
    state, number, target = _x86_state(tracing), debug_register(addr), tracing.task
    if number is None:
        poke_user(state, addr, data, target)
        return
    if tracing.debug is None:
        tracing.debug = DebugRegisters()
    tracing.debug.set(number, data, target.architecture.task_size)


def _get_registers(task: Task, tracing: Tracing, _addr: int, data: int) -> None:
    task.memory.write(data, get_user_registers(_x86_state(tracing)))


def _set_registers(task: Task, tracing: Tracing, _addr: int, data: int) -> None:
    put_user_registers(_x86_state(tracing), task.memory.read(data, UserRegs.SIZE), tracing.task)


def _get_fpu(task: Task, tracing: Tracing, _addr: int, data: int) -> None:
    task.memory.write(data, _x86_state(tracing).fpu[:FXSAVE_SIZE])


def _set_fpu(task: Task, tracing: Tracing, _addr: int, data: int) -> None:
    state = _x86_state(tracing)
    found = REGISTER_SETS["x86_64"][2]
    found.put(state, task.memory.read(data, FXSAVE_SIZE), tracing.task)


def _arch_prctl(task: Task, tracing: Tracing, addr: int, code: int) -> None:
    """The bases of FS and GS, as arch_prctl(2) of the tracee itself would tell and set them."""
    state = _x86_state(tracing)
    name = _BASES.get(code)
    if name is None:
        raise LinuxError(Errno.EINVAL)
    if code in {ARCH.GET_FS, ARCH.GET_GS}:
        task.memory.write_word(addr, getattr(state, name))
    elif addr >= tracing.task.architecture.task_size:
        raise LinuxError(Errno.EPERM)
    else:
        setattr(state, name, addr)


def _get_set(task: Task, tracing: Tracing, kind: int, iov: int) -> None:
    vector = task.memory.get(Iovec, iov)
    data = _register_set(tracing, kind, vector.iov_len).get(_state(tracing), tracing.task)
    part = data[: vector.iov_len]
    task.memory.write(vector.iov_base, part)
    task.memory.write_word(iov + WORD_SIZE, len(part))


def _set_set(task: Task, tracing: Tracing, kind: int, iov: int) -> None:
    vector = task.memory.get(Iovec, iov)
    found = _register_set(tracing, kind, vector.iov_len)
    size = min(vector.iov_len, len(found.get(_state(tracing), tracing.task)))
    found.put(_state(tracing), task.memory.read(vector.iov_base, size), tracing.task)
    task.memory.write_word(iov + WORD_SIZE, size)


def _register_set(tracing: Tracing, kind: int, length: int) -> RegisterSet:
    found = REGISTER_SETS[tracing.task.architecture.name].get(kind)
    if found is None or length % found.unit:
        raise LinuxError(Errno.EINVAL)
    return found


# -- signals --------------------------------------------------------------------------------------------


def _get_siginfo(task: Task, tracing: Tracing, _addr: int, data: int) -> None:
    info = tracing.require_stop().info
    if info is None:
        raise LinuxError(Errno.EINVAL)
    task.memory.write(data, info.pack())


def _set_siginfo(task: Task, tracing: Tracing, _addr: int, data: int) -> None:
    given = task.memory.read(data, SIGINFO_SIZE)
    stop = tracing.require_stop()
    if stop.info is None:
        raise LinuxError(Errno.EINVAL)
    stop.info = from_bytes(given, int.from_bytes(given[:4], "little", signed=True))


def _peek_siginfo(task: Task, tracing: Tracing, addr: int, data: int) -> int:
    wanted = task.memory.get(PtracePeekSigInfo, addr)
    if wanted.flags & ~PEEKSIGINFO_SHARED or wanted.nr < 0:
        raise LinuxError(Errno.EINVAL)
    signals = tracing.task.signals
    pending = signals.shared.pending if wanted.flags else signals.pending
    chosen = pending.waiting()[wanted.off : wanted.off + wanted.nr]
    for index, info in enumerate(chosen):
        try:
            task.memory.write(data + index * SIGINFO_SIZE, info.pack())
        except LinuxError:
            if index:
                return index
            raise
    return len(chosen)


def _get_mask(task: Task, tracing: Tracing, addr: int, data: int) -> None:
    _require_set_size(addr)
    signals = tracing.task.signals
    task.memory.write_word(data, signals.mask if signals.saved_mask is None else signals.saved_mask)


def _set_mask(task: Task, tracing: Tracing, addr: int, data: int) -> None:
    _require_set_size(addr)
    mask, signals = task.memory.read_word(data), tracing.task.signals
    signals.saved_mask = None
    signals.set_mask(mask)


def _require_set_size(size: int) -> None:
    if size != SIGSET_SIZE:
        raise LinuxError(Errno.EINVAL)


# -- what a stop is about -------------------------------------------------------------------------------


def _get_message(task: Task, tracing: Tracing, _addr: int, data: int) -> None:
    task.memory.write_word(data, tracing.require_stop().message)


def _get_call(task: Task, tracing: Tracing, size: int, data: int) -> int:
    """As much of struct ptrace_syscall_info as there is room for; returns how much there is."""
    stop, state, architecture = tracing.require_stop(), _state(tracing), tracing.task.architecture
    operation, rest = _call_details(tracing, stop, state)
    head = PtraceSyscallInfo(
        op=operation,
        arch=_ARCHES[architecture.name],
        instruction_pointer=state.registers[architecture.program_counter],
        stack_pointer=state.registers[architecture.stack_pointer],
    )
    found = head.pack() + rest
    task.memory.write(data, found[:size])
    return len(found)


def _call_details(tracing: Tracing, stop: "Stop", state: TracedState) -> tuple[int, bytes]:
    architecture = tracing.task.architecture
    arguments = [state.registers[index] for index in architecture.syscall_registers[1:]]
    call = b"".join(word.to_bytes(WORD_SIZE, "little") for word in (state.number & WORD_MASK, *arguments))
    if stop.status == SIG.TRAP | PTRACE_EVENT.SECCOMP << 8:
        return SYSCALL_INFO.SECCOMP, call + (stop.message & 0xFFFF_FFFF).to_bytes(4, "little")
    if stop.status == SIG.TRAP | 0x80 and stop.message == EVENTMSG.ENTRY:
        return SYSCALL_INFO.ENTRY, call
    if stop.status == SIG.TRAP | 0x80 and stop.message == EVENTMSG.EXIT:
        word = state.registers[architecture.result_register]
        is_error = word > WORD_MASK - _MOST_ERRNO
        return SYSCALL_INFO.EXIT, word.to_bytes(WORD_SIZE, "little") + bytes((is_error,))
    return SYSCALL_INFO.NONE, b""


# -- filters of calls -----------------------------------------------------------------------------------


def _find_filter(task: Task, tracing: Tracing, index: int) -> "Program":
    """The filter with a number, from the oldest on. EACCES for who is filtered himself or no administrator; EINVAL, ENOENT."""
    if task.seccomp is not None or not task.credentials.has_capability(CAP.SYS_ADMIN):
        raise LinuxError(Errno.EACCES)
    seccomp = tracing.task.seccomp
    if seccomp is None or seccomp.mode != SECCOMP_MODE.FILTER:
        raise LinuxError(Errno.EINVAL)
    if index >= len(seccomp.programs):
        raise LinuxError(Errno.ENOENT)
    return seccomp.programs[index]


def _get_filter(task: Task, tracing: Tracing, index: int, data: int) -> int:
    """How many instructions it has, which are written only where an address is given."""
    code = _find_filter(task, tracing, index).code
    if data:
        task.memory.write(data, b"".join(one.pack() for one in code))
    return len(code)


def _get_filter_metadata(task: Task, tracing: Tracing, size: int, data: int) -> int:
    """Which flags it was made with, of which there is one: nothing is logged here, but it is told."""
    if task.seccomp is not None or not task.credentials.has_capability(CAP.SYS_ADMIN):
        raise LinuxError(Errno.EACCES)
    if size < WORD_SIZE:
        raise LinuxError(Errno.EINVAL)
    index = task.memory.read_word(data)
    logs = _find_filter(task, tracing, index).logs
    found = SeccompMetadata(index, SECCOMP_FILTER_FLAG.LOG if logs else 0)
    part = found.pack()[:size]
    task.memory.write(data, part)
    return len(part)


def _get_rseq(task: Task, tracing: Tracing, size: int, data: int) -> int:
    if size < PtraceRseqConfiguration.SIZE:
        raise LinuxError(Errno.EINVAL)
    area = tracing.task.rseq
    found = PtraceRseqConfiguration(0, 0, 0, 0, 0)
    if area is not None:
        found = PtraceRseqConfiguration(area.address, area.length, area.signature, 0, 0)
    task.memory.put(data, found)
    return PtraceRseqConfiguration.SIZE


_OPERATIONS: Final[dict[int, Callable[[Task, Tracing, int, int], int | None]]] = {
    PTRACE.PEEKTEXT: _peek,
    PTRACE.PEEKDATA: _peek,
    PTRACE.POKETEXT: _poke,
    PTRACE.POKEDATA: _poke,
    PTRACE.PEEKUSER: _peek_user,
    PTRACE.POKEUSER: _poke_user,
    PTRACE.GETREGS: _get_registers,
    PTRACE.SETREGS: _set_registers,
    PTRACE.GETFPREGS: _get_fpu,
    PTRACE.SETFPREGS: _set_fpu,
    PTRACE.ARCH_PRCTL: _arch_prctl,
    PTRACE.GETREGSET: _get_set,
    PTRACE.SETREGSET: _set_set,
    PTRACE.DETACH: _detach,
    PTRACE.LISTEN: _listen,
    PTRACE.SETOPTIONS: _set_options,
    PTRACE.GETEVENTMSG: _get_message,
    PTRACE.GETSIGINFO: _get_siginfo,
    PTRACE.SETSIGINFO: _set_siginfo,
    PTRACE.PEEKSIGINFO: _peek_siginfo,
    PTRACE.GETSIGMASK: _get_mask,
    PTRACE.SETSIGMASK: _set_mask,
    PTRACE.GET_SYSCALL_INFO: _get_call,
    PTRACE.SECCOMP_GET_FILTER: _get_filter,
    PTRACE.SECCOMP_GET_METADATA: _get_filter_metadata,
    PTRACE.GET_RSEQ_CONFIGURATION: _get_rseq,
}
