"""Which signal is taken next, and what its handler blocks."""

from typing import Any

import pytest
from fakes.tasks import new_task

from aionoah.abi.signal import SA, SIG, SIG_IGN
from aionoah.signals.actions import DEFAULT, EVERY_SIGNAL, UNBLOCKABLE, Disposition, Effect, signal_set
from aionoah.signals.delivery import Delivery, enter_handler, next_signal, take_signal
from aionoah.signals.info import from_user


@pytest.fixture
def task() -> Any:
    return new_task()


def pend(task: Any, *signals: int, shared: bool = False) -> None:
    pending = task.process.signals.pending if shared else task.signals.pending
    for signal in signals:
        pending.add(from_user(signal, 0, 0))


def handle(task: Any, signal: int, flags: int = 0, mask: int = 0) -> None:
    task.process.signals.dispositions[signal] = Disposition(0x1000, SA(flags), 0, mask)


def delivered(task: Any) -> Delivery:
    delivery = next_signal(task)
    assert delivery is not None
    return delivery


def test_nothing_to_deliver(task: Any) -> None:
    assert next_signal(task) is None


def test_own_signals_come_before_shared_ones(task: Any) -> None:
    pend(task, SIG.TERM)
    pend(task, SIG.HUP, shared=True)
    assert [delivered(task).signal, delivered(task).signal] == [SIG.TERM, SIG.HUP]
    assert next_signal(task) is None


@pytest.mark.parametrize("first", [SIG.STOP, SIG.TSTP, SIG.HUP, SIG.SEGV])
def test_sigkill_comes_before_all_others(task: Any, first: int) -> None:
    """A stop taken before it would be for ever."""
    pend(task, first)
    pend(task, SIG.KILL, shared=True)
    assert delivered(task).signal == SIG.KILL


def test_blocked_signals_stay(task: Any) -> None:
    task.signals.set_mask(signal_set(SIG.TERM))
    pend(task, SIG.TERM)
    assert next_signal(task) is None
    assert task.signals.pending.bits == signal_set(SIG.TERM)
    assert take_signal(task, EVERY_SIGNAL) is not None


@pytest.mark.parametrize(
    ("signal", "effect"), [(SIG.TERM, Effect.TERMINATE), (SIG.SEGV, Effect.CORE), (SIG.TSTP, Effect.STOP)]
)
def test_default_effects_are_reported(task: Any, signal: int, effect: Effect) -> None:
    pend(task, signal)
    assert delivered(task).effect is effect


def test_ignored_signals_are_passed_over(task: Any) -> None:
    task.process.signals.dispositions[SIG.HUP] = Disposition(SIG_IGN)
    pend(task, SIG.HUP, SIG.CHLD, 40)
    assert delivered(task).signal == 40
    assert task.signals.all_pending == 0


def test_a_handler_is_handed_out_with_its_disposition(task: Any) -> None:
    handle(task, SIG.INT, SA.RESTART)
    pend(task, SIG.INT)
    delivery = delivered(task)
    assert delivery.effect is Effect.HANDLE
    assert delivery.disposition.handler == 0x1000
    assert delivery.restarts
    assert task.process.signals.dispositions[SIG.INT] == delivery.disposition


def test_a_handler_for_once(task: Any) -> None:
    handle(task, SIG.INT, SA.RESETHAND)
    pend(task, SIG.INT)
    delivery = delivered(task)
    assert delivery.effect is Effect.HANDLE
    assert delivery.disposition.handler == 0x1000
    assert not delivery.restarts
    assert task.process.signals.dispositions[SIG.INT] == DEFAULT


def test_a_handler_blocks_its_signal_and_its_mask(task: Any) -> None:
    task.signals.set_mask(signal_set(SIG.HUP))
    handle(task, SIG.INT, mask=signal_set(SIG.TERM))
    pend(task, SIG.INT)
    delivery = delivered(task)
    assert delivery.return_mask == signal_set(SIG.HUP)
    enter_handler(task, delivery)
    assert task.signals.mask == signal_set(SIG.HUP, SIG.INT, SIG.TERM)


def test_a_handler_without_deferral(task: Any) -> None:
    handle(task, SIG.INT, SA.NODEFER, mask=EVERY_SIGNAL & ~signal_set(SIG.INT))
    pend(task, SIG.INT)
    enter_handler(task, delivered(task))
    assert task.signals.mask == EVERY_SIGNAL & ~signal_set(SIG.INT) & ~UNBLOCKABLE


def test_after_sigsuspend_the_old_mask_returns_with_the_handler(task: Any) -> None:
    task.signals.set_mask(signal_set(SIG.INT, SIG.HUP))
    task.signals.replace_mask(0)
    handle(task, SIG.INT)
    pend(task, SIG.INT)
    delivery = delivered(task)
    assert delivery.return_mask == signal_set(SIG.INT, SIG.HUP)
    enter_handler(task, delivery)
    assert task.signals.saved_mask is None
    assert task.signals.mask == signal_set(SIG.INT)
