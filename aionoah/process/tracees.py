"""Threads that are traced, and what their tracers' requests do to them (ptrace(2); Linux kernel/ptrace.c).

    runs ──tracing_stops.stay──▶ is in a stop ──resume, detach, SIGKILL──▶ runs

A stop happens on the tracee's own thread. Meanwhile its tracer, which is one thread too, reads and changes `state`,
and the virtual CPU gets that when the tracee goes on.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.ptrace import PTRACE, PTRACE_EVENT, PTRACE_O
from aionoah.abi.sched import CLONE
from aionoah.abi.signal import SIG
from aionoah.fs import lending
from aionoah.host.waiting import WaitQueue
from aionoah.process.debug_registers import DebugRegisters
from aionoah.process.family import tell_of_end, tell_tracer_of_end
from aionoah.process.tracing import require_tracing
from aionoah.signals.actions import LAST_SIGNAL
from aionoah.signals.generate import send_to_process, send_to_task
from aionoah.signals.info import SigInfo, from_kernel, from_user

if TYPE_CHECKING:
    from aionoah.process.task import Process, Task

NO_CALL: Final = -1


class TracedState:
    """What a tracer sees of a thread's CPU. `registers` are in the order of Architecture.register_names, with the
    result of a call as the kernel shows it; `number` is the present call's, NO_CALL outside of one.
    """

    __slots__ = ("fpu", "gs_base", "number", "registers", "tls")

    def __init__(self, registers: list[int], number: int, fpu: bytes, tls: int, gs_base: int) -> None:
        self.registers = registers
        self.number = number
        self.fpu = fpu
        self.tls = tls
        self.gs_base = gs_base


class Stop:
    """One stop. `status` is a signal, and in the bits above an event; without `info` there is a group-stop."""

    __slots__ = ("info", "is_group", "is_listening", "is_reported", "message", "status")

    def __init__(
        self, status: int, info: SigInfo | None, message: int = 0, *, is_group: bool = False
    ) -> None:
        self.status = status
        self.info = info
        self.message = message  # for GETEVENTMSG
        self.is_group = is_group  # or a trap in its place: it is not in the program's own course
        self.is_reported = False  # somebody has waited for it
        self.is_listening = False  # PTRACE_LISTEN: as if it were an ordinary stop


class Tracing:
    """One thread being traced: from its side `task.tracing`, from the other `tracer.tracees`."""

    __slots__ = (
        *(
            "debug",
            "end",
            "ends_with",
            "exec_from",
            "has_continued",
            "has_news",
            "is_seized",
            "must_stop",
            "number",
            "options",
            "pid",
        ),
        *("request", "resumed", "shows_end", "signal", "state", "stop", "task", "tracer", "view"),
    )

    def __init__(self, task: "Task", tracer: "Task", options: PTRACE_O, *, is_seized: bool) -> None:
        self.task = task
        self.pid = task.tid  # its number as wait knows it
        self.tracer = tracer
        self.options = options
        self.is_seized = is_seized
        self.request: int = PTRACE.CONT  # how it goes on
        self.signal = 0  # what the tracer has given with that
        self.stop: Stop | None = None
        self.must_stop = False  # as soon as it can: for a group-stop, or PTRACE_INTERRUPT
        self.has_news = False  # of the group's being stopped or not, for one that has been seized
        self.has_continued = False  # since it took the present signal, which stops nobody any more
        self.exec_from = 0  # it has another program, and had this number before
        self.number = NO_CALL  # the system call that it is in
        self.state: TracedState | None = None  # during a stop, and until the CPU has got it
        self.view: Callable[[], TracedState] | None = None  # the state in the middle of a call
        self.ends_with: int | None = None  # the wait status of an end that is put off: ending.py
        self.shows_end = False  # the stop of that has begun
        self.debug: DebugRegisters | None = None  # once there is anything in them
        self.end: int | None = None  # the wait status, once it has ended and its tracer is to hear of it
        self.resumed = WaitQueue()

    @property
    def subject(self) -> "Process | Tracing":
        """What a wait can mean: the process, or another thread than its main one."""
        return self.task.process if self.pid == self.task.process.pid else self

    @property
    def process_group(self) -> int:
        return self.task.process.process_group

    @property
    def is_wanted(self) -> bool:
        """Whether it is to stop as soon as it can."""
        return self.must_stop or self.has_news

    @property
    def is_reparented(self) -> bool:
        """Whether somebody else than its parent traces it."""
        return self.tracer.process is not self.task.process.parent

    def require_stop(self) -> Stop:
        """ESRCH unless it is in a stop in which it can be asked."""
        if self.stop is None or self.stop.is_listening:
            raise LinuxError(Errno.ESRCH)
        return self.stop

    def leave_stop(self) -> None:
        """Let it go on, or stop anew."""
        self.stop = None
        self.resumed.wake()

    def notice(self) -> None:
        """It is wanted: have it leave its program, or be in a stop anew."""
        if self.stop is None:
            self.task.signals.interrupt()
        elif self.stop.is_listening:
            self.leave_stop()

    def group_changed(self, *, is_stopping: bool) -> None:
        """The process is to stop, or SIGCONT has been generated for it (ptrace_trap_notify)."""
        self.has_continued = not is_stopping
        if is_stopping or self.is_seized:
            self.must_stop |= is_stopping
            self.has_news |= self.is_seized
            self.notice()

    def inherit(self, child: "Task", flags: CLONE, exit_signal: int) -> None:
        """The thread has made a child: with CLONE_PTRACE, or where the event is asked for, it is traced too."""
        is_reported = self.options & 1 << clone_event(flags, exit_signal) and CLONE.UNTRACED not in flags
        if CLONE.PTRACE not in flags and not is_reported:
            return
        new = Tracing(child, self.tracer, self.options, is_seized=self.is_seized)
        new.number = self.number
        _link(new)
        if new.is_seized:
            new.must_stop = True
        else:
            child.signals.pending.add(from_user(SIG.STOP, 0, 0))

    def unlink(self) -> None:
        """Nobody traces it any more."""
        task = self.task
        if task.tracing is self:
            task.tracing, task.signals.is_traced = None, False
        if task.process.tracing is self:
            task.process.tracing = None
        if self.tracer.tracees is not None:
            self.tracer.tracees.pop(self.pid, None)

    def forget_end(self) -> None:
        """The tracer has heard of the end, or never will: now it is the parent's turn."""
        process = self.task.process
        self.unlink()
        if self.pid != process.pid:
            process.kernel.free_pid(self.pid)
            process.held_threads -= 1
        if process.wait_status is not None:
            tell_of_end(process)


# -- beginning --------------------------------------------------------------------------------------------


def trace_me(task: "Task") -> None:
    """Let the parent trace. EPERM if somebody does already, or if there is nobody."""
    parent = task.process.parent
    tracer = task.process.parent_task
    if tracer is None and parent is not None:
        tracer = next(iter(parent.tasks.values()), None)
    if task.tracing is not None or tracer is None or tracer.has_exited:
        raise LinuxError(Errno.EPERM)
    _link(Tracing(task, tracer, PTRACE_O(0), is_seized=False))


def attach(tracer: "Task", target: "Task", options: PTRACE_O, *, is_seized: bool) -> None:
    """EPERM for a thread of the tracer's own process, who is traced already, and whom he may not look into."""
    if target.process is tracer.process or target.process.is_init:
        raise LinuxError(Errno.EPERM)
    require_tracing(tracer, target)
    if target.tracing is not None or target.has_exited:
        raise LinuxError(Errno.EPERM)
    tracing = Tracing(target, tracer, options, is_seized=is_seized)
    _link(tracing)
    if not is_seized:
        send_to_task(target, from_kernel(SIG.STOP))
    if target.process.stop.signal:  # an ordinary stop becomes one for the tracer
        tracing.must_stop = True
        target.process.stop.resumed.wake()
        target.signals.interrupt()


def clone_event(flags: CLONE, exit_signal: int) -> int:
    """What a clone is for a tracer."""
    if CLONE.VFORK in flags:
        return PTRACE_EVENT.VFORK
    return PTRACE_EVENT.FORK if exit_signal == SIG.CHLD else PTRACE_EVENT.CLONE


def _link(tracing: Tracing) -> None:
    task, tracer = tracing.task, tracing.tracer
    lending.forget()
    task.tracing, task.signals.is_traced = tracing, True
    if tracer.tracees is None:
        tracer.tracees = {}
    tracer.tracees[tracing.pid] = tracing


# -- going on ---------------------------------------------------------------------------------------------


def require_signal(signal: int) -> None:
    """EIO for what is none; 0 is none to be given."""
    if not 0 <= signal <= LAST_SIGNAL:
        raise LinuxError(Errno.EIO)


def resume(tracing: Tracing, request: int, signal: int) -> None:
    """Let a thread go on out of its stop, with a signal perhaps. EIO."""
    require_signal(signal)
    tracing.request, tracing.signal = request, signal
    tracing.leave_stop()


def detach(tracing: Tracing, signal: int) -> None:
    """The same for good. EIO."""
    require_signal(signal)
    tracing.unlink()
    tracing.signal = signal
    tracing.leave_stop()
    if tracing.task.process.stop.signal:  # it takes part in it again
        tracing.task.signals.interrupt()


def interrupt(tracing: Tracing) -> None:
    """PTRACE_INTERRUPT: have it stop. EIO unless it has been seized."""
    if not tracing.is_seized:
        raise LinuxError(Errno.EIO)
    tracing.must_stop = True
    tracing.notice()


def listen(tracing: Tracing) -> None:
    """PTRACE_LISTEN: stay in a group-stop without being in one for the tracer. EIO."""
    stop = tracing.require_stop()
    if not tracing.is_seized or stop.status >> 8 != PTRACE_EVENT.STOP:
        raise LinuxError(Errno.EIO)
    stop.is_listening = True
    if tracing.has_news:
        tracing.leave_stop()


# -- ends -------------------------------------------------------------------------------------------------


def tracee_ended(task: "Task", tracing: Tracing, wait_status: int) -> None:
    """A thread that is traced has ended; its process may live on. Its tracer hears of it first, and the parent
    after him; who is both hears it as a parent.
    """
    process = task.process
    if not task.is_leader:
        tracing.end = wait_status if process.exit_status is None else process.exit_status
        process.held_threads += 1
        if tracing.tracer.process.is_init:
            tracing.forget_end()  # which waits for all that it gets
        else:
            tell_tracer_of_end(tracing, tracing.end)
    elif tracing.is_reparented:
        process.tracing = tracing
    else:
        tracing.unlink()


def tracer_ended(tracer: "Task") -> None:
    """Its tracees go on, with the signal that nobody has heard of; or they die, if that was asked for."""
    for tracing in list((tracer.tracees or {}).values()):
        if tracing.end is not None:
            tracing.forget_end()
            continue
        stop = tracing.stop
        is_lost = stop is not None and not stop.is_reported and stop.status <= LAST_SIGNAL
        detach(tracing, stop.status if stop is not None and is_lost else 0)
        if tracing.ends_with is not None:
            tracing.task.exit(tracing.ends_with)
        if PTRACE_O.EXITKILL in tracing.options:
            send_to_process(tracing.task.process, from_kernel(SIG.KILL))


def number_changed(task: "Task", old_tid: int) -> None:
    """A thread has executed a program and is now the main one, whose tracer need not hear of its end."""
    held = task.process.tracing
    if held is not None:
        held.unlink()
        held.tracer.process.child_changed.wake()
    tracing = task.tracing
    if tracing is not None and tracing.tracer.tracees is not None:
        del tracing.tracer.tracees[old_tid]
        tracing.pid = task.tid
        tracing.tracer.tracees[task.tid] = tracing
