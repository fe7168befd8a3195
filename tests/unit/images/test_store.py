"""What is kept, what goes, and who waits for whom."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.registry import digest_of, tarball

from aionoah.images import ImageError
from aionoah.images import store as module
from aionoah.images.archive import Limits
from aionoah.images.layers import unpack_layer
from aionoah.images.store import Record, Store, default_home


def enter(store: Store, name: str, *layers: bytes, architecture: str = "x86_64") -> Record:
    with store.adding():
        digests = []
        for number, layer in enumerate(layers):
            path = store.place / "work" / f"{number}.tar"
            path.write_bytes(layer)
            digests.append(unpack_layer(store, path, None, Limits()))
            path.unlink()
        manifest, config = store.put_blob(name.encode()), store.put_blob(b"config of " + name.encode())
        record = Record(name, architecture, manifest, config, tuple(digests), 1, 2)
        store.put(record)
    return record


ONE, TWO = tarball(("one", b"")), tarball(("two", b""))


def test_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIONOAH_HOME", "/a")
    assert default_home() == Path("/a")
    monkeypatch.delenv("AIONOAH_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", "/b")
    assert default_home() == Path("/b/aionoah")
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/c")
    assert default_home() == Path("/c/.local/share/aionoah")
    monkeypatch.setenv("XDG_DATA_HOME", "not/absolute")
    assert default_home() == Path("/c/.local/share/aionoah")


def test_nobody_else_gets_in(store: Store) -> None:
    assert store.place.stat().st_mode & 0o777 == 0o700


def test_an_empty_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "new")
    assert store.records() == []
    with pytest.raises(ImageError, match="aionoah pull debian:latest"):
        store.find("debian:latest", None, "x86_64")
    with pytest.raises(ImageError, match="no image"):
        store.remove("debian:latest")


def test_what_no_image_has_goes(store: Store) -> None:
    one, two = enter(store, "one", ONE), enter(store, "two", ONE, TWO)
    store.remove("two")
    assert store.records() == [one]
    assert store.has_layer(digest_of(ONE))
    assert not store.has_layer(digest_of(TWO))
    with pytest.raises(ImageError, match="missing"):
        store.blob(two.config)
    store.remove("one")
    assert [list((store.place / name).iterdir()) for name in ("blobs", "layers", "work")] == [[], [], []]


def test_what_runs_stays(store: Store) -> None:
    record = enter(store, "one", ONE, TWO)
    with store.held(record) as layers:
        assert layers == [store.layer_path(digest_of(TWO)), store.layer_path(digest_of(ONE))]
        store.remove("one")
        assert store.records() == []
        assert all(layer.is_dir() for layer in layers)
    store.collect()
    assert not any(layer.exists() for layer in layers)


def test_what_goes_before_it_is_held(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    record = enter(store, "one", ONE)

    @contextlib.contextmanager
    def late(path: Path, _how: int) -> Iterator[None]:
        path.rename(store.place / "work" / "doomed")
        yield

    monkeypatch.setattr(module, "_locked", late)
    with pytest.raises(ImageError, match="a layer of one is missing"), store.held(record):
        pass


def test_a_change_is_not_swept_away_by_another_process(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(store, "one", ONE)
    writing = store._write

    def write(path: Path, data: bytes) -> None:
        Store(store.place.parent).collect()
        assert (store.place / "work" / "mine").exists()
        writing(path, data)

    monkeypatch.setattr(store, "_write", write)
    (store.place / "work" / "mine").write_text("on its way to become the index")
    store.remove("one")


def test_what_is_being_added_stays(store: Store) -> None:
    with store.adding():
        digest = store.put_blob(b"new")
        store.collect()
        assert store.blob(digest) == b"new"
    store.collect()
    with pytest.raises(ImageError):
        store.blob(digest)


def test_what_a_kill_has_left_goes(store: Store) -> None:
    half = store.place / "work" / "half"
    (half / "diff" / "sub").mkdir(parents=True)
    (half / "diff" / "file").write_text("x")
    old, young = store.download_path(digest_of(b"old")), store.download_path(digest_of(b"young"))
    for path in (old, young):
        path.write_text("x")
    os.utime(old, (0, time.time() - 30 * 24 * 3600))
    store.collect()
    assert not half.exists()
    assert not old.exists()
    assert young.exists()


def test_the_same_name_is_replaced(store: Store) -> None:
    enter(store, "one", ONE)
    arm = enter(store, "one", ONE, architecture="aarch64")
    new = enter(store, "one", TWO)
    assert store.records() == [new, arm]
    assert store.remove("one") == [new, arm]


def test_a_missing_layer(store: Store) -> None:
    record = enter(store, "one", ONE)._replace(layers=(digest_of(b"x"),))
    with pytest.raises(ImageError, match="a layer of one is missing"), store.held(record):
        pass


def test_a_damaged_blob(store: Store) -> None:
    record = enter(store, "one", ONE)
    (store.place / "blobs" / record.config.removeprefix("sha256:")).write_text("x")
    with pytest.raises(ImageError, match="damaged"):
        store.blob(record.config)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"images": [{}]}', '{"images": 5}', '{"images": [{"layers": [5]}]}']
)
def test_a_damaged_index(store: Store, text: str) -> None:
    (store.place / "index.json").write_text(text)
    with pytest.raises(ImageError):
        store.records()


def test_a_place_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ImageError, match="cannot be made"):
        Store(tmp_path / "file").collect()


def test_the_second_of_two_that_unpack_the_same(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(ONE)
    assert unpack_layer(store, path, None, Limits()) == unpack_layer(store, path, None, Limits())
    assert not list((store.place / "work").iterdir())
