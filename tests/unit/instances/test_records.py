"""What is written about instances, and what is made of it when it is read again."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.instances import InstanceError
from aionoah.instances.keeping import make
from aionoah.instances.place import Place
from aionoah.instances.records import read_record, write_record
from aionoah.instances.spec import HealthCheck, Spec, read_spec
from aionoah.instances.state import State, parse_state, read_state, settled, write_state

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def test_a_spec_comes_back(spec: Spec) -> None:
    full = spec._replace(
        environment={"A": "\udcff", "B": "ä"},
        health=HealthCheck(["/bin/sh", "-c", "true"], interval=0.5)._asdict(),
        restart="on-failure:3",
        user="redis",
        stop_timeout=2,
        instance={"root": "/", "volume": ["/a:/b"], "memory": None, "read_only": False},
    )
    assert read_spec(make(full)) == full
    assert full.health_check == HealthCheck(["/bin/sh", "-c", "true"], interval=0.5)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": None},
        {"command": "server"},
        {"environment": []},
        {"restart": "sometimes"},
        {"restart": None},
        {"health": {"command": "x"}},
        {"health": {}},
        {"surprise": 1},
        {"log_size": True},
    ],
    ids=str,
)
def test_damaged_specs(spec: Spec, change: dict[str, Any]) -> None:
    place = make(spec)
    record = json.loads(place.spec.read_bytes()) | change
    place.spec.write_text(json.dumps(record))
    with pytest.raises(InstanceError, match=r"the record of web cannot be used .*: `aionoah rm web`"):
        read_spec(place)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b"[" * 100000])
def test_what_is_no_record(spec: Spec, data: bytes) -> None:
    place = make(spec)
    place.spec.write_bytes(data)
    with pytest.raises(InstanceError, match="cannot be used"):
        read_spec(place)
    place.state.write_bytes(data)
    assert read_state(place).status == "dead"


def test_missing_ones(spec: Spec) -> None:
    place = make(spec)
    place.spec.unlink()
    with pytest.raises(InstanceError, match="it is missing"):
        read_spec(place)
    with pytest.raises(InstanceError, match="there is no instance"):
        read_spec(Place("ghost"))
    assert read_state(place) == State()


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there can be written over, but nothing can be made."""
    path = tmp_path / "state.json"
    write_record(path, {"a": "long " * 10})
    opened = os.open

    def full(place: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.ENOSPC, "No space left on device")
        return opened(place, flags, mode)

    monkeypatch.setattr(os, "open", full)
    write_record(path, {"a": 2})
    monkeypatch.undo()
    assert read_record(path) == {"a": 2}

    monkeypatch.setattr(os, "pwrite", lambda *_: 3)
    with pytest.raises(OSError, match="No space"):
        write_record(tmp_path / "new.json", {"a": 1})
    assert [each.name for each in tmp_path.glob("*.*")] == ["state.json"]


def test_a_state_comes_back(spec: Spec) -> None:
    place = make(spec)
    state = State("running", 12.5, 7, 3, None, "healthy", socket="/x", version="1")
    write_state(place, state)
    assert read_state(place) == state
    place.state.write_text(json.dumps({**state._asdict(), "added later": 1}))
    assert read_state(place) == state


@given(st.dictionaries(st.sampled_from(State._fields), JSON))
def test_states_of_any_kind(record: dict[str, Any]) -> None:
    try:
        state = parse_state(record)
    except InstanceError:
        return
    assert isinstance(state.status, str)
    assert isinstance(state.pid, int)


@pytest.mark.parametrize("status", ["starting", "running", "restarting", "stopping"])
def test_what_nobody_runs_is_dead(status: str) -> None:
    state = State(status, 1.0, 7, health="healthy")
    assert settled(state, is_held=True) == state
    assert settled(state, is_held=False) == State("dead", 1.0, 0)
    assert settled(State("exited", exit_status=3), is_held=False) == State("exited", exit_status=3)
