"""Masks, alternate stacks and what fork, clone and exec make of them."""

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.signal import SIG, SIG_IGN, SS, StackT
from aionoah.signals.actions import DEFAULT, EVERY_SIGNAL, UNBLOCKABLE, Disposition, Effect, signal_set
from aionoah.signals.info import from_user
from aionoah.signals.state import NO_STACK, AlternateStack, SharedSignals, TaskSignals

INT = signal_set(SIG.INT)
STACK = AlternateStack(0x1000, 0x2000)
DISARMING = AlternateStack(0x1000, 0x2000, SS.AUTODISARM)


@pytest.fixture
def signals() -> TaskSignals:
    return TaskSignals(SharedSignals())


def counting(signals: TaskSignals) -> list[int]:
    """A list that grows with every interrupt."""
    calls: list[int] = []
    signals.interrupt = lambda: calls.append(1)
    return calls


def test_kill_and_stop_cannot_be_blocked(signals: TaskSignals) -> None:
    signals.set_mask(EVERY_SIGNAL)
    assert signals.mask == EVERY_SIGNAL & ~UNBLOCKABLE
    assert TaskSignals(SharedSignals(), EVERY_SIGNAL).mask == signals.mask


def test_a_replaced_mask_comes_back(signals: TaskSignals) -> None:
    signals.set_mask(INT)
    signals.replace_mask(0)
    assert (signals.mask, signals.saved_mask) == (0, INT)
    signals.replace_mask(signal_set(SIG.HUP))  # a call that is made again
    assert signals.saved_mask == INT
    signals.restore_mask()
    assert (signals.mask, signals.saved_mask) == (INT, None)
    signals.restore_mask()
    assert signals.mask == INT


def test_pending_signals_interrupt_unless_blocked_or_waited_for(signals: TaskSignals) -> None:
    assert not signals.is_interrupted
    signals.shared.pending.add(from_user(SIG.INT, 0, 0))
    assert signals.is_interrupted
    signals.set_mask(INT)
    assert not signals.is_interrupted
    assert signals.all_pending == INT
    signals.set_mask(0)
    signals.wait_for(INT)
    assert not signals.is_interrupted


def test_unblocking_a_pending_signal_interrupts(signals: TaskSignals) -> None:
    signals.set_mask(INT)
    signals.pending.add(from_user(SIG.INT, 0, 0))
    calls = counting(signals)
    signals.set_mask(INT | signal_set(SIG.HUP))
    assert not calls
    signals.set_mask(0)
    assert len(calls) == 1


def test_restoring_a_mask_may_interrupt(signals: TaskSignals) -> None:
    signals.replace_mask(INT)
    signals.pending.add(from_user(SIG.INT, 0, 0))
    calls = counting(signals)
    signals.restore_mask()
    assert len(calls) == 1


def test_the_end_of_waiting_may_interrupt(signals: TaskSignals) -> None:
    signals.wait_for(INT)
    signals.pending.add(from_user(SIG.INT, 0, 0))
    calls = counting(signals)
    signals.wait_for(0)
    assert len(calls) == 1


def test_effects_follow_the_dispositions(signals: TaskSignals) -> None:
    assert signals.effect(SIG.INT) is Effect.TERMINATE
    signals.shared.dispositions[SIG.INT] = Disposition(0x1000)
    assert signals.effect(SIG.INT) is Effect.HANDLE


# -- alternate stacks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "inside"), [(0x1000, False), (0x1001, True), (0x3000, True), (0x3001, False)]
)
def test_the_stack_pointer_is_on_the_stack_up_to_its_end(address: int, *, inside: bool) -> None:
    assert STACK.contains(address) is inside
    assert not DISARMING.contains(address)
    assert not NO_STACK.contains(address)


def test_what_sigaltstack_reports() -> None:
    assert NO_STACK.seen_from(0x2000) == StackT(0, SS.DISABLE, 0)
    assert STACK.seen_from(0x9000) == StackT(0x1000, 0, 0x2000)
    assert STACK.seen_from(0x2000) == StackT(0x1000, SS.ONSTACK, 0x2000)
    assert DISARMING.seen_from(0x2000) == StackT(0x1000, -(1 << 31), 0x2000)


def test_what_a_frame_keeps(signals: TaskSignals) -> None:
    """The flags as they were given, whoever is on the stack; nothing was, at first."""
    kept = [signals.stack.kept()]
    for flags in (SS.ONSTACK, SS.DISABLE):
        signals.set_stack(StackT(0x1000, flags, 4096), 0x9000, 2048)
        kept.append(signals.stack.kept())
    assert kept == [StackT(0, 0, 0), StackT(0x1000, SS.ONSTACK, 4096), StackT(0, SS.DISABLE, 0)]


# Flags, size, then what Linux made of it: an error, or base, flags and size as reported afterwards.
NONE = (0, SS.DISABLE, 0)
SET = (0x1000, 0, 4095)
ARMED = (0x1000, -(1 << 31), 4095)
DISARM = SS.AUTODISARM - (1 << 32)
CASES: list[tuple[int, int, Errno | tuple[int, int, int]]] = [
    (0, 0, Errno.ENOMEM),
    (0, 2047, Errno.ENOMEM),
    (0, 4095, SET),
    (SS.ONSTACK, 4095, SET),
    (SS.DISABLE, 4095, NONE),
    (SS.DISABLE, 0, NONE),
    (3, 4095, Errno.EINVAL),
    (4, 4095, Errno.EINVAL),
    (DISARM, 0, Errno.ENOMEM),
    (DISARM, 4095, ARMED),
    (DISARM | SS.ONSTACK, 4095, ARMED),
    (DISARM | SS.DISABLE, 0, (0, SS.DISABLE | DISARM, 0)),
]


@pytest.mark.parametrize(("flags", "size", "outcome"), CASES)
def test_set_stack_as_linux_does(
    signals: TaskSignals, flags: int, size: int, outcome: Errno | tuple[int, int, int]
) -> None:
    try:
        signals.set_stack(StackT(0x1000, flags, size), 0x9000, 2048)
        seen: object = tuple(vars(signals.stack.seen_from(0x9000)).values())
    except LinuxError as error:
        seen = error.errno
    assert seen == outcome


def test_a_stack_in_use_cannot_be_changed(signals: TaskSignals) -> None:
    signals.stack = STACK
    with pytest.raises(LinuxError) as raised:
        signals.set_stack(StackT(0, SS.DISABLE, 0), 0x2000, 2048)
    assert raised.value.errno is Errno.EPERM
    assert signals.stack == STACK


# -- new programs and new tasks -----------------------------------------------------------------------------


def test_exec_keeps_what_is_ignored_and_forgets_handlers(signals: TaskSignals) -> None:
    shared = signals.shared
    shared.dispositions[SIG.INT] = Disposition(0x1000)
    shared.dispositions[SIG.HUP] = Disposition(SIG_IGN, restorer=5)
    shared.pending.add(from_user(SIG.TERM, 0, 0))
    shared.reset_for_exec()
    assert shared.dispositions[SIG.INT] == DEFAULT
    assert shared.dispositions[SIG.HUP] == Disposition(SIG_IGN)
    assert shared.pending.bits == signal_set(SIG.TERM)


def test_exec_keeps_the_mask_and_drops_the_stack(signals: TaskSignals) -> None:
    signals.set_mask(INT)
    signals.stack = STACK
    signals.reset_for_exec()
    assert (signals.mask, signals.stack) == (INT, AlternateStack())


def test_a_child_has_the_handlers_and_nothing_pending() -> None:
    parent, child = SharedSignals(), SharedSignals()
    parent.dispositions[SIG.INT] = Disposition(0x1000)
    parent.pending.add(from_user(SIG.TERM, 0, 0))
    child.copy_dispositions(parent)
    parent.dispositions[SIG.INT] = DEFAULT
    assert child.dispositions[SIG.INT] == Disposition(0x1000)
    assert child.pending.bits == 0


@pytest.mark.parametrize(("shares_memory", "stack"), [(True, NO_STACK), (False, STACK)])
def test_a_new_task(signals: TaskSignals, stack: AlternateStack, *, shares_memory: bool) -> None:
    signals.set_mask(INT)
    signals.stack = STACK
    signals.pending.add(from_user(SIG.TERM, 0, 0))
    new = signals.for_clone(signals.shared, shares_memory=shares_memory)
    assert (new.mask, new.stack, new.pending.bits) == (INT, stack, 0)
    assert new.shared is signals.shared
