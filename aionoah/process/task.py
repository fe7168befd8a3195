"""Tasks and processes: what a system-call handler can reach."""

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.errno import LinuxError
from aionoah.abi.limits import TASK_COMM_LEN
from aionoah.abi.prctl import SUID_DUMP
from aionoah.abi.resource import RLIMIT, STK_LIM
from aionoah.abi.signal import SIG
from aionoah.clocks.process_timers import ProcessTimers
from aionoah.host.waiting import Source, WaitQueue, sleep_on
from aionoah.process.control import NoControl, TaskControl
from aionoah.process.cpu_numbers import NO_CPU, CpuNumbers
from aionoah.process.elevation import has_become_another
from aionoah.process.ending import end_thread
from aionoah.process.family import process_ended, thread_ended
from aionoah.process.limits import Limits
from aionoah.process.robust import exit_futexes, exit_thread_word
from aionoah.process.stopping import StopState, begin_stop, look_for_completion, release, resume
from aionoah.process.usage import Usage, usage_of_process, usage_of_thread, usage_with_children
from aionoah.signals.generate import offer_to_others
from aionoah.signals.state import SharedSignals, TaskSignals

if TYPE_CHECKING:
    from aionoah.abi.architecture import Architecture
    from aionoah.fs.context import FsContext
    from aionoah.fs.path import Dentry
    from aionoah.memory.memory import Memory
    from aionoah.memory.policy import Policy
    from aionoah.process.coredump.dump import CoreDump
    from aionoah.process.credentials import Credentials
    from aionoah.process.descriptors import DescriptorTable
    from aionoah.process.exec import Loaded
    from aionoah.process.ipc.undo import UndoList
    from aionoah.process.kernel import Kernel
    from aionoah.process.rseq import Registration
    from aionoah.process.scheduling import Scheduling
    from aionoah.process.seccomp import Seccomp
    from aionoah.process.tracees import Tracing
    from aionoah.terminal.pty import Pty

DEFAULT_TIMER_SLACK_NS: Final = 50_000
SMALLEST_CORE: Final = 4096  # what RLIMIT_CORE must allow for any core at all (ELF_EXEC_PAGESIZE)
NO_PIPED_CORE: Final = 1  # RLIMIT_CORE of who would only pipe a core to itself
_CORE_FILTER: Final = 0x33  # anonymous memory, ELF headers and huge pages


class Login(NamedTuple):
    """Whom a process works for, whatever user it has become since (/proc/PID/loginuid and sessionid)."""

    uid: int
    session: int


class Process:
    """A thread group: what its threads share and its parent waits for."""

    __slots__ = (
        *("kernel", "pid", "uid", "parent", "children", "child_changed", "tasks", "signals", "limits"),
        *("process_group", "session", "executable", "command_line", "environment", "auxiliary_vector"),
        *("name", "has_executed", "cpus", "exit_signal", "exit_status", "wait_status", "ended"),
        *("timers", "start_ns", "ended_usage", "children_usage", "dumpable", "is_child_subreaper"),
        "is_thp_disabled",
        *("vfork_done", "oom_score_adj", "stop", "cpu_numbers", "left_guest", "parent_task", "exec_count"),
        *("parent_exec_count", "origin", "oom_score_adj_min", "core_filter", "core_dump"),
        *("terminal", "old_foreground", "login", "tracing", "held_threads"),
    )

    name: bytes  # comm of the main thread, at most 15 bytes

    def __init__(
        self,
        kernel: "Kernel",
        pid: int,
        *,
        parent: "Process | None" = None,
        limits: Limits | None = None,
        start_ns: int = 0,
    ) -> None:
        """A process without threads. It joins its parent's process group and session; without a
        parent it leads its own.
        """
        self.kernel = kernel
        self.pid = pid
        self.uid = 0  # real user of the main thread, kept for the siginfo of its end
        self.parent = parent
        self.origin = self  # the process, no fork of another one, that it descends from
        self.parent_task: Task | None = None  # the thread of the parent whose child it is
        self.children: dict[int, Process] = {}  # by pid, zombies among them
        self.child_changed = WaitQueue()  # woken when a child has ended, stopped or continued
        self.tasks: dict[int, Task] = {}
        self.signals = SharedSignals()
        self.limits = limits or Limits()
        self.process_group: int = parent.process_group if parent is not None else pid
        self.session: int = parent.session if parent is not None else pid
        self.terminal: Pty | None = None  # the controlling one
        self.login: Login | None = None  # who has logged in, for whom all its descendants work
        self.old_foreground = 0  # of a leader: the group in the foreground of a terminal that has gone
        self.executable: Dentry | None = None  # init has none
        self.command_line = b""  # as execve got it: each with its NUL (strings.py: what is there now)
        self.environment = b""  # likewise
        self.auxiliary_vector = b""  # as /proc/self/auxv
        self.name = b""
        self.exec_count = 0  # programs that it has become; a parent's is remembered by its children
        self.parent_exec_count = parent.exec_count if parent is not None else 0
        self.has_executed = False  # since it was forked (setpgid of a parent)
        self.cpus = 0  # threads whose virtual CPU may still be in the memory
        self.stop = StopState()
        self.exit_signal: int = SIG.CHLD  # what the parent gets at the end; 0 for nothing
        self.exit_status: int | None = None  # what exit_group has said
        self.wait_status: int | None = None  # as wait4 reports it, once the process has ended
        self.ended = WaitQueue()  # woken when a thread has ended, and when the process has been reaped
        self.tracing: Tracing | None = None  # of a main thread that has ended: its tracer hears of it first
        self.held_threads = 0  # others that have ended, of which their tracers have not heard yet
        self.start_ns = start_ns  # CLOCK_BOOTTIME of the start
        self.ended_usage = Usage()  # of threads that have ended, and of memory that it has left by execve
        self.children_usage = Usage()  # of children that have been waited for, and theirs
        self.cpu_numbers: CpuNumbers | None = None  # made by the first thread that restarts sequences
        self.left_guest = WaitQueue()  # woken when a thread has left it that was made to
        self.vfork_done = WaitQueue()  # woken when the memory borrowed from a vfork's parent is free again
        self.dumpable: int = SUID_DUMP.USER
        self.is_child_subreaper = self.is_thp_disabled = False  # huge pages, of which there are none anyway
        self.oom_score_adj: int = parent.oom_score_adj if parent is not None else 0
        self.oom_score_adj_min: int = parent.oom_score_adj_min if parent is not None else 0
        self.core_filter = _CORE_FILTER
        self.core_dump: CoreDump | None = None  # once it dies with one
        self.timers = ProcessTimers(self)
        self.timers.limit_changed()  # it is inherited
        kernel.processes[pid] = self
        if parent is not None:
            parent.children[pid] = self

    @property
    def is_init(self) -> bool:
        """Whether this is what adopts orphans."""
        return self is self.kernel.init

    @property
    def is_dumpable(self) -> bool:
        """Whether its own user may look into it (PR_SET_DUMPABLE)."""
        return self.dumpable == SUID_DUMP.USER

    @property
    def may_dump_core(self) -> bool:
        """Whether a signal that is for it writes a core file, if there can be one."""
        limit = self.limits.soft(RLIMIT.CORE)
        is_wanted = limit >= SMALLEST_CORE or (self.kernel.core_settings.is_piped and limit != NO_PIPED_CORE)
        return is_wanted and self.dumpable != SUID_DUMP.DISABLE and self.exit_status is None

    def inherit(self, mother: "Process") -> None:
        """What a child by fork has of the process that made it."""
        for name in (
            "executable",
            "command_line",
            "environment",
            "auxiliary_vector",
            "name",
            "dumpable",
            "is_thp_disabled",
            "core_filter",
        ):
            setattr(self, name, getattr(mother, name))
        self.process_group, self.session = mother.process_group, mother.session
        self.origin = mother.origin
        self.terminal = mother.terminal
        self.login = mother.login

    def set_parent(self, parent: "Process") -> None:
        if self.parent is not None:
            del self.parent.children[self.pid]
        self.parent = parent
        self.parent_task = next(iter(parent.tasks.values()), None)
        parent.children[self.pid] = self

    def new_task(
        self,
        tid: int,
        *,
        architecture: "Architecture",
        memory: "Memory",
        files: "DescriptorTable",
        fs: "FsContext",
        credentials: "Credentials",
        signals: TaskSignals | None = None,
        scheduling: "Scheduling",
    ) -> "Task":
        """A further thread, the first one having the process's pid as its tid.

        The task takes over the caller's use of `files` and `memory`.
        """
        task = Task(
            self,
            tid,
            architecture=architecture,
            memory=memory,
            files=files,
            fs=fs,
            credentials=credentials,
            scheduling=scheduling,
            signals=signals,
        )
        self.tasks[tid] = self.kernel.tasks[tid] = task
        self.cpus += 1
        return task

    @property
    def all_cpu_time_ns(self) -> int:
        """CPU time of all threads, past and present."""
        return self.ended_usage.cpu_time_ns + sum(task.control.cpu_time_ns() for task in self.tasks.values())

    @property
    def user_time_ns(self) -> int:
        """The part of it that was spent in the guest."""
        return usage_of_process(self).user_time_ns

    def exit_group(self, wait_status: int) -> None:
        """End every thread and the process. `wait_status` is what wait4 reports; the first one counts."""
        if self.exit_status is None:
            self.exit_status = wait_status
        release(self)
        for task in list(self.tasks.values()):
            task.exit(wait_status)

    def reap(self, *, is_waited_for: bool = False) -> None:
        """Nobody has to hear of the process's end any more: its number is free again."""
        del self.kernel.processes[self.pid]
        self.kernel.free_pid(self.pid)
        if self.parent is not None:
            del self.parent.children[self.pid]
            if is_waited_for:
                self.parent.children_usage.add(usage_with_children(self))
        self.ended.wake()

    # -- stop and continue (stopping.py) ------------------------------------------------------------------

    def begin_stop(self, signal: int) -> None:
        """A thread has taken a signal that stops the process."""
        begin_stop(self, signal)

    def resume(self) -> None:
        """SIGCONT has been generated."""
        resume(self)

    def release(self) -> None:
        """SIGKILL has been generated: nothing holds the threads any more."""
        release(self)


class Task:
    """A guest thread as the kernel sees it. It knows no registers."""

    __slots__ = (
        *("kernel", "process", "tid", "architecture", "memory", "files", "fs", "credentials", "signals"),
        *("clear_child_tid", "robust_list", "name", "control", "has_exited", "scheduling", "personality"),
        *("parent_death_signal", "timer_slack_ns", "is_stopped", "is_sleeping", "counts", "cpu", "rseq"),
        *("has_too_many_tasks", "semaphore_undo", "tracing", "tracees", "seccomp", "__weakref__"),
        *("memory_policy", "memory_errors", "namespaces"),
    )

    def __init__(
        self,
        process: Process,
        tid: int,
        *,
        architecture: "Architecture",
        memory: "Memory",
        files: "DescriptorTable",
        fs: "FsContext",
        credentials: "Credentials",
        scheduling: "Scheduling",
        signals: TaskSignals | None = None,
    ) -> None:
        self.kernel = process.kernel
        self.process = process
        self.tid = tid
        self.architecture = architecture
        self.memory = memory
        self.files = files
        self.fs = fs  # root, working directory, umask
        self.credentials = credentials
        self.signals = signals or TaskSignals(process.signals)  # mask, private queue, alternate stack
        self.signals.offer_to_others = partial(offer_to_others, self)
        self.scheduling = scheduling  # nice value, policy, affinity
        self.control: TaskControl = NoControl()
        self.clear_child_tid = 0  # address for set_tid_address
        self.robust_list = 0
        self.name = process.name  # comm of the thread
        self.personality = 0
        self.cpu = NO_CPU  # its number, if it has one for itself: cpu_numbers.py
        self.rseq: Registration | None = None
        self.semaphore_undo: UndoList | None = None  # System V semaphores' operations to be undone at the end
        self.has_too_many_tasks = False  # since it has another user: population.py
        self.counts = Usage()  # faults and switches; times are the control's to tell
        self.parent_death_signal = 0
        self.timer_slack_ns = DEFAULT_TIMER_SLACK_NS
        self.has_exited = False
        self.is_sleeping = False  # parked until a call ends
        self.is_stopped = False  # parked by a signal that stops the process
        self.tracing: Tracing | None = None  # somebody traces it
        self.tracees: dict[int, Tracing] | None = None  # whom it traces, by number
        self.seccomp: Seccomp | None = None  # which calls it lets itself make
        self.namespaces = process.kernel.namespaces.hold()
        self.memory_errors = 0  # when to hear of broken memory (PR_MCE_KILL)
        self.memory_policy: Policy | None = None  # of set_mempolicy(2)

    @property
    def is_interrupted(self) -> bool:
        """Whether there is a signal to deliver, or a stop to take part in: it must not sleep."""
        return self.signals.is_interrupted or self.must_stop

    @property
    def must_stop(self) -> bool:
        """Whether there is a stop to take part in; who is traced does so when his tracer lets him."""
        if self.tracing is not None:
            return self.tracing.is_wanted
        return bool(self.process.stop.signal)

    @property
    def is_watched(self) -> bool:
        """Whether somebody is to hear of each of its calls: a tracer, or filters."""
        return self.tracing is not None or self.seccomp is not None

    @property
    def is_leader(self) -> bool:
        """Whether this is the main thread."""
        return self.tid == self.process.pid

    def credentials_changed(self, old: "Credentials") -> None:
        """They have been `old`: what the memory holds may be none of the former user's business (commit_creds)."""
        if has_become_another(old, self.credentials):
            self.process.dumpable = self.kernel.core_settings.suid_dumpable
            self.parent_death_signal = 0

    def rename(self, name: bytes) -> None:
        """A new comm: cut to 15 bytes."""
        self.name = name[: TASK_COMM_LEN - 1]
        if self.is_leader:
            self.process.name = self.name

    async def leave_threads(self) -> None:
        """execve: the other threads end, and this one is the process's only and main thread (execve(2)).

        It sleeps until they have; only what kills it ends that sooner.
        """
        process = self.process
        for other in list(process.tasks.values()):
            if other is not self:
                end_thread(other, 0)
        while len(process.tasks) > 1:
            try:
                await sleep_on(Source(process.ended))
            except LinuxError:
                if self.signals.is_dying:
                    raise
        if not self.is_leader:
            del process.tasks[self.tid], self.kernel.tasks[self.tid]
            self.kernel.free_pid(self.tid)
            old_tid, self.tid = self.tid, process.pid
            process.tasks[self.tid] = self.kernel.tasks[self.tid] = self
            if self.tracing is not None or process.tracing is not None:
                from aionoah.process.tracees import number_changed  # noqa: PLC0415 - few are traced

                number_changed(self, old_tid)

    def become(self, program: "Loaded") -> None:
        """The kernel's side of execve once nothing can fail any more: this task is the new program.

        Descriptors and signals are reset. The old memory and the CPU are the caller's concern.
        """
        process = self.process
        exit_futexes(self)
        exit_thread_word(self)
        process.ended_usage.peak_resident = max(process.ended_usage.peak_resident, self.memory.peak_resident)
        program.memory.execution = self.memory.execution.inherited
        self.memory = program.memory
        if self.files.is_shared:
            self.files, shared = self.files.fork(), self.files
            shared.leave()
        mine = self.credentials
        is_open = program.is_readable and (mine.euid, mine.egid) == (mine.uid, mine.gid)
        process.dumpable = SUID_DUMP.USER if is_open else self.kernel.core_settings.suid_dumpable
        self.credentials = self.fs.credentials = program.credentials
        self.credentials_changed(mine)
        self.files.close_on_exec()
        self.rseq = None
        self.signals.reset_for_exec()
        process.signals.reset_for_exec()
        process.timers.reset_for_exec()
        process.executable = program.executable
        process.command_line = program.command_line
        process.environment = program.environment
        process.auxiliary_vector = program.stack.auxiliary_vector
        process.has_executed = True
        process.exec_count += 1
        process.exit_signal = SIG.CHLD
        self.personality = program.personality
        self.rename(program.name)
        if program.is_secure:
            process.limits.limit_stack(STK_LIM)
            self.parent_death_signal = 0

    def exit(self, wait_status: int) -> None:
        """The thread ends: tell who waits for it, free what it holds. Again is the same as once.

        The last thread to end ends the process, with its own `wait_status` unless exit_group has set one. A thread
        that is in the guest has to leave it first, as its next instruction may still take or leave a lock: it
        comes here again by itself.
        """
        if self.has_exited:
            return
        if self.control.is_in_guest:
            self.control.exit_thread()
            return
        self.has_exited = True
        process = self.process
        exit_futexes(self)
        exit_thread_word(self)
        process.ended_usage.add(usage_of_thread(self))
        if self.semaphore_undo is not None:
            self.semaphore_undo.leave(self)
        self.files.leave()
        del process.tasks[self.tid], self.kernel.tasks[self.tid]
        for ipc in self.kernel.used_ipc:
            ipc.memory.leave(self)
        self.fs.leave(self.kernel.mounts.root)  # so that its mounts find nobody in them
        self.namespaces.drop()
        self._leave_filters()
        if self.is_leader:
            process.uid = self.credentials.uid
        elif self.tracing is None:
            self.kernel.free_pid(self.tid)
        if self.tracing is not None or self.tracees:
            self._end_tracing(wait_status)
        if process.tasks:
            offer_to_others(self, ~self.signals.mask)
            thread_ended(self)
            look_for_completion(process)
            process.ended.wake()
        else:
            process.wait_status = wait_status if process.exit_status is None else process.exit_status
            process.timers.close()
            process.ended.wake()
            process_ended(process, self)
        self.control.exit_thread()

    def _leave_filters(self) -> None:
        """Whoever answers calls may have none to answer any more."""
        for listener in self.seccomp.listeners if self.seccomp is not None else ():
            listener.changed.wake()

    def _end_tracing(self, wait_status: int) -> None:
        from aionoah.process.tracees import tracee_ended, tracer_ended  # noqa: PLC0415 - few are traced

        tracer_ended(self)
        if self.tracing is not None:
            tracee_ended(self, self.tracing, wait_status)

    def release(self) -> None:
        """The thread has ended and its virtual CPU is gone."""
        self.process.cpus -= 1
        self.memory.drop()
        self.process.vfork_done.wake()
