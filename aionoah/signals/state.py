"""The signal state of a thread and of a process."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Final, NamedTuple

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.signal import SIG, SIG_IGN, SS, StackT, signal_bit
from aionoah.abi.words import signed
from aionoah.host.waiting import WaitQueue
from aionoah.signals.actions import DEFAULT, LAST_SIGNAL, UNBLOCKABLE, Disposition, Effect, members
from aionoah.signals.pending import PendingSignals


class AlternateStack(NamedTuple):
    """Where handlers with SA_ONSTACK run (sigaltstack(2)). Without a size there is none."""

    base: int = 0
    size: int = 0
    flags: int = 0  # as sigaltstack was given them

    def contains(self, stack_pointer: int) -> bool:
        """Whether a program runs on it. A stack that disarms itself counts as never in use."""
        if self.flags & SS.AUTODISARM:
            return False
        return self.base < stack_pointer <= self.base + self.size

    def seen_from(self, stack_pointer: int) -> StackT:
        """What sigaltstack reports to a program with this stack pointer."""
        state = SS.DISABLE if not self.size else SS.ONSTACK if self.contains(stack_pointer) else 0
        return StackT(self.base, signed(state | self.flags & SS.AUTODISARM), self.size)

    def kept(self) -> StackT:
        """What a frame keeps of it (__save_altstack). A thread that has never had one finds the one again that its handler sets."""
        return StackT(self.base, signed(self.flags), self.size)


NO_STACK: Final = AlternateStack(flags=SS.DISABLE)
_KILL: Final = signal_bit(SIG.KILL)


def _new_stack(wanted: StackT, minimum: int) -> AlternateStack:
    flags = wanted.ss_flags & 0xFFFF_FFFF
    mode = flags & ~SS.AUTODISARM
    if mode not in (0, SS.ONSTACK, SS.DISABLE):
        raise LinuxError(Errno.EINVAL)
    if mode == SS.DISABLE:
        return AlternateStack(flags=flags)
    if wanted.ss_size < minimum:
        raise LinuxError(Errno.ENOMEM)
    return AlternateStack(wanted.ss_sp, wanted.ss_size, flags)


class SharedSignals:
    """What the threads of a process share: dispositions and the signals sent to the process."""

    def __init__(self) -> None:
        self.dispositions: list[Disposition] = [DEFAULT] * (LAST_SIGNAL + 1)  # by number, 0 unused
        self.pending = PendingSignals()
        self.queue = WaitQueue()  # woken whenever a signal is generated for any thread, blocked or not
        self.is_unkillable = False  # what has no handler is ignored, SIGKILL too: init

    def copy_dispositions(self, other: "SharedSignals") -> None:
        """For a child by fork: the same handlers, nothing pending."""
        self.dispositions = list(other.dispositions)

    def ignore(self, signals: Iterable[int]) -> None:
        for number in signals:
            self.dispositions[number] = Disposition(SIG_IGN)

    def reset_for_exec(self) -> None:
        """Handlers belong to the old program; what was ignored stays ignored (execve(2))."""
        self.dispositions = [
            Disposition(SIG_IGN) if old.handler == SIG_IGN else DEFAULT for old in self.dispositions
        ]


class TaskSignals:
    """What a thread has for itself: mask, alternate stack and the signals sent to it alone.

    The two callables are set by whoever runs the thread's virtual CPU; both are called under the
    kernel lock.
    """

    def __init__(self, shared: SharedSignals, mask: int = 0) -> None:
        self.shared = shared
        self.mask = mask & ~UNBLOCKABLE
        self.pending = PendingSignals()
        self.stack = AlternateStack()
        self.saved_mask: int | None = None  # what sigsuspend and the like replaced until a signal came
        self.waited = 0  # the set that rt_sigtimedwait sleeps for
        self.is_traced = False  # a tracer sees every signal first, ignored ones too, and decides
        self.is_held = False  # by him, in a stop: other threads take signals sooner
        self.restart_block: Callable[[], Awaitable[int | None]] | None = None
        self.interrupt: Callable[[], None] = _nothing_runs
        """A signal can be delivered now: kick the CPU, or throw LinuxError(ERESTARTSYS) into the sleep."""
        self.stack_pointer: Callable[[], int] = _no_stack_pointer
        """The guest's stack pointer at its present system call."""
        self.offer_to_others: Callable[[int], None] = _nobody_else
        """Signals of a set have been blocked, which are pending for all threads of the process."""

    @property
    def all_pending(self) -> int:
        """The set that sigpending reports, unblocked ones included."""
        return self.pending.bits | self.shared.pending.bits

    @property
    def is_interrupted(self) -> bool:
        """Whether a signal could be delivered now. Look before you let the thread sleep."""
        return bool(self.all_pending & ~self.mask & ~self.waited)

    @property
    def is_only_handled(self) -> bool:
        """Whether there are signals that can be delivered now, and handlers for all of them."""
        deliverable = self.all_pending & ~self.mask
        return bool(deliverable) and all(
            self.effect(signal) is Effect.HANDLE for signal in members(deliverable)
        )

    @property
    def is_dying(self) -> bool:
        """Whether a signal that can be delivered now will end the process, which ends even sleeps that no other
        signal interrupts (complete_signal). Those that dump core do not count.
        """
        deliverable = self.all_pending & ~self.mask
        if self.is_traced:
            return bool(deliverable & _KILL)
        return any(self.effect(signal) is Effect.TERMINATE for signal in members(deliverable))

    def set_mask(self, mask: int) -> None:
        """Block exactly this set; SIGKILL and SIGSTOP never are."""
        self.block(mask)
        if self.pending.bits or self.shared.pending.bits:
            self._look()

    def block(self, mask: int) -> None:
        """The same, where nothing can have become deliverable."""
        newly, self.mask = mask & ~self.mask, mask & ~UNBLOCKABLE
        if newly & self.shared.pending.bits:
            self.offer_to_others(newly)

    def replace_mask(self, mask: int) -> None:
        """Block exactly this set until the next signal has been dealt with (sigsuspend, ppoll)."""
        if self.saved_mask is None:
            self.saved_mask = self.mask
        self.set_mask(mask)

    def restore_mask(self) -> None:
        """No handler will run: undo replace_mask."""
        if self.saved_mask is not None:
            mask, self.saved_mask = self.saved_mask, None
            self.set_mask(mask)

    def wait_for(self, signals: int) -> None:
        """Sleep for a set of signals (rt_sigtimedwait), which do not interrupt meanwhile; 0 to end that."""
        self.waited = signals
        self._look()

    def _look(self) -> None:
        """A signal that has been pending may have become deliverable."""
        if self.is_interrupted:
            self.interrupt()

    def set_stack(self, wanted: StackT, stack_pointer: int, minimum: int) -> None:
        """sigaltstack: EPERM while the thread runs on the present one, EINVAL, ENOMEM below `minimum` bytes."""
        if self.stack.contains(stack_pointer):
            raise LinuxError(Errno.EPERM)
        self.stack = _new_stack(wanted, minimum)

    def effect(self, signal: int) -> Effect:
        """What delivering a signal would do at present."""
        return self.shared.dispositions[signal].effect(signal)

    def is_fatal(self, signal: int) -> bool:
        """Whether it would end the process at once; where a core is dumped, the thread that takes it does that."""
        return self.effect(signal) is Effect.TERMINATE

    def reset_for_exec(self) -> None:
        """A new program has no alternate stack; mask and pending signals stay."""
        self.stack = AlternateStack(flags=self.stack.flags)
        self.restart_block = None

    def for_clone(self, shared: SharedSignals, *, shares_memory: bool) -> "TaskSignals":
        """The state of a new thread or child: the mask, and the alternate stack if memory is its own."""
        new = TaskSignals(shared, self.mask if self.saved_mask is None else self.saved_mask)
        new.stack = NO_STACK if shares_memory else self.stack
        return new


def _nothing_runs() -> None:
    """No virtual CPU has been attached yet: it will look when it starts."""


def _nobody_else(_signals: int) -> None:
    """Not a thread of a process yet."""


def _no_stack_pointer() -> int:
    return 0
