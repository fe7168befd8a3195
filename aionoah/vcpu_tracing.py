"""The stops of a thread that is traced, on the thread itself: before and after its calls, and before its signals
(Linux kernel/entry/common.c, kernel/signal.c: get_signal, ptrace_signal).

Between two stays in the guest a traced thread always comes to `next_delivery`, which makes all stops but the one
before a call; what the tracer has changed meanwhile goes to the virtual CPU right after each.
"""
# ruff: noqa: SLF001 - a part of VcpuThread

import contextlib
from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.ptrace import EVENTMSG, PTRACE, PTRACE_EVENT, PTRACE_O
from aionoah.abi.siginfo import TRAP
from aionoah.abi.signal import SIG, signal_bit
from aionoah.abi.words import WORD_MASK, signed
from aionoah.abi.x86_64 import EFLAGS
from aionoah.process.debug_registers import DebugRegisters
from aionoah.process.ending import end_process
from aionoah.process.tracees import NO_CALL, Stop, TracedState, Tracing
from aionoah.process.tracing_stops import group_stop, is_killed, stay, system_call_code, trap
from aionoah.signals.actions import Effect
from aionoah.signals.delivery import Delivery, delivery_of, next_signal, take_deliverable
from aionoah.signals.generate import force, send_to_task
from aionoah.signals.info import SigInfo, from_fault, from_kernel, from_user

if TYPE_CHECKING:
    from aionoah.vcpu_thread import ThreadState, VcpuThread

_AT_CALLS: Final = {PTRACE.SYSCALL, PTRACE.SYSEMU, PTRACE.SYSEMU_SINGLESTEP}
_EMULATING: Final = {PTRACE.SYSEMU, PTRACE.SYSEMU_SINGLESTEP}
_STEPPING: Final = {PTRACE.SINGLESTEP, PTRACE.SYSEMU_SINGLESTEP}
_RESTARTS: Final = {
    int(errno)
    for errno in (Errno.ERESTARTSYS, Errno.ERESTARTNOINTR, Errno.ERESTARTNOHAND, Errno.ERESTART_RESTARTBLOCK)
}


class VcpuTracing:
    """Of one thread; all under the kernel lock."""

    def __init__(self, thread: "VcpuThread") -> None:
        self._thread = thread
        self._architecture = architecture = thread._table.architecture
        self._number_register = architecture.syscall_registers[0]
        self._result_register = architecture.result_register
        self._shares_register = self._number_register == self._result_register  # x86_64's rax
        self._has_called = False  # since it was in the guest
        self._has_handler = False  # has just been sent to one
        self._is_armed = False  # steps by a flag that is ours, not the program's
        self._first_argument = 0  # of the call, where the result takes its register
        self._seen: ThreadState | None = None  # what the latest stop began with
        self._in_call: Tracing | None = None  # who may have changed registers in the middle of it

    # -- at calls --------------------------------------------------------------------------------------------

    def enters_call(self) -> bool:
        """The program makes a call; False if none is to be made."""
        thread = self._thread
        tracing = thread._task.tracing
        if tracing is None:
            return True
        self._disarm()
        thread._needs_attention = self._has_called = True
        self._in_call = tracing
        registers = thread._registers
        tracing.number = signed(registers[self._number_register])
        self._first_argument = registers[self._result_register]
        tracing.view = self._view_in_call
        is_made = tracing.request not in _AT_CALLS or self._stop_before_call(tracing)
        return is_made and not thread._is_exiting and not is_killed(thread._task)

    def _stop_before_call(self, tracing: Tracing) -> bool:
        """The tracer may change the call, and take it away. False for that."""
        task = tracing.task
        is_emulated = tracing.request in _EMULATING
        tracing.state = self._view_in_call()
        state = self._park(tracing, trap(task, system_call_code(tracing), EVENTMSG.ENTRY))
        self._send_what_was_given(tracing)
        tracing.number = state.number
        self._put(state)
        return not is_emulated and self._call_is(state.number)

    def _call_is(self, number: int) -> bool:
        """What call is to be made; False for none, when all registers stay as they are."""
        if number == NO_CALL:
            return False
        self._thread._registers[self._number_register] = (
            number & 0xFFFF_FFFF if self._shares_register else number
        )
        return True

    def stop_for_filter(self, message: int) -> bool | None:
        """A filter of calls asks the tracer (PTRACE_EVENT_SECCOMP): whether the call is made, None if he does not
        want to be asked.
        """
        tracing = self._thread._task.tracing
        if tracing is None or PTRACE_O.TRACESECCOMP not in tracing.options:
            return None
        tracing.state = self._view_in_call()
        state = self._park(tracing, trap(tracing.task, SIG.TRAP | PTRACE_EVENT.SECCOMP << 8, message))
        tracing.number = state.number
        self._put(state)
        return self._call_is(state.number)

    def _end(self, tracing: Tracing, wait_status: int) -> None:
        """The thread is to end, and its tracer to see it before (PTRACE_EVENT_EXIT)."""
        task = tracing.task
        task.signals.pending.discard(signal_bit(SIG.KILL))  # has brought it here, and would end the stop
        tracing.shows_end = True
        if PTRACE_O.TRACEEXIT in tracing.options:
            is_in_call = self._has_called and self._is_ending_call(tracing)
            tracing.state = self._view_in_call() if is_in_call else self.view()
            self._park(tracing, trap(task, SIG.TRAP | PTRACE_EVENT.EXIT << 8, wait_status))
        if is_killed(task):
            end_process(task.process, SIG.KILL)
        task.exit(wait_status)

    def _is_ending_call(self, tracing: Tracing) -> bool:
        return self._architecture.syscall_names.get(tracing.number) in ("exit", "exit_group")

    def _report_exit_of_call(self, tracing: Tracing) -> None:
        """A call has its result, or is to be made again."""
        task = tracing.task
        if tracing.request == PTRACE.SYSCALL:
            self._stop(tracing, trap(task, system_call_code(tracing), EVENTMSG.EXIT))
            self._send_what_was_given(tracing)
        elif tracing.request == PTRACE.SINGLESTEP:
            address = self._thread._registers[self._architecture.program_counter]
            force(task, from_fault(SIG.TRAP, TRAP.BRKPT, address))

    @staticmethod
    def _send_what_was_given(tracing: Tracing) -> None:
        """A stop that is not before a signal takes one too (ptrace_report_syscall)."""
        if tracing.signal:
            send_to_task(tracing.task, from_kernel(tracing.signal))

    # -- before the guest goes on ------------------------------------------------------------------------------

    def next_delivery(self) -> Delivery | None:
        """Make all stops that are due, and give the next signal that the tracer lets through."""
        thread = self._thread
        self._disarm()
        self._end_call()
        while not thread._is_exiting:
            tracing = thread._task.tracing
            if tracing is None:
                self._has_called = self._has_handler = False
                if not thread._task.process.stop.signal:
                    return next_signal(thread._task)
                thread._stay_stopped()
            elif tracing.ends_with is not None:
                self._end(tracing, tracing.ends_with)
            elif not self._make_stop(tracing):
                info = take_deliverable(thread._task)
                if info is None:
                    return None
                delivery = self._delivery(tracing, info)
                if delivery is not None:
                    return delivery
        return None

    def leave(self) -> None:
        """The guest is entered next."""
        tracing = self._thread._task.tracing
        if tracing is None:
            return
        tracing.number, tracing.view = NO_CALL, None
        registers, flags = self._thread._registers, self._architecture.flags_register
        is_watching = tracing.debug is not None and tracing.debug.is_active
        if (tracing.request in _STEPPING or is_watching) and not registers[flags] & EFLAGS.TF:
            registers[flags] |= EFLAGS.TF
            self._is_armed = True
        if tracing.debug is not None:
            tracing.debug.look(tracing.task.memory.read)

    def ends_step(self) -> bool:
        """The program has made one: whether it does not hear of it itself, as it was for the debug registers only."""
        tracing = self._thread._task.tracing
        if tracing is None or not self._is_armed:
            return False
        is_step = tracing.request in _STEPPING
        if tracing.debug is None:
            tracing.debug = DebugRegisters()
        task, place = tracing.task, self._thread._registers[self._architecture.program_counter]
        has_hit = tracing.debug.has_hit(place, task.memory.read, is_step=is_step)
        if has_hit and not is_step:
            force(task, from_fault(SIG.TRAP, TRAP.HWBKPT, place))
        return not is_step

    def _disarm(self) -> None:
        if self._is_armed:
            self._thread._registers[self._architecture.flags_register] &= ~EFLAGS.TF & WORD_MASK
            self._is_armed = False

    def _end_call(self) -> None:
        """What was changed at a stop in the middle of a call counts, but for the result."""
        tracing, self._in_call = self._in_call, None
        if tracing is None or tracing.state is None:
            return
        state, tracing.state = tracing.state, None
        if tracing.exec_from == 0 and self._thread._vcpu is not None:
            state.registers[self._result_register] = self._thread._registers[self._result_register]
            self._put(state)

    def _make_stop(self, tracing: Tracing) -> bool:
        """Make one that is due besides those for signals; False if there is none."""
        task = tracing.task
        if tracing.exec_from:
            self._report_program(tracing)
        elif self._has_called:
            self._has_called = False
            self._report_exit_of_call(tracing)
        elif self._has_handler:
            self._has_handler = False
            if tracing.request in _STEPPING:
                self._stop(tracing, trap(task, SIG.TRAP))
        elif tracing.is_wanted:
            tracing.must_stop = tracing.has_news = False
            stop = group_stop(task, tracing)
            if stop is not None:
                self._stop(tracing, stop)
        else:
            return False
        return True

    def _report_program(self, tracing: Tracing) -> None:
        """A program has been executed; who did not ask for the event gets a mere signal."""
        former, tracing.exec_from = tracing.exec_from, 0
        if PTRACE_O.TRACEEXEC in tracing.options:
            self._stop(tracing, trap(tracing.task, SIG.TRAP | PTRACE_EVENT.EXEC << 8, former))
        elif not tracing.is_seized:
            send_to_task(tracing.task, from_user(SIG.TRAP, tracing.pid, tracing.task.credentials.uid))

    def _delivery(self, tracing: Tracing, info: SigInfo) -> Delivery | None:
        task = tracing.task
        passed = info if info.si_signo == SIG.KILL else self._show_signal(tracing, info)
        delivery = delivery_of(task, passed) if passed is not None else None
        if delivery is None or (delivery.effect is Effect.STOP and tracing.has_continued):
            return None
        self._has_handler = delivery.effect is Effect.HANDLE
        return delivery

    def _show_signal(self, tracing: Tracing, info: SigInfo) -> SigInfo | None:
        """Stop before a signal: the tracer lets it through, changes it, or takes it away (None)."""
        task, stop = tracing.task, Stop(info.si_signo, info)
        tracing.has_continued = False
        self._stop(tracing, stop)
        signal = tracing.signal
        if not signal or stop.info is None:
            return None
        if signal != stop.info.si_signo:
            stop.info = from_user(signal, tracing.tracer.tid, tracing.tracer.credentials.uid)
        if task.signals.mask & signal_bit(signal) or is_killed(task):
            task.signals.pending.add(stop.info)
            return None
        return stop.info

    # -- stops and registers -------------------------------------------------------------------------------------

    def _stop(self, tracing: Tracing, stop: Stop) -> None:
        """A stop outside of calls, or after one."""
        tracing.state = self.view()
        self._put_at_rest(self._park(tracing, stop))

    def _park(self, tracing: Tracing, stop: Stop) -> TracedState:
        """Be in a stop; returns what the tracer has made of `tracing.state`."""
        state = tracing.state
        assert state is not None  # noqa: S101 - whoever stops has shown it
        self._thread.park(stay(tracing, stop))
        tracing.state = None
        if self._thread._is_exiting:
            tracing.signal = 0
        return state

    def view(self) -> TracedState:
        """Outside of calls: one that is to be made again shows so in its result."""
        thread, number = self._thread, NO_CALL
        tracing, restart = thread._task.tracing, thread._restart
        view = self._seen = thread._state()
        if restart is not None:
            number = signed(view.registers[self._number_register])
            self._first_argument = view.registers[self._result_register]
        elif tracing is not None:
            number = tracing.number
        state = TracedState(list(view.registers), number, view.fpu, view.tls, view.gs_base)
        if restart is not None:
            state.registers[self._result_register] = -restart.errno & WORD_MASK
        return state

    def _view_in_call(self) -> TracedState:
        view = self._seen = self._thread._state()
        tracing = self._thread._task.tracing
        number = tracing.number if tracing is not None else NO_CALL
        state = TracedState(list(view.registers), number, view.fpu, view.tls, view.gs_base)
        if self._shares_register:
            state.registers[self._result_register] = -Errno.ENOSYS & WORD_MASK
        return state

    def _put_at_rest(self, state: TracedState) -> None:
        """Whether a call is made again is for the tracer to decide, by its number and result."""
        thread = self._thread
        error = -signed(state.registers[self._result_register], 64)
        if error in _RESTARTS and state.number != NO_CALL:
            original = state.number & 0xFFFF_FFFF if self._shares_register else self._first_argument
            state.registers[self._result_register] = original
            thread._restart = LinuxError(Errno(error))
        else:
            thread._restart = None
        if thread._task.tracing is not None:
            thread._task.tracing.number = state.number
        self._put(state)

    def _put(self, state: TracedState) -> None:
        """To the virtual CPU. What it refuses stays as it was."""
        thread = self._thread
        vcpu = thread._vcpu
        if vcpu is None:
            return  # the thread is to end
        before = self._seen
        assert before is not None  # noqa: S101 - there is no state without
        thread._set_registers(state.registers)
        with contextlib.suppress(ValueError):
            if state.fpu is not before.fpu:
                vcpu.set_fpu(state.fpu)
        if state.tls != before.tls:
            vcpu.set_tls(state.tls)
        if state.gs_base != before.gs_base:
            vcpu.set_gs_base(state.gs_base)
