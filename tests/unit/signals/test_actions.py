"""Default actions and dispositions, as signal(7) and sigaction(2) have them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.signal import SA, SIG, SIG_IGN, Sigaction
from aionoah.signals.actions import (
    EVERY_SIGNAL,
    UNBLOCKABLE,
    Disposition,
    Effect,
    default_effect,
    members,
    signal_set,
)

# The table of signal(7): Term, Ign, Core, Stop; SIGCONT continues when it is generated, not here.
CORE = [SIG.QUIT, SIG.ILL, SIG.TRAP, SIG.ABRT, SIG.BUS, SIG.FPE, SIG.SEGV, SIG.XCPU, SIG.XFSZ, SIG.SYS]
IGNORED = [SIG.CHLD, SIG.CONT, SIG.URG, SIG.WINCH]
STOP = [SIG.STOP, SIG.TSTP, SIG.TTIN, SIG.TTOU]


@pytest.mark.parametrize("signal", range(1, 65))
def test_default_effects(signal: int) -> None:
    expected = Effect.TERMINATE
    for effect, signals in ((Effect.CORE, CORE), (Effect.IGNORE, IGNORED), (Effect.STOP, STOP)):
        if signal in signals:
            expected = effect
    assert default_effect(signal) is expected


def test_an_ignored_signal_does_nothing_whatever_its_default() -> None:
    assert Disposition(SIG_IGN).effect(SIG.SEGV) is Effect.IGNORE


def test_a_handler_runs_whatever_the_default() -> None:
    assert Disposition(0x1000).effect(SIG.CHLD) is Effect.HANDLE


def test_sigaction_survives() -> None:
    fields = (0x1234, SA.SIGINFO | SA.RESTORER, 0x5678, signal_set(SIG.INT))
    assert Disposition.from_abi(*fields) == fields
    action = Sigaction.unpack(Sigaction.flat().pack(*Disposition.from_abi(*fields)))
    assert action == Sigaction(*fields)


def test_what_the_kernel_does_not_keep() -> None:
    kept = Disposition.from_abi(1, 0xFFFF_FFFF_FFFF, 0, EVERY_SIGNAL)
    assert kept.flags == 0xDC00_0807  # read back from Linux 6
    assert kept.mask == EVERY_SIGNAL & ~UNBLOCKABLE


@given(st.sets(st.integers(1, 64)))
def test_sets_and_their_members(signals: set[int]) -> None:
    assert members(signal_set(*signals)) == sorted(signals)


def test_the_bits_of_a_set() -> None:
    assert signal_set(1, 64) == 1 | 1 << 63
    assert signal_set() == 0
