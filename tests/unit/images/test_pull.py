"""From a registry to the store, with registries of all kinds."""

import contextlib
import io
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
import requests
from harness.registry import INDEX, MANIFEST, FakeRegistry, Image, digest_of, tarball

from aionoah.images import ImageError
from aionoah.images import registry as client
from aionoah.images.pull import pull
from aionoah.images.reference import Reference
from aionoah.images.store import Record, Store

LOWER = tarball(("bin/tool", b"tool" * 1000), ("etc/name", b"old"))
UPPER = tarball(("etc/name", b"new"))
IMAGE = Image(LOWER, UPPER, Cmd=["tool"])

Hook = Callable[[Any], bool]


class Progress:
    def __init__(self) -> None:
        self.total = self.seen = 0

    def begin(self, total: int) -> None:
        self.total = total

    def came(self, count: int) -> None:
        self.seen += count


def fetch(store: Store, registry: FakeRegistry, tag: str = ":one", **options: Any) -> tuple[Record, Progress]:
    progress = Progress()
    reference = Reference.parse(registry.name + tag)
    return pull(store, reference, options.pop("architecture", "x86_64"), progress, **options), progress


def assert_refused(store: Store, registry: FakeRegistry, sentence: str, tag: str = ":one") -> None:
    with pytest.raises(ImageError, match=sentence) as caught:
        fetch(store, registry, tag)
    assert "\n" not in str(caught.value)
    assert "0x" not in str(caught.value)
    assert store.records() == []
    assert not list((store.place / "work").iterdir())


def on(part: str, answer: Callable[[Any], None], *, times: int = 1000) -> Hook:
    """Answer requests for paths with `part` in them so."""
    left = [times]

    def hook(handler: Any) -> bool:
        if part not in handler.path or not left[0]:
            return False
        left[0] -= 1
        answer(handler)
        return True

    return hook


def test_an_image(store: Store, registry: FakeRegistry) -> None:
    registry.put("one", IMAGE)
    record, progress = fetch(store, registry)
    assert record.name == f"{registry.name}:one"
    assert record.layers == (digest_of(LOWER), digest_of(UPPER))
    assert record.manifest == digest_of(IMAGE.manifest)
    assert record.size == len(LOWER) + len(UPPER)
    assert store.blob(record.config) == IMAGE.config
    assert (store.layer_path(digest_of(LOWER)) / "etc/name").read_bytes() == b"old"
    assert progress.total == progress.seen == sum(map(len, IMAGE.packed))
    assert not list((store.place / "downloads").iterdir())
    assert store.records() == [record]


def test_shared_layers_are_fetched_once(store: Store, registry: FakeRegistry) -> None:
    registry.put("one", IMAGE)
    registry.put("two", Image(LOWER, tarball(("x", b"x"))))
    fetch(store, registry)
    registry.requests.clear()
    fetch(store, registry, ":two")
    lower = f"/blobs/{digest_of(IMAGE.packed[0])}"
    assert not [path for path, _ in registry.requests if path.endswith(lower)]
    assert fetch(store, registry, ":two")[1].total == 0


def test_the_architecture_is_chosen(store: Store, registry: FakeRegistry) -> None:
    arm = Image(tarball(("arm", b"")), architecture="arm64")
    registry.put_index("one", {"amd64": IMAGE, "arm64": arm})
    here, there = fetch(store, registry)[0], fetch(store, registry, architecture="aarch64")[0]
    assert (here.architecture, there.architecture) == ("x86_64", "aarch64")
    assert store.find(here.name, None, "aarch64") == there
    assert store.find(here.name, "x86_64", "aarch64") == here
    registry.put("only-arm", arm)
    with pytest.raises(ImageError, match="for aarch64, not for x86_64"):
        fetch(store, registry, ":only-arm")
    registry.put_index("list", {"arm64": arm})
    with pytest.raises(ImageError, match="not for x86_64 but linux/arm64"):
        fetch(store, registry, ":list")


def test_by_digest(store: Store, registry: FakeRegistry) -> None:
    registry.put("one", IMAGE)
    digest = digest_of(IMAGE.manifest)
    assert fetch(store, registry, f"@{digest}")[0].manifest == digest
    store.remove(f"{registry.name}@{digest}")
    registry.manifests[digest] = (Image(LOWER).manifest, MANIFEST)
    assert_refused(store, registry, "is not sha256", f"@{digest}")


def test_tokens(store: Store, registry: FakeRegistry) -> None:
    registry.put("one", IMAGE)
    registry.token = "secret"
    fetch(store, registry)
    asked = [path for path, _ in registry.requests if path.startswith("/token?")]
    assert asked == ["/token?service=s&scope=repository%3Ateam%2Fimage%3Apull"]


def test_without_a_token(store: Store, registry: FakeRegistry) -> None:
    registry.put("one", IMAGE)
    registry.token = "secret"
    registry.hook = on("/token", lambda handler: handler.reply(200, b'{"token": "wrong"}'))
    assert_refused(store, registry, "needs a login")
    for answer in (b"[]", b"garbage", b"null", b"{}"):
        registry.hook = on("/token", lambda handler, answer=answer: handler.reply(200, answer))
        assert_refused(store, registry, "token|cannot be used|needs a login")


@pytest.mark.parametrize("challenge", ["", "Bearer", 'Bearer realm="file:///etc/passwd"', "Basic", "\xff"])
def test_challenges_that_make_no_sense(store: Store, registry: FakeRegistry, challenge: str) -> None:
    registry.hook = on("/manifests/", lambda handler: handler.reply(401, WWW_Authenticate=challenge))
    assert_refused(store, registry, "does not say where to get a token|needs a login")


def test_credentials_of_docker(
    store: Store, registry: FakeRegistry, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / ".docker"
    place.mkdir()
    (place / "config.json").write_text(json.dumps({"auths": {registry.address: {"auth": "dXNlcjpwYXNz"}}}))
    registry.put("one", IMAGE)

    def answer(handler: Any) -> bool:
        if handler.headers.get("Authorization") == "Basic dXNlcjpwYXNz":
            return False
        handler.reply(401, WWW_Authenticate='Basic realm="here"')
        return True

    registry.hook = answer
    assert fetch(store, registry)[0].manifest == digest_of(IMAGE.manifest)


def test_tokens_for_credentials(
    store: Store, registry: FakeRegistry, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever gives tokens gets the user's name and password, the registry the token alone."""
    place = tmp_path / ".docker"
    place.mkdir()
    (place / "config.json").write_text(json.dumps({"auths": {registry.address: {"auth": "dXNlcjpwYXNz"}}}))
    registry.put("one", IMAGE)
    registry.token = "secret"
    said: list[tuple[str, str]] = []

    def look(handler: Any) -> bool:
        word = handler.headers.get("Authorization", "")
        said.append((handler.path.partition("?")[0], word))
        if handler.path.startswith("/token") and word != "Basic dXNlcjpwYXNz":
            handler.reply(401)
            return True
        return False

    registry.hook = look
    assert fetch(store, registry)[0].manifest == digest_of(IMAGE.manifest)
    assert {word for path, word in said if path == "/token"} == {"Basic dXNlcjpwYXNz"}
    assert {word for path, word in said if path != "/token"} == {"", "Bearer secret"}


# -- registries that misbehave --------------------------------------------------------------------------


def test_what_is_not_there(store: Store, registry: FakeRegistry) -> None:
    assert_refused(store, registry, "has no 127")


def test_nobody_answers(store: Store) -> None:
    with pytest.raises(ImageError, match="cannot be used: Connection refused"):
        pull(store, Reference.parse("127.0.0.1:1/x"), "x86_64", Progress())


def test_it_stalls(store: Store, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PATIENCE", 0.1)
    registry.put("one", IMAGE)
    over = threading.Event()
    try:
        for part in ("/manifests/", "/blobs/"):
            registry.hook = on(part, lambda _handler: over.wait() and None)
            assert_refused(store, registry, "does not answer")
    finally:
        over.set()


@pytest.mark.parametrize(("where", "status"), [("/token", 200), ("/v2", 302), ("/v2", 401)])
def test_answers_without_end(store: Store, registry: FakeRegistry, where: str, status: int) -> None:
    """Nobody reads them into the memory."""
    registry.token = "secret"
    sent = []

    def flood(handler: Any) -> None:
        handler.send_response(status)
        handler.send_header("Location", f"http://{registry.address}/elsewhere")
        handler.end_headers()
        handler.close_connection = True
        with contextlib.suppress(OSError):
            for _ in range(300):
                handler.wfile.write(bytes(1 << 18))
                sent.append(1 << 18)

    registry.hook = on(where, flood)
    assert_refused(store, registry, "without end|has no|does not say where")
    assert sum(sent) < 20 << 20


def test_it_redirects_without_end(store: Store, registry: FakeRegistry) -> None:
    registry.hook = on("/v2/", lambda handler: handler.reply(307, Location=handler.path))
    assert_refused(store, registry, "without end")


def test_blobs_may_be_elsewhere(store: Store, registry: FakeRegistry) -> None:
    registry.put("one", IMAGE)

    def elsewhere(handler: Any) -> bool:
        if handler.path.startswith("/elsewhere"):
            handler.path = handler.path.removeprefix("/elsewhere")
            return False
        if "/blobs/" in handler.path:
            handler.reply(307, Location="/elsewhere" + handler.path)
            return True
        return False

    registry.hook = elsewhere
    fetch(store, registry)


def test_a_token_is_not_for_others(store: Store, registry: FakeRegistry) -> None:
    """Blobs are at another server, which must not learn the token."""
    registry.put("one", IMAGE)
    registry.token = "secret"
    seen: list[str | None] = []

    def lead_away(handler: Any) -> bool:
        if "/blobs/" in handler.path and handler.headers.get("Authorization"):
            elsewhere = registry.address.replace("127.0.0.1", "localhost")
            handler.reply(307, Location=f"http://{elsewhere}{handler.path}")
            return True
        if "/blobs/" in handler.path:
            seen.append(handler.headers.get("Authorization"))
            registry.token = None
        return False

    registry.hook = lead_away
    fetch(store, registry)
    assert set(seen) == {None}


def test_encryption_is_not_given_up(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    talk = client.Registry(Reference.parse("example.org/x"))
    answer = requests.Response()
    answer.url, answer.status_code, answer.raw = "http://example.org/", 200, io.BytesIO()
    monkeypatch.setattr(talk._session, "get", lambda *_, **__: answer)
    with pytest.raises(ImageError, match="without encryption"):
        talk.manifest()
    talk.close()


@pytest.mark.parametrize(
    ("status", "sentence"), [(403, "login"), (404, "has no"), (429, "too often"), (500, "500"), (204, "204")]
)
def test_statuses(store: Store, registry: FakeRegistry, status: int, sentence: str) -> None:
    registry.hook = on("/manifests/", lambda handler: handler.reply(status))
    assert_refused(store, registry, sentence)


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"<html>hello</html>",
        b"[]",
        b"null",
        b"[" * 100_000,
        b"{}",
        b'{"schemaVersion": 1}',
        b'{"schemaVersion": 2}',
        b'{"schemaVersion": 2, "manifests": [1]}',
        b'{"schemaVersion": 2, "manifests": []}',
        b'{"schemaVersion": 2, "layers": [{}], "config": {}}',
        json.dumps(json.loads(IMAGE.manifest) | {"layers": []}).encode(),
        json.dumps(json.loads(IMAGE.manifest) | {"mediaType": "text/plain"}).encode(),
        IMAGE.manifest.replace(b"layer.v1.tar+gzip", b"layer.v1.tar+brotli"),
        IMAGE.manifest.replace(b'"size": ', b'"size": -'),
        IMAGE.manifest.replace(b"sha256:", b"sha256:../../"),
        bytes(5 << 20),
    ],
    ids=lambda data: data[:30].decode(),
)
def test_manifests_that_make_no_sense(store: Store, registry: FakeRegistry, manifest: bytes) -> None:
    registry.put("one", IMAGE)
    registry.manifests["one"] = (manifest, INDEX if b"manifests" in manifest else MANIFEST)
    assert_refused(store, registry, ".")


@pytest.mark.parametrize(
    "change",
    [
        {"os": "windows"},
        {"architecture": "mips"},
        {"rootfs": {}},
        {"rootfs": {"diff_ids": ["x", "y"]}},
        {"rootfs": {"diff_ids": []}},
        {"config": [1]},
        {"config": {"Cmd": "x"}},
        {"config": {"Env": [1]}},
        {"config": {"User": ["x"]}},
    ],
    ids=str,
)
def test_configurations_that_make_no_sense(
    store: Store, registry: FakeRegistry, change: dict[str, Any]
) -> None:
    image = Image(LOWER, UPPER)
    config = json.dumps(json.loads(image.config) | change).encode()
    manifest = json.loads(image.manifest)
    manifest["config"] |= {"digest": digest_of(config), "size": len(config)}
    registry.put("one", image)
    registry.blobs[digest_of(config)] = config
    registry.manifests["one"] = (json.dumps(manifest).encode(), MANIFEST)
    assert_refused(store, registry, ".")


def test_wrong_contents(store: Store, registry: FakeRegistry) -> None:
    for blob in (IMAGE.packed[0], IMAGE.config):
        for wrong in (b"x" * len(blob), b"", blob[:-1], blob + b"x"):
            registry.put("one", IMAGE)
            registry.blobs[digest_of(blob)] = wrong
            assert_refused(store, registry, "has sent")
    registry.put("one", IMAGE)
    fetch(store, registry)


def test_an_archive_that_is_not_what_the_configuration_says(store: Store, registry: FakeRegistry) -> None:
    image = Image(LOWER, UPPER)
    image.config = image.config.replace(digest_of(UPPER).encode(), digest_of(b"other").encode())
    manifest = json.loads(image.manifest)
    manifest["config"] |= {"digest": digest_of(image.config)}
    image.manifest = json.dumps(manifest).encode()
    registry.put("one", image)
    assert_refused(store, registry, "damaged")


# -- interruptions --------------------------------------------------------------------------------------

LARGE = Image(tarball(("large", bytes(range(256)) * 4000)))
BLOB = LARGE.packed[0]


def cut(handler: Any) -> None:
    """Half of it, and the connection is gone."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(BLOB)))
    handler.end_headers()
    handler.wfile.write(BLOB[: len(BLOB) // 2])
    handler.close_connection = True


def test_a_download_goes_on(store: Store, registry: FakeRegistry) -> None:
    registry.put("one", LARGE)
    registry.hook = on(digest_of(BLOB), cut, times=1)
    _, progress = fetch(store, registry)
    ranges = [wanted for path, wanted in registry.requests if path.endswith(digest_of(BLOB))]
    assert ranges[0] == ""
    assert ranges[1].startswith("bytes=")
    assert progress.seen == progress.total


def test_the_next_pull_goes_on(store: Store, registry: FakeRegistry) -> None:
    registry.put("one", LARGE)
    registry.hook = on(
        digest_of(BLOB), lambda handler: cut(handler) if not handler.headers.get("Range") else None
    )
    assert_refused(store, registry, "has sent|cannot be used")
    assert 0 < store.download_path(digest_of(BLOB)).stat().st_size < len(BLOB)
    registry.hook = lambda _handler: False
    registry.requests.clear()
    fetch(store, registry)
    assert next(wanted for path, wanted in registry.requests if path.endswith(digest_of(BLOB))) != ""


def test_a_registry_without_ranges(store: Store, registry: FakeRegistry) -> None:
    registry.put("one", LARGE)
    path = store.download_path(digest_of(BLOB))
    path.write_bytes(BLOB[:1000])
    registry.hook = on(digest_of(BLOB), lambda handler: handler.reply(200, BLOB))
    _, progress = fetch(store, registry)
    assert progress.seen == progress.total


@pytest.mark.parametrize(
    "kept", [b"x" * 1000, BLOB + b"x", b"x" * len(BLOB)], ids=["start", "longer", "whole"]
)
def test_a_wrong_half_is_removed(store: Store, registry: FakeRegistry, kept: bytes) -> None:
    registry.put("one", LARGE)
    store.download_path(digest_of(BLOB)).write_bytes(kept)
    assert_refused(store, registry, "is not sha256")
    fetch(store, registry)


def test_a_full_disk_while_downloading(
    store: Store, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.put("one", LARGE)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(client.Registry, "download", full)
        assert_refused(store, registry, "cannot be stored: No space left")
    fetch(store, registry)
