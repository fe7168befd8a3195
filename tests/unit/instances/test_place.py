"""Names, directories, and the lock that makes one name one process."""

import contextlib
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.instances import InstanceError, place
from aionoah.instances.keeping import make, remove
from aionoah.instances.place import Lock, Place, checked_name, holder, places, state_home
from aionoah.instances.spec import Spec


@pytest.mark.parametrize("name", ["a", "web-1", "My_server.2", "0", "x" * 64])
def test_names(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "/etc", "a/b", "-f", ".hidden", "x" * 65, "a b", "a\n", "ä", "a\0", "\udcff"],
)
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(InstanceError, match="cannot be a name"):
        checked_name(name)


@given(st.text())
def test_no_name_leads_out_of_the_directory(name: str) -> None:
    with contextlib.suppress(InstanceError):
        place = Place(name, Path("/home"))
        assert os.path.normpath(place.directory) == f"/home/{name}"


@given(st.text())
def test_complaints_can_be_printed(name: str) -> None:
    with pytest.raises(InstanceError) as caught:
        checked_name("/" + name)
    assert str(caught.value).isprintable()


def test_where_instances_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIONOAH_HOME", "/one")
    assert state_home() == Path("/one/instances")
    monkeypatch.delenv("AIONOAH_HOME")
    monkeypatch.setenv("XDG_STATE_HOME", "/two")
    assert state_home() == Path("/two/aionoah/instances")
    monkeypatch.setenv("XDG_STATE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", "/three")
    assert state_home() == Path("/three/.local/state/aionoah/instances")


def test_the_socket_is_this_users_alone(tmp_path: Path) -> None:
    path = Place("web").new_socket_path()
    assert path.parent == tmp_path / "run" / "aionoah"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path != Place("other").new_socket_path()
    path.parent.chmod(0o755)
    Place("web").new_socket_path()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_long_paths_have_their_sockets_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    path = Place("y" * 64).new_socket_path()
    assert deep not in path.parents
    assert len(os.fsencode(path)) <= 103


def test_directories_for_sockets_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: Spec
) -> None:
    """They are somebody else's, as they may be in /tmp, or full; then the instance's own is left."""
    own = make(spec).directory
    (tmp_path / "run" / "aionoah").symlink_to(tmp_path)
    path = Place("web").new_socket_path()
    assert tmp_path not in path.parents

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    monkeypatch.setattr(place, "_TEMPORARY", str(tmp_path / "nowhere"))
    monkeypatch.setattr(place, "_SOCKET_PATH_BYTES", 1000)
    assert Place("web").new_socket_path().parent == own
    monkeypatch.setattr(place, "_SOCKET_PATH_BYTES", 10)
    with pytest.raises(InstanceError, match="short enough"):
        Place("web").new_socket_path()


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "AIONOAH_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    for ask in (state_home, places, lambda: Place("web")):
        with pytest.raises(OSError, match="this user has no home: set HOME or AIONOAH_HOME"):
            ask()


def test_making_and_removing(spec: Spec, home: Path) -> None:
    made = make(spec)
    assert stat.S_IMODE(made.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(made.spec.stat().st_mode) == 0o600
    (home / "a-file").write_text("")
    (home / "..rest").mkdir()
    assert [each.name for each in places()] == ["web"]
    (home / "a-file").unlink()
    (home / "..rest").rmdir()
    with pytest.raises(InstanceError, match="there is an instance web already"):
        make(spec)
    inner = made.upper / "locked" / "inner"
    inner.mkdir(parents=True)
    inner.parent.chmod(0)
    remove(made)
    assert list(home.iterdir()) == []


def test_what_a_kill_has_left_goes_with_the_next(spec: Spec, home: Path) -> None:
    home.mkdir(parents=True)
    left = [home / name for name in (".gone-web-17", ".new-old")]
    kept = [home / name for name in (".gone-api-18", ".new-young")]
    for path in left + kept:
        (path / "upper").mkdir(parents=True)
    os.utime(left[1], (1, 1))
    shared = Place("api")
    kept[0].rename(shared.directory)
    with contextlib.closing(Lock(shared)):  # somebody is just removing it
        shared.directory.rename(kept[0])
        make(spec)
    assert sorted(home.iterdir()) == sorted([*kept, home / "web"])


def test_no_places_at_all() -> None:
    assert places() == []


def test_the_lock(spec: Spec) -> None:
    made = make(spec)
    assert holder(made) is None
    lock = Lock(made)
    assert holder(made) == os.getpid()
    with pytest.raises(InstanceError, match="web is running already"):
        Lock(made)
    assert holder(made) == os.getpid()  # asking takes nothing away
    lock.close()
    assert holder(made) is None
    Lock(made).close()


def test_who_held_the_lock_before_is_not_taken_for_its_holder(
    spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """His number may be another process's by now, and whoever holds an instance is sent signals."""
    made = make(spec)
    made.lock.write_text("1\n")
    seen = []
    monkeypatch.setattr(os, "ftruncate", lambda *_: seen.append(holder(made)))
    monkeypatch.setattr(os, "pwrite", lambda *_: seen.append(holder(made)))
    with contextlib.closing(Lock(made)):
        assert seen == [0, 0]


def test_the_lock_of_a_killed_process_is_free(spec: Spec) -> None:
    made = make(spec)
    text = (
        "from aionoah.instances.place import *; import time; lock = Lock(Place('web')); print(1, flush=True)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", f"{text}; time.sleep(1000)"], stdout=subprocess.PIPE, env=os.environ
    )
    assert child.stdout is not None
    child.stdout.readline()
    assert holder(made) == child.pid
    child.kill()
    child.wait()
    child.stdout.close()
    assert holder(made) is None


def test_the_lock_of_an_instance_that_is_removed_meanwhile(
    spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(spec)
    opened = os.open

    def open_and_lose(path: Path, flags: int, mode: int = 0o777) -> int:
        fd = opened(path, flags, mode)
        if path == made.lock:
            made.lock.unlink()
        return fd

    monkeypatch.setattr(os, "open", open_and_lose)
    with pytest.raises(InstanceError, match="just been removed"):
        Lock(made)


def test_an_instance_that_is_not_there() -> None:
    with pytest.raises(InstanceError, match="there is no instance ghost"):
        Lock(Place("ghost"))
    assert holder(Place("ghost")) is None
