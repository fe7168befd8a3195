"""A mirror on loopback, and a home on a disk that keeps attributes."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
from harness.debian import FakeMirror, serving


@pytest.fixture
def mirror() -> Iterator[FakeMirror]:
    with serving() as made:
        yield made


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """On a disk: not every /tmp keeps attributes."""
    made = Path(mkdtemp(prefix="aionoah-bootstrap-", dir="/var/tmp"))
    monkeypatch.setenv("AIONOAH_HOME", str(made / "home"))
    yield made
    with contextlib.suppress(OSError):
        shutil.rmtree(made)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
