"""A store in a temporary directory, and a registry on loopback."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
from harness.registry import FakeRegistry, serving

from aionoah.images.store import Store


@pytest.fixture
def store() -> Iterator[Store]:
    """On a disk: not every /tmp keeps attributes."""
    place = Path(mkdtemp(prefix="aionoah-images-", dir="/var/tmp"))
    made = Store(place)
    with made.adding():
        pass
    yield made
    shutil.rmtree(place)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with serving() as made:
        yield made


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
