"""Instances of nobody: their places are temporary."""

from pathlib import Path

import pytest

from aionoah.instances.spec import Spec


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    runtime = tmp_path / "run"
    runtime.mkdir()
    monkeypatch.setenv("AIONOAH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    return tmp_path / "home" / "instances"


@pytest.fixture
def spec() -> Spec:
    return Spec("web", ["server"], {}, {"PATH": "/bin"}, [], "/")
