"""Restarts, with times that nobody waits for."""

import pytest

from aionoah.instances import InstanceError
from aionoah.instances.health import Health
from aionoah.instances.policy import Policy, Restarts
from aionoah.instances.signals import parse_signal
from aionoah.instances.spec import HealthCheck


@pytest.mark.parametrize("text", ["no", "always", "unless-stopped", "on-failure", "on-failure:5"])
def test_policies(text: str) -> None:
    assert str(Policy.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "never", "always:3", "no:1", "on-failure:", "on-failure:x", "on-failure:-1", "Always"]
)
def test_what_is_no_policy(text: str) -> None:
    with pytest.raises(InstanceError, match="is no restart policy"):
        Policy.parse(text)


def test_waits_double_up_to_a_minute() -> None:
    restarts = Restarts(Policy("always"))
    waits = [restarts.delay_after(1, 0.5) for _ in range(13)]
    assert waits[:4] == [0.1, 0.2, 0.4, 0.8]
    assert waits[9] == pytest.approx(51.2)
    assert waits[10:] == [60, 60, 60]
    assert restarts.count == 13


def test_a_program_that_has_run_for_a_while_begins_anew() -> None:
    restarts = Restarts(Policy("unless-stopped"))
    assert [restarts.delay_after(1, ran) for ran in (1, 1, 1, 10, 1)] == [0.1, 0.2, 0.4, 0.1, 0.2]


def test_when_there_is_none() -> None:
    assert Restarts(Policy("no")).delay_after(1, 1) is None
    assert Restarts(Policy("on-failure")).delay_after(0, 1) is None
    assert Restarts(Policy("on-failure")).delay_after(137, 1) == 0.1
    assert Restarts(Policy("always")).delay_after(0, 1) == 0.1
    limited = Restarts(Policy.parse("on-failure:2"))
    assert [limited.delay_after(1, 1) for _ in range(3)] == [0.1, 0.2, None]
    assert Restarts(Policy.parse("on-failure:0")).delay_after(1, 1) is None


def test_health() -> None:
    health = Health(HealthCheck(["true"], retries=2, start_period=10))
    assert not health.answered(1, is_well=False)
    assert not health.answered(9, is_well=False)
    assert not health.answered(10, is_well=False)
    assert health.status == "starting"
    assert health.answered(11, is_well=False)
    assert health.status == "unhealthy"
    assert health.answered(12, is_well=True)
    assert not health.answered(13, is_well=True)
    assert not health.answered(14, is_well=False)
    assert not health.answered(15, is_well=True)
    assert not health.answered(16, is_well=False)
    assert health.status == "healthy"
    assert health.answered(17, is_well=False)
    assert health.status == "unhealthy"


def test_failures_count_once_it_has_been_well() -> None:
    health = Health(HealthCheck(["true"], retries=1, start_period=100))
    assert health.answered(1, is_well=True)
    assert health.answered(2, is_well=False)
    assert health.status == "unhealthy"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("TERM", 15),
        ("SIGTERM", 15),
        ("term", 15),
        ("9", 9),
        ("RTMIN", 34),
        ("RTMIN+3", 37),
        ("SIGRTMAX-1", 63),
        ("40", 40),
    ],
)
def test_signals(text: str, number: int) -> None:
    assert parse_signal(text) == number


@pytest.mark.parametrize(
    "text", ["", "0", "65", "99", "SIG", "NOPE", "BLOCK", "_DFL", "TERM ", "RTMIN+99", "-9"]
)
def test_what_is_no_signal(text: str) -> None:
    with pytest.raises(InstanceError, match="is no signal"):
        parse_signal(text)
