"""What a configuration says beside what to run: signals and checks of health."""

from typing import Any

import pytest

from aionoah.images import ImageError
from aionoah.images.manifest import Healthcheck, parse_config


def config(**run: Any) -> dict[str, Any]:
    rootfs = {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]}
    return {"os": "linux", "architecture": "amd64", "rootfs": rootfs, "config": run}


def test_nothing_is_said() -> None:
    parsed = parse_config(config())
    assert parsed.stop_signal == ""
    assert parsed.healthcheck is None
    assert parse_config(config(StopSignal=None, Healthcheck=None)) == parsed


def test_a_signal() -> None:
    assert parse_config(config(StopSignal="SIGQUIT")).stop_signal == "SIGQUIT"


@pytest.mark.parametrize(
    ("said", "parsed"),
    [
        ({"Test": ["CMD", "curl", "-f", "localhost"]}, Healthcheck(("curl", "-f", "localhost"))),
        ({"Test": ["CMD-SHELL", "true || false"]}, Healthcheck(("/bin/sh", "-c", "true || false"))),
        ({"Test": ["CMD", "x"], "Interval": 0, "Retries": 0}, Healthcheck(("x",))),
        (
            {
                "Test": ["CMD", "x"],
                "Interval": 5 * 10**9,
                "Timeout": 10**8,
                "StartPeriod": 10**9,
                "Retries": 7,
            },
            Healthcheck(("x",), 5.0, 0.1, 1.0, 7),
        ),
        ({"Test": ["NONE"]}, None),
        ({"Test": []}, None),
        ({}, None),
    ],
)
def test_health(said: dict[str, Any], parsed: Healthcheck | None) -> None:
    assert parse_config(config(Healthcheck=said)).healthcheck == parsed


def test_health_by_a_shell_of_the_images_own() -> None:
    said = config(Healthcheck={"Test": ["CMD-SHELL", "ok"]}, Shell=["bash", "-xc"])
    assert parse_config(said).healthcheck == Healthcheck(("bash", "-xc", "ok"))


@pytest.mark.parametrize(
    "said",
    [
        "x",
        [1],
        {"Test": "x"},
        {"Test": ["x"]},
        {"Test": ["CMD"]},
        {"Test": ["CMD", 1]},
        {"Test": ["CMD", "x"], "Interval": -1},
        {"Test": ["CMD", "x"], "Interval": "1s"},
        {"Test": ["CMD", "x"], "Retries": True},
        {"Test": ["CMD", "x"], "Timeout": 1 << 64},
    ],
    ids=str,
)
def test_health_that_makes_no_sense(said: object) -> None:
    with pytest.raises(ImageError, match="makes no sense"):
        parse_config(config(Healthcheck=said))
