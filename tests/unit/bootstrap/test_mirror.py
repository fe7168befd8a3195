"""Downloads that break off, lie or never come; and lists that somebody else has signed."""

import io
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from harness.debian import FakeMirror

from aionoah.bootstrap import BootstrapError
from aionoah.bootstrap import mirror as module
from aionoah.bootstrap.mirror import Mirror, Wanted
from aionoah.bootstrap.release import Release, read_release

DATA = bytes(range(256)) * 2000


class Counter:
    def __init__(self) -> None:
        self.total = self.count = 0

    def begin(self, total: int) -> None:
        self.total += total

    def came(self, count: int) -> None:
        self.count += count


@pytest.fixture
def wanted(mirror: FakeMirror) -> Wanted:
    mirror.files["pool/file"] = DATA
    return Wanted("pool/file", len(DATA), sha256(DATA).hexdigest())


def test_a_file_is_fetched_once(mirror: FakeMirror, wanted: Wanted, place: Path) -> None:
    client, counter = Mirror(mirror.address, place), Counter()
    for _ in range(2):
        assert client.fetch_all([wanted], counter)["pool/file"].read_bytes() == DATA
    assert mirror.requests == [("pool/file", "")]
    assert counter.count == counter.total == 2 * len(DATA)
    assert [path.name for path in place.iterdir()] == [wanted.sha256]
    client.close()


def test_an_interrupted_download_goes_on(mirror: FakeMirror, wanted: Wanted, place: Path) -> None:
    def break_off(handler: Any) -> bool:
        if handler.headers.get("Range"):
            return False
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(DATA)))
        handler.end_headers()
        handler.wfile.write(DATA[:300_000])
        handler.close_connection = True
        return True

    mirror.hook = break_off
    counter = Counter()
    assert Mirror(mirror.address, place).fetch(wanted, counter).read_bytes() == DATA
    assert [start for _, start in mirror.requests] == ["", "bytes=300000-"]
    assert counter.count == len(DATA)


def test_what_a_former_try_has_left_is_used(mirror: FakeMirror, wanted: Wanted, place: Path) -> None:
    (place / f"{wanted.sha256}.part").write_bytes(DATA[:1000])
    assert Mirror(mirror.address, place).fetch(wanted, Counter()).read_bytes() == DATA
    assert mirror.requests == [("pool/file", "bytes=1000-")]


def test_a_mirror_that_knows_no_ranges(mirror: FakeMirror, wanted: Wanted, place: Path) -> None:
    def whole(handler: Any) -> bool:
        handler.reply(200, DATA)
        return True

    mirror.hook = whole
    (place / f"{wanted.sha256}.part").write_bytes(b"x" * 1000)
    counter = Counter()
    assert Mirror(mirror.address, place).fetch(wanted, counter).read_bytes() == DATA
    assert counter.count == len(DATA)


def test_wrong_contents_are_not_kept(mirror: FakeMirror, wanted: Wanted, place: Path) -> None:
    mirror.files["pool/file"] = b"y" + DATA[1:]
    for _ in range(2):
        with pytest.raises(BootstrapError, match="something else than its signed list says of pool/file"):
            Mirror(mirror.address, place).fetch(wanted, Counter())
    assert not (place / wanted.sha256).exists()
    mirror.files["pool/file"] = DATA
    assert Mirror(mirror.address, place).fetch(wanted, Counter()).read_bytes() == DATA


def test_too_little_and_too_much(mirror: FakeMirror, wanted: Wanted, place: Path) -> None:
    mirror.files["pool/file"] = DATA[:-1]
    with pytest.raises(BootstrapError, match=r"has sent 511999 bytes of 512000|answers|stopped within"):
        Mirror(mirror.address, place).fetch(wanted, Counter())
    mirror.files["pool/file"] = DATA + b"more"
    with pytest.raises(BootstrapError, match="something else"):
        Mirror(mirror.address, place / "other").fetch(wanted, Counter())


def test_a_full_disk(
    mirror: FakeMirror, wanted: Wanted, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not the mirror's fault, which is not asked again."""

    class Full(io.FileIO):
        def write(self, _: object) -> int:
            raise OSError(28, "No space left on device")

    opened = Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, mode: Full(path, "a+") if "a" in mode else opened(path, mode)
    )
    with pytest.raises(BootstrapError, match=r"\.part cannot be written: No space left on device"):
        Mirror(mirror.address, place).fetch(wanted, Counter())
    assert len(mirror.requests) == 1


def test_what_is_not_there(mirror: FakeMirror, place: Path) -> None:
    client = Mirror(mirror.address, place)
    with pytest.raises(BootstrapError, match="answers 404 for dists/test/InRelease"):
        client.read("dists/test/InRelease")
    with pytest.raises(BootstrapError, match="cannot be reached"):
        Mirror("http://127.0.0.1:1", place).read("x")
    with pytest.raises(BootstrapError, match="cannot be used"):
        Mirror("gopher://x", place).read("x")


def test_silence(mirror: FakeMirror, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    ended = threading.Event()
    mirror.hook = lambda _: ended.wait()
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    try:
        with pytest.raises(BootstrapError, match="does not answer"):
            Mirror(mirror.address, place).read("x")
    finally:
        ended.set()


# -- signatures ---------------------------------------------------------------------------------------------


def release_of(mirror: FakeMirror, place: Path, keyring: Path | None = None) -> Release:
    keys = keyring or mirror.write_keyring(place / "keys.gpg")
    return read_release(Mirror(mirror.address, place), "test", keys)


def test_a_signed_list(mirror: FakeMirror, place: Path) -> None:
    mirror.publish(Acquire_By_Hash="yes")
    release = release_of(mirror, place)
    wanted = release.wanted("main/binary-amd64/Packages.xz", "test")
    assert wanted is not None
    assert wanted.path == f"dists/test/main/binary-amd64/by-hash/SHA256/{wanted.sha256}"
    assert release.wanted("main/binary-arm64/Packages.xz", "test") is None


def test_lists_that_are_not_believed(mirror: FakeMirror, place: Path) -> None:
    mirror.publish()
    good = mirror.files["dists/test/InRelease"]
    for bad in (
        good.replace(b"Codename: test", b"Codename: tost"),
        good[: good.index(b"-----BEGIN PGP SIGNATURE")],
        b"Suite: test\n",
        b"",
    ):
        mirror.files["dists/test/InRelease"] = bad
        with pytest.raises(BootstrapError, match="is not signed by a key of"):
            release_of(mirror, place)


def test_the_key_of_somebody_else(mirror: FakeMirror, place: Path) -> None:
    keyring = mirror.write_keyring(place / "keys.gpg")
    mirror.key = FakeMirror().key
    mirror.publish()
    with pytest.raises(BootstrapError, match="is not signed by a key of"):
        release_of(mirror, place, keyring)


def test_only_what_is_signed_counts(mirror: FakeMirror, place: Path) -> None:
    mirror.publish()
    mirror.files["dists/test/InRelease"] = (
        b"Suite: test\nCodename: evil\n\n" + mirror.files["dists/test/InRelease"]
    )
    assert release_of(mirror, place).codename == "test"


def test_keyrings_without_keys(mirror: FakeMirror, place: Path) -> None:
    mirror.publish()
    nonsense = place / "nonsense.gpg"
    nonsense.write_bytes(b"nonsense")
    with pytest.raises(BootstrapError, match=r"holds no keys|is not signed"):
        release_of(mirror, place, nonsense)
    with pytest.raises(BootstrapError, match="cannot be read"):
        release_of(mirror, place, place / "nothing")


def test_a_list_of_another_suite_or_time(mirror: FakeMirror, place: Path) -> None:
    mirror.publish(Suite="other", Codename="another")
    with pytest.raises(BootstrapError, match="has another where test should be"):
        release_of(mirror, place)
    mirror.publish(Valid_Until="Sat, 01 Jan 2000 00:00:00 UTC")
    with pytest.raises(BootstrapError, match="out of date"):
        release_of(mirror, place)
    mirror.publish(Valid_Until="some time")
    with pytest.raises(BootstrapError, match="impossible date"):
        release_of(mirror, place)
