"""Which system calls a program lets itself make: seccomp(2); Linux kernel/seccomp.c.

A filter is classic BPF over struct seccomp_data, of which it reads aligned words of 32 bits. Most filters decide by the
number of the call alone, so what they say is remembered as soon as one run has read nothing else.
"""

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.filter import BPF, BPF_ALU, BPF_JMP, BPF_X, SockFilter
from aionoah.abi.prctl import SECCOMP_MODE
from aionoah.abi.ptrace import AUDIT_ARCH, PTRACE_O
from aionoah.abi.seccomp import SECCOMP_DATA_SIZE, SECCOMP_RET, SECCOMP_RET_ACTION_FULL, SECCOMP_RET_DATA
from aionoah.abi.siginfo import SYS, SigInfoSyscall
from aionoah.abi.signal import SIG, signal_bit
from aionoah.abi.words import WORD_MASK, signed
from aionoah.fs import lending
from aionoah.net.filters import Over, Run, check, instructions
from aionoah.process.ending import end_process, end_thread
from aionoah.signals.actions import DEFAULT
from aionoah.signals.generate import force

if TYPE_CHECKING:
    from aionoah.process.seccomp_listener import SeccompListener
    from aionoah.process.task import Task

_WORD: Final = 0xFFFF_FFFF  # of the filter: 32 bits
_DATA: Final = struct.Struct("<II7Q")  # struct seccomp_data
_MAX_ERRNO: Final = 4095
_MOST_INSTRUCTIONS: Final = (1 << 18) // SockFilter.SIZE  # of all filters of a thread, 4 more for each
_PENALTY: Final = 4
_ARCHITECTURES: Final = {"x86_64": AUDIT_ARCH.X86_64, "aarch64": AUDIT_ARCH.AARCH64}
_STRICT: Final = ("read", "write", "exit", "rt_sigreturn")
_WITHOUT_SIGNAL: Final = {
    *(SECCOMP_RET.ALLOW, SECCOMP_RET.LOG, SECCOMP_RET.ERRNO, SECCOMP_RET.TRACE, SECCOMP_RET.USER_NOTIF)
}
_PACKET: Final = bytes(SECCOMP_DATA_SIZE)
_FIRST_ASKED: Final = 8  # where in the data stands what is not the number or the architecture
_PLAIN: Final = frozenset(BPF.members()) - {
    *(BPF.LD_H_ABS, BPF.LD_B_ABS, BPF.LD_W_IND, BPF.LD_H_IND, BPF.LD_B_IND, BPF.LDX_B_MSH)
}
_WITH_OPERAND: Final = frozenset((*BPF_ALU.members(), *BPF_JMP.members())) - {BPF_ALU.MOD}


class Program:
    """One filter. EINVAL for what the kernel would not run."""

    __slots__ = ("code", "listener", "logs")

    def __init__(self, program: bytes, *, logs: bool = False) -> None:
        self.logs = logs  # whether its maker wanted that; it is told to tracers
        self.listener: SeccompListener | None = None
        self.code = instructions(program)
        check(self.code)
        if not all(_is_allowed(one) for one in self.code):
            raise LinuxError(Errno.EINVAL)


def _is_allowed(one: SockFilter) -> bool:
    if one.code == BPF.LD_W_ABS:
        return one.k < SECCOMP_DATA_SIZE and not one.k & 3
    return one.code in _PLAIN or one.code & ~BPF_X in _WITH_OPERAND


class _CallRun(Run):
    """One call goes through the filters. `words` are those of struct seccomp_data."""

    def __init__(self, words: Sequence[int]) -> None:
        super().__init__(_PACKET)
        self._words = words
        self.has_asked = False  # for anything but the number and the architecture

    def load(self, at: int, size: int) -> int:  # noqa: ARG002 - always a word
        if at >= _FIRST_ASKED:
            self.has_asked = True
        return self._words[at >> 2]


class Verdict(NamedTuple):
    said: int
    by: Program | None


class Seccomp:
    """What threads may call: the mode, and the filters from the oldest on. It never changes: threads get another."""

    __slots__ = ("_known", "mode", "programs")

    def __init__(self, mode: int, programs: tuple[Program, ...] = ()) -> None:
        self.mode = mode
        self.programs = programs
        self._known: dict[int, Verdict] = {}  # what is said to a number, whatever else the call is

    @property
    def listeners(self) -> "list[SeccompListener]":
        """Of filters whose descriptor is open: one at most."""
        found = (program.listener for program in self.programs)
        return [listener for listener in found if listener is not None and not listener.is_closed]

    def verdict(self, words: Sequence[int]) -> Verdict:
        """The strongest of what the filters say; of equals, the newest one's."""
        known = self._known.get(words[0])
        if known is not None:
            return known
        strongest, sayer, has_asked = SECCOMP_RET.ALLOW, None, False
        for program in reversed(self.programs):
            run = _CallRun(words)
            try:
                said = run.result(program.code)
            except Over:
                said = SECCOMP_RET.KILL_THREAD
            has_asked |= run.has_asked
            if _strength(said) < _strength(strongest):
                strongest, sayer = said, program
        if not has_asked:
            self._known[words[0]] = Verdict(strongest, sayer)
        return Verdict(strongest, sayer)


def _strength(said: int) -> int:
    return signed(said & SECCOMP_RET_ACTION_FULL)


# -- setting it up ------------------------------------------------------------------------------------------


def begin_strict(task: "Task") -> None:
    """EINVAL for who has filters."""
    if task.seccomp is not None and task.seccomp.mode != SECCOMP_MODE.STRICT:
        raise LinuxError(Errno.EINVAL)
    lending.forget()
    task.seccomp = Seccomp(SECCOMP_MODE.STRICT)


def add_filter(task: "Task", program: Program, *, for_all: bool = False) -> int:
    """One more filter, for all threads of the process if wanted. The number of a thread that cannot take it, or 0.

    EINVAL, ENOMEM; EBUSY for a second listener.
    """
    old = task.seccomp
    if old is not None and old.mode != SECCOMP_MODE.FILTER:
        raise LinuxError(Errno.EINVAL)
    programs = (*(old.programs if old is not None else ()), program)
    if sum(len(one.code) + _PENALTY for one in programs) - _PENALTY > _MOST_INSTRUCTIONS:
        raise LinuxError(Errno.ENOMEM)
    if program.listener is not None and old is not None and old.listeners:
        raise LinuxError(Errno.EBUSY)
    others = [one for one in task.process.tasks.values() if one is not task] if for_all else []
    for other in others:
        if other.seccomp is not None and not _is_ancestor(other.seccomp, programs):
            return other.tid
    lending.forget()
    task.seccomp = Seccomp(SECCOMP_MODE.FILTER, programs)
    for other in others:
        other.seccomp = task.seccomp
        if other.control.is_in_guest:
            other.signals.interrupt()  # not every call of who is not watched comes to us
        if task.credentials.no_new_privileges:
            other.credentials.no_new_privileges = True
    return 0


def _is_ancestor(one: Seccomp, programs: tuple[Program, ...]) -> bool:
    """Whether somebody's filters are the first ones of these."""
    return one.mode == SECCOMP_MODE.FILTER and one.programs == programs[: len(one.programs)]


# -- asking it ----------------------------------------------------------------------------------------------


class Screened(NamedTuple):
    """What becomes of a call. If it is not made, its result, or None for registers that stay as they are."""

    is_made: bool
    result: int | None = None
    message: int | None = None  # for a tracer, whom to ask first: the call is made if he lets it be
    question: "tuple[SeccompListener, bytes] | None" = None  # who answers the call, and what it is


_MADE: Final = Screened(is_made=True)
_SKIPPED: Final = Screened(is_made=False)


def screen(task: "Task", call: Sequence[int], address: int) -> Screened:
    """What the filters of a thread say to its call: number and six words; `address` is that behind the instruction.

    What is to be done besides is done: the thread gets SIGSYS, or ends.
    """
    seccomp = task.seccomp
    if seccomp is None or _is_suspended(task):
        return _MADE
    number = call[0] & _WORD
    if seccomp.mode == SECCOMP_MODE.STRICT:
        return _MADE if task.architecture.syscall_names.get(number) in _STRICT else _end(task, SIG.KILL)
    architecture = _ARCHITECTURES[task.architecture.name]
    wide = (address, *call[1:7])
    words = (number, architecture, *(half for word in wide for half in (word & _WORD, word >> 32 & _WORD)))
    said, sayer = seccomp.verdict(words)
    action, data = said & SECCOMP_RET_ACTION_FULL, said & SECCOMP_RET_DATA
    if action in (SECCOMP_RET.ALLOW, SECCOMP_RET.LOG):
        return _MADE
    if action == SECCOMP_RET.ERRNO:
        return Screened(is_made=False, result=-min(data, _MAX_ERRNO))
    if action not in _WITHOUT_SIGNAL:
        info = SigInfoSyscall(SIG.SYS, data, SYS.SECCOMP, address, signed(number), architecture)
        return _punish(task, action, info)
    if action == SECCOMP_RET.TRACE:
        return Screened(is_made=False, result=-Errno.ENOSYS, message=data)
    listener = sayer.listener if sayer is not None else None
    if listener is None or listener.is_closed:
        return Screened(is_made=False, result=-Errno.ENOSYS)
    question = listener, _DATA.pack(number, architecture, *(word & WORD_MASK for word in wide))
    return Screened(is_made=False, question=question)


def _is_suspended(task: "Task") -> bool:
    """Whether a tracer wants it to be as if there were none (PTRACE_O_SUSPEND_SECCOMP)."""
    return task.tracing is not None and PTRACE_O.SUSPEND_SECCOMP in task.tracing.options


def _punish(task: "Task", action: int, info: SigInfoSyscall) -> Screened:
    """SIGSYS, or the end: of the last thread, and of the process, by a signal that dumps a core where there may be one."""
    if action == SECCOMP_RET.KILL_THREAD and len(task.process.tasks) > 1:
        return _end(task, SIG.SYS)
    if action != SECCOMP_RET.TRAP:
        if not task.process.may_dump_core:
            end_process(task.process, SIG.SYS)
            return _SKIPPED
        task.signals.shared.dispositions[SIG.SYS] = DEFAULT
        task.signals.mask &= ~signal_bit(SIG.SYS)
    force(task, info)
    return _SKIPPED


def _end(task: "Task", signal: int) -> Screened:
    """The thread ends, and with the last one the process."""
    end_thread(task, signal)
    return _SKIPPED
