"""Fakes for every test: `from fakes.machine import FakeMachine` works below this directory."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
import uvloop

sys.path.insert(0, str(Path(__file__).parent))
for _setting in [name for name in os.environ if name.startswith("PYTHON")]:  # users have none
    del os.environ[_setting]
for _signal in (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
):  # ignored by what shells and nohup run in the background
    if signal.getsignal(_signal) is signal.SIG_IGN:
        signal.signal(_signal, signal.default_int_handler if _signal is signal.SIGINT else signal.SIG_DFL)

if TYPE_CHECKING:
    from fakes.machine import FakeMachine


@pytest.fixture
def machine() -> "Iterator[FakeMachine]":
    """A fake machine that must have got everything back at the end of the test."""
    from fakes.machine import FakeMachine

    made = FakeMachine()
    yield made
    made.close()


def pytest_asyncio_loop_factories(
    config: pytest.Config,
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every async test runs on both loops. One to which the loop does not matter, say because it only steps
    coroutines, is marked `asyncio(loop_factories=["asyncio"])`.
    """
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


# A loaded machine is no failure. CI tries the same examples each time, so that it fails only for what has been changed.
hypothesis.settings.register_profile(
    "patient",
    hypothesis.settings.default,
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("patient")

_watchdog = pytest.StashKey["Watchdog"]()


def pytest_configure(config: pytest.Config) -> None:
    from harness.watchdog import Watchdog, give_up, original_stderr

    patience_s = float(config.getini("faulthandler_timeout")) - 20
    config.stash[_watchdog] = Watchdog(patience_s, original_stderr(), give_up)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    with item.config.stash[_watchdog].watching(item.nodeid):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where CI should have installed a tool, a test that skips for want of it has failed."""
    report = yield
    if report.skipped and os.environ.get("CI") and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if reason.endswith("is not installed") or (reason.startswith("needs ") and "root" not in reason):
            report.outcome = "failed"
            report.longrepr = f"CI lacks something: {reason}"
    return report
