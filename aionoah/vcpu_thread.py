"""The guest thread's half of a system call's life: one OS thread that runs one virtual CPU.

    enter the guest → it leaves → answer under the kernel lock → attend to what came up → enter the guest

`answer` is one method for each kind of exit. What may come up at any time, from any thread, is only noted
(`_needs_attention`) and dealt with at one place, right before the guest is entered: a signal, the start of
a new program, the end of the thread.
"""

import logging
import threading
from array import array
from collections.abc import Callable, Coroutine, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.signal import SIG
from aionoah.host.turnstile import Place
from aionoah.host.waiting import Waiter, kernel_lock, kernel_lock_in_turn
from aionoah.hypervisor.protocols import NO_CALL, CpuState, ExceptionKind, ExitKind, Vcpu
from aionoah.process.control import PresentCall
from aionoah.process.current import set_current
from aionoah.process.ending import end_process
from aionoah.process.rseq import update
from aionoah.process.stopping import stay_stopped
from aionoah.reactor import SleepingCall
from aionoah.signals.actions import Effect
from aionoah.signals.delivery import Delivery, next_signal
from aionoah.signals.frames import BadFrame, FaultDetails
from aionoah.signals.generate import force
from aionoah.signals.info import from_kernel
from aionoah.syscalls.dispatch import error_result
from aionoah.syscalls.results import Outcome, Restart, Suspended, after_signal, wants_restart
from aionoah.vcpu_faults import VcpuFaults
from aionoah.vcpu_handlers import VcpuHandlers
from aionoah.vcpu_mailbox import CallEnd, VcpuMailbox
from aionoah.vcpu_times import VcpuTimes
from aionoah.vcpu_turns import Turns

if TYPE_CHECKING:
    from aionoah.process.exec import Loaded
    from aionoah.process.task import Task
    from aionoah.vcpu_threads import VcpuThreads
    from aionoah.vcpu_tracing import VcpuTracing

_log: Final = logging.getLogger("aionoah")


class ThreadState(NamedTuple):
    """The CPU side of a thread that is yet to run: what clone copies."""

    registers: list[int]
    fpu: bytes
    tls: int
    gs_base: int  # x86_64 only


class VcpuThread:
    """Runs one task from its start to its end; implements process.control.TaskControl."""

    def __init__(self, threads: "VcpuThreads", begin: "Callable[[VcpuThread], Task | None]") -> None:
        """`begin` is called first, on the thread and under the kernel lock; without a task the thread ends."""
        self._threads = threads
        self._machine = threads.machine
        self._reactor = threads.reactor
        self._table = threads.table
        self._begin = begin
        architecture = self._table.architecture
        self._syscall_words = itemgetter(*architecture.syscall_registers)
        self._result_register = architecture.result_register
        self._yield_call = NO_CALL if self._table.is_traced else architecture.syscall_numbers["sched_yield"]
        self._handlers = VcpuHandlers(self._machine, architecture)
        self._is_aarch64 = architecture.name == "aarch64"
        self._faults = VcpuFaults(self._machine, architecture)
        self._times = VcpuTimes()
        self._tracing: VcpuTracing | None = None  # once it is traced
        self._vcpu: Vcpu | None = None
        self._program: Loaded | None = None
        self._sleeping: SleepingCall | None = None
        self._restart: LinuxError | None = None
        self._turns: Turns | None = None  # for a thread with restartable sequences
        self._has_turn = False  # nothing has happened since it was found that the guest may be entered
        self._needs_attention = False
        self._is_exiting = False
        self._mailbox: VcpuMailbox | None = None  # of its present virtual CPU, once it has been busy
        self._place = Place()  # in the queue for the kernel lock
        self.is_in_guest = False
        self._is_moving = False  # the number of its CPU may be another one now
        self._thread: threading.Thread | None = None  # once it runs

    @property
    def task(self) -> "Task":
        return self._task

    @property
    def needs_attention(self) -> bool:
        """The guest may not go on before something else has been done."""
        return self._needs_attention

    # -- from other threads and from system calls, under the kernel lock ---------------------------------

    def interrupt(self) -> None:
        """Something came up: attend to it before the guest goes on."""
        self._needs_attention = True
        if self._sleeping is not None:
            self._sleeping.interrupt()
        elif self._thread is threading.current_thread() or self._is_being_served():
            return  # it attends before it goes on
        else:
            self._kick()
        if self._task.signals.is_dying:
            kernel_lock.hurry(self._place)

    def _is_being_served(self) -> bool:
        return self._mailbox is not None and self._mailbox.is_answering

    def exit_thread(self) -> None:
        self._needs_attention = self._is_exiting = True
        if self._sleeping is not None:
            self._sleeping.abandon()
        else:
            self._kick()
        kernel_lock.hurry(self._place)

    def _kick(self) -> None:
        """Make the guest leave, if it may be running: not on its own thread, and not before it has begun."""
        if self._vcpu is None:
            self._threads.vcpu_is_free(self._task.memory.space).notify_all()  # it may be waiting for one
        elif self._turns is not None and self._turns.is_waiting:
            self._turns.look_again()
        elif self._thread is not threading.current_thread():
            self._vcpu.kick()

    def leave_cpu(self) -> None:
        self._has_turn = False
        if self._turns is not None:
            self._turns.must_end = True
        else:
            self._is_moving = self._needs_attention = True
        self._kick()

    def clone(self, child: "Task", stack_pointer: int, tls: int | None) -> None:
        architecture, state = self._table.architecture, self._state()
        state.registers[architecture.result_register] = 0
        if stack_pointer:
            state.registers[architecture.stack_pointer] = stack_pointer
        self._threads.clone(child, state if tls is None else state._replace(tls=tls))

    def start_program(self, program: "Loaded") -> None:
        """The task has its new memory; the old one may not be closed before its virtual CPU is."""
        self._close_vcpu()
        self._open_vcpu()
        self._program = program
        self._needs_attention = True

    def get_tls(self) -> int:
        return self._running_vcpu.get_tls()

    def set_tls(self, value: int) -> None:
        self._running_vcpu.set_tls(value)

    def get_gs_base(self) -> int:
        return self._running_vcpu.get_gs_base()

    def set_gs_base(self, value: int) -> None:
        self._running_vcpu.set_gs_base(value)

    @property
    def _running_vcpu(self) -> Vcpu:
        assert self._vcpu is not None  # noqa: S101 - a task without one makes no calls
        return self._vcpu

    def cpu_time_ns(self) -> int:
        return self._times.total_ns()

    def user_time_ns(self) -> int:
        return self._times.user_ns(self._vcpu)

    def count_moved(self) -> None:
        if self._mailbox is not None and self._vcpu is not None and self._threads.call_server is not None:
            self._threads.call_server.count_moved(self._vcpu, self._task.counts)

    def present_call(self) -> PresentCall:
        architecture, registers = self._table.architecture, self._registers
        places = registers[architecture.stack_pointer], registers[architecture.program_counter]
        words = self._sleeping.arguments if self._sleeping is not None else None
        if words is None:
            return PresentCall(-1, (), *places)
        return PresentCall(registers[architecture.syscall_registers[0]] & 0xFFFF_FFFF, words, *places)

    def stack_pointer(self) -> int:
        return self._registers[self._table.architecture.stack_pointer]

    # -- the life of the thread ----------------------------------------------------------------------------

    def main(self) -> None:
        """All of it, on an OS thread that nobody else uses meanwhile."""
        failure: BaseException | None = None
        self._times.begin()
        with kernel_lock_in_turn():  # to the end: whoever hears of it finds the memory free
            try:
                self._thread = threading.current_thread()
                task = self._begin(self)
                if task is None:
                    return
                self._thread.name = f"vcpu-{task.tid}"
                self._live()
            except BaseException as bug:  # noqa: BLE001 - logged, and given to whoever waits for the process
                _log.critical("thread %d died of an error in aionoah", self._task.tid, exc_info=bug)
                failure = bug
            try:
                self._detach(failure)
            finally:  # or nobody would ever hear of the end
                self._threads.on_exit(self, failure)

    def adopt(self, task: "Task") -> None:
        """Answer for a task: signals and its end come here from now on."""
        self._task = task
        task.signals.interrupt = self.interrupt
        task.signals.stack_pointer = self.stack_pointer
        task.control = self
        self._needs_attention = True  # a signal, or a stop, may have been faster

    def attach(self, task: "Task") -> None:
        """Adopt a task and give it a virtual CPU. On the thread itself."""
        self._task = task
        try:
            self._open_vcpu()
        except BaseException:  # HypervisorError, MemoryError: the task has never lived
            task.process.exit_group(SIG.KILL)
            task.release()
            raise
        self.adopt(task)

    def resume(self, task: "Task", state: ThreadState) -> "Task":
        """Go on in the middle of a program, as clone's child does."""
        self._restore(state)
        return task

    def _restore(self, state: ThreadState) -> None:
        self._open_vcpu()
        if self._vcpu is None:
            return  # the thread is to end
        self._set_registers(state.registers)
        self._vcpu.set_fpu(state.fpu)
        self._vcpu.set_tls(state.tls)
        if not self._is_aarch64:
            self._vcpu.set_gs_base(state.gs_base)

    def _open_vcpu(self) -> None:
        """Take a virtual CPU, once there is one: a machine has only so many for each address space. None is
        taken if the thread is to end.
        """
        space = self._task.memory.space
        while space.open_vcpus >= self._machine.max_vcpus and not self._is_exiting:
            self._threads.vcpu_is_free(space).wait()
        if self._is_exiting:
            self._threads.vcpu_is_free(space).notify()  # the one that it may have been offered
        else:
            self._vcpu = self._machine.new_vcpu(space)
            self._space = space  # which the task may leave before
            self._registers = self._vcpu.registers
            self._tell_cpu_number(self._vcpu)

    def _tell_cpu_number(self, vcpu: Vcpu) -> None:
        self._has_turn = False
        if self._task.rseq is None:
            vcpu.set_cpu_number(self._task.scheduling.cpu_of(self._task.tid))
        else:
            self._task.rseq.is_disturbed = True  # it is told with the turn

    def _close_vcpu(self) -> None:
        if self._vcpu is not None:
            self._times.closes(self._vcpu)
            self.count_moved()
            if self._mailbox is not None and self._threads.call_server is not None:
                self._threads.call_server.dismiss(self)
                self._mailbox = None
            self._vcpu.close()
            self._vcpu = None
            self._threads.vcpu_is_free(self._space).notify()

    def _state(self) -> ThreadState:
        vcpu = self._running_vcpu
        gs_base = 0 if self._is_aarch64 else vcpu.get_gs_base()
        return ThreadState(self._registers.tolist(), vcpu.get_fpu(), vcpu.get_tls(), gs_base)

    def _lend_vcpu(self) -> ThreadState | None:
        """Before a sleep: where virtual CPUs are scarce, others need ours more. The registers stay readable."""
        if self._task.memory.space.open_vcpus * 2 < self._machine.max_vcpus:
            return None
        state = self._state()
        self._registers = memoryview(bytearray(8 * len(state.registers))).cast("Q")
        self._set_registers(state.registers)
        self._close_vcpu()
        return state

    def _detach(self, failure: BaseException | None) -> None:
        if failure is not None:
            self._task.process.exit_group(SIG.KILL)
        self._times.end()
        self._task.exit(0)  # if somebody else has ended it while it was in the guest
        self._give_up_turns()
        self._close_vcpu()
        self._task.release()

    def _live(self) -> None:
        answers = {
            ExitKind.SYSCALL: self._answer_syscall,
            ExitKind.PAGE_FAULT: self._answer_page_fault,
            ExitKind.EXCEPTION: self._answer_exception,
            ExitKind.KICKED: self._answer_kick,
            ExitKind.HOST_FAULT: self._answer_host_fault,
            ExitKind.BROKEN: self._answer_broken,
            ExitKind.BUSY_SYSCALL: self._answer_busy_syscall,
            ExitKind.SERVED_SYSCALL: self._answer_served_syscall,
        }
        while not self._needs_attention or self._attend():
            if not self._has_turn and not self._take_turn():
                continue
            vcpu = self._running_vcpu
            self.is_in_guest = True
            kernel_lock.release()
            try:
                kind = vcpu.run(NO_CALL if self._task.is_watched else self._yield_call)
            finally:
                if kernel_lock.is_starving or not kernel_lock.acquire(
                    False
                ):  # mostly free, and this the quicker way
                    kernel_lock.acquire_in_turn(self._place)
                self.is_in_guest = False
            if not self._is_exiting:  # else the task has gone meanwhile: its last call is never made
                answers[kind]()

    # -- turns on a CPU, for restartable sequences ------------------------------------------------------------

    def _take_turn(self) -> bool:
        """Wait until the guest may be entered: False if something else came up."""
        area = self._task.rseq
        if area is None:
            self._give_up_turns()
            self._has_turn = True
            return True
        if self._turns is None:
            self._turns = Turns(self._task, self.leave_cpu)
        if not self._turns.take(lambda: self._needs_attention):
            return False
        self._has_turn = True
        if self._turns.is_undisturbed(area):
            return True
        self._task.process.left_guest.wake()
        try:
            self._handlers.restart_sequence(self._task, area, self._running_vcpu)
            update(self._task, area)
        except LinuxError:
            force(self._task, from_kernel(SIG.SEGV))
            self._has_turn, self._needs_attention = False, True
            return False
        self._running_vcpu.set_cpu_number(self._task.cpu)
        return True

    def _give_up_turns(self) -> None:
        if self._turns is not None:
            self._turns.close()
            self._turns = None

    # -- answers: one for each kind of exit ------------------------------------------------------------------

    def _answer_syscall(self) -> None:
        if self._task.tracing is not None and not self._traced.enters_call():
            return
        if self._task.seccomp is not None and not self._passes_filters():
            return
        words = self._syscall_words(self._registers)
        set_current(self._task)
        result: CallEnd
        try:
            result = self._table.call(self._task, words[0], words[1:])
        except LinuxError as error:
            result = error.with_traceback(None)  # that holds this frame, and so all that there is
        self._end_call(result)

    def _answer_busy_syscall(self) -> None:
        server = self._threads.call_server
        mailbox = server.admit(self, self._running_vcpu) if server is not None else None
        if mailbox is not None:
            if self._mailbox is not None:
                self._mailbox.close()
            self._mailbox = mailbox
        self._answer_syscall()

    def _answer_served_syscall(self) -> None:
        result = self._mailbox.collect(self._running_vcpu) if self._mailbox is not None else None
        if result is None:
            self._answer_syscall()
        else:
            self._end_call(result)

    def _end_call(self, result: CallEnd) -> None:
        if result.__class__ is Suspended:
            try:
                result = self._sleep(result)
            except LinuxError as error:
                result = error.with_traceback(None)
        if result.__class__ is int:
            self._registers[self._result_register] = result
        elif isinstance(result, LinuxError) and wants_restart(result):
            self._restart = result
            self._needs_attention = True
        elif isinstance(result, BaseException):
            raise result
        elif result is not Outcome.KEEP_REGISTERS:
            raise TypeError(f"a system call ended with {result!r}")
        if self._task.memory.is_exhausted:  # as for a page fault of the guest's own
            self._task.memory.is_exhausted = False
            self._task.process.exit_group(SIG.KILL)

    def _passes_filters(self) -> bool:
        from aionoah.vcpu_filters import passes_filters  # noqa: PLC0415 - few programs have any

        return passes_filters(self, self._syscall_words)

    def _sleep(self, suspended: Suspended) -> int | Outcome:
        """Finish a call that sleeps; the kernel lock is free meanwhile."""
        call = SleepingCall(self._reactor, self._task, self._table, suspended)
        self._sleeping = call
        self._task.counts.voluntary_switches += 1
        if self._is_exiting:
            call.abandon()
        elif self._task.is_interrupted:
            call.interrupt()
        if self._turns is not None:
            self._turns.end()
            self._has_turn = False
        self._running_vcpu.rest()
        state = self._lend_vcpu()
        try:
            return call.finish()
        finally:
            self._sleeping = None
            if state is not None and self._vcpu is None:  # a new program has one of its own
                self._restore(state)
            if self._task.process.timers.parked:
                self._task.process.timers.resume()

    def _answer_page_fault(self) -> None:
        self._faults.page_fault(self._task, self._running_vcpu)

    def _answer_exception(self) -> None:
        vcpu = self._running_vcpu
        is_step = vcpu.exception.kind is ExceptionKind.SINGLE_STEP
        if is_step and self._task.tracing is not None and self._traced.ends_step():
            return
        self._faults.exception(self._task, self._running_vcpu)

    def _answer_kick(self) -> None:
        """Whoever kicked has said why in `_needs_attention`."""
        self._task.counts.involuntary_switches += 1

    def _answer_host_fault(self) -> None:
        self._faults.host_fault(self._task, self._running_vcpu)

    def _answer_broken(self) -> None:
        """The program dies of it, not who waits for the program: its instructions may have done it."""
        _log.warning("the hypervisor failed thread %d: %s", self._task.tid, self._running_vcpu.describe())
        self._task.process.exit_group(SIG.KILL)

    # -- what came up ------------------------------------------------------------------------------------------

    def _attend(self) -> bool:
        """Deal with everything that came up; False if the thread is to end."""
        while self._needs_attention and not self._is_exiting:
            self._needs_attention = False
            if self._program is not None:
                self.enter_program(self._program)
            if self._is_moving:
                self._is_moving = False
                self._tell_cpu_number(self._running_vcpu)
            if self._task.tracing is not None:
                delivery = self._traced.next_delivery()
            elif self._task.process.stop.signal:
                self._stay_stopped()
                continue
            else:
                delivery = next_signal(self._task)
            if delivery is not None:
                self._take(delivery)
            else:
                self._end_interrupted_call(runs_handler=False, is_restarting=False)
                self._task.signals.restore_mask()  # which may let a further signal in
        if self._task.tracing is not None:
            self._traced.leave()
        return not self._is_exiting

    def _take(self, delivery: Delivery) -> None:
        if delivery.effect is Effect.HANDLE:
            self._run_handler(delivery, self._running_vcpu)
            self._needs_attention |= self._task.is_interrupted or self._task.tracing is not None
            return
        self._needs_attention = True  # there may be another
        if delivery.effect is Effect.STOP:
            self._task.process.begin_stop(delivery.signal)
        else:
            self._die(delivery)

    def _die(self, delivery: Delivery) -> None:
        process = self._task.process
        if process.core_dump is None and not (delivery.effect is Effect.CORE and process.may_dump_core):
            end_process(process, delivery.signal)
        else:
            from aionoah.vcpu_dumping import end_with_core  # noqa: PLC0415 - few programs dump

            end_with_core(self, delivery.info)

    def _stay_stopped(self) -> None:
        """Park until the process goes on; a call that was interrupted for it ends after that."""
        self.park(stay_stopped(self._task))

    def park(self, coroutine: Coroutine[Waiter, None, object]) -> None:
        """Sleep outside of calls, for as long as the coroutine does."""
        self._needs_attention = True
        try:
            waiter = coroutine.send(None)
        except StopIteration:
            return
        self._sleep(Suspended(coroutine, waiter))

    @property
    def _traced(self) -> "VcpuTracing":
        if self._tracing is None:
            from aionoah.vcpu_tracing import VcpuTracing  # noqa: PLC0415 - few are traced

            self._tracing = VcpuTracing(self)
        return self._tracing

    def enter_program(self, program: "Loaded") -> None:
        """The first instruction of a new program, in an address space of its own."""
        self._program = None
        self._restart = None
        self._faults.details = FaultDetails()
        architecture = self._table.architecture
        self._registers[architecture.program_counter] = program.entry
        self._registers[architecture.stack_pointer] = program.stack_pointer

    def _run_handler(self, delivery: Delivery, cpu: CpuState) -> None:
        self._end_interrupted_call(runs_handler=True, is_restarting=delivery.restarts)
        self._handlers.run(self._task, cpu, delivery, self._faults.details)

    @property
    def may_run_handlers(self) -> bool:
        """Of all that may have come up there are only signals, with handlers, of which no tracer is to hear first."""
        task = self._task
        if self._program is not None or self._is_exiting or self._is_moving:
            return False
        return task.tracing is None and not task.must_stop and task.signals.is_only_handled

    def run_handlers(self, cpu: CpuState) -> bool:
        """As `_attend` does, for a guest that stays where it is, with these registers. False if there is more to be done."""
        while self._needs_attention and self.may_run_handlers:
            delivery = next_signal(self._task)
            if delivery is not None:
                self._run_handler(delivery, cpu)
            self._needs_attention = self._task.is_interrupted
        return not self._needs_attention

    def leave_handler(self) -> None:
        try:
            self._handlers.leave(self._task, self._running_vcpu)
        except BadFrame as bad:
            if bad.fault is not None:
                self._faults.details = bad.fault
            force(self._task, from_kernel(SIG.SEGV))

    def leaves_handler(self, cpu: CpuState) -> bool:
        """rt_sigreturn with these registers. False for a frame that cannot be, which the thread's own vCPU has to find."""
        try:
            self._handlers.leave(self._task, cpu)
        except BadFrame:
            return False
        return True

    def _set_registers(self, values: Sequence[int]) -> None:
        self._registers[:] = array("Q", values)

    def _end_interrupted_call(self, *, runs_handler: bool, is_restarting: bool) -> None:
        """Give a call that a signal interrupted its result, or have it made again."""
        error, self._restart = self._restart, None
        if error is None:
            return
        architecture = self._table.architecture
        how = after_signal(error, runs_handler=runs_handler, is_restarting=is_restarting)
        if how is Restart.FAIL:
            self._registers[self._result_register] = error_result(LinuxError(Errno.EINTR))
            return
        self._registers[architecture.program_counter] -= len(architecture.syscall_instruction)
        if how is Restart.BLOCK:
            number = architecture.syscall_numbers["restart_syscall"]
            self._registers[architecture.syscall_registers[0]] = number
