"""Pulling from Debian's docker-registry: certificates, logins, architectures, and a disk that is full."""

import base64
import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from cli.conftest import AIONOAH, Command, complaint
from harness.docker_registry import Certificate, docker_registry, tool, write_layout
from harness.registry import Image, serving, tarball

NAME, WORD = "reader", "word"
HASH = "$2b$04$9F6Fvusjebo/cbZkij.RuO4dHICt2zPRWn5ppObuUJhHiYa4XCpUG"  # of WORD, by bcrypt
HERE = Image(tarball(("here", b"here")), Cmd=["/here"])
THERE = Image(tarball(("there", b"there")), architecture="arm64")


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The user's, with a store of images."""
    place = Path(mkdtemp(prefix="aionoah-images-", dir="/var/tmp"))
    monkeypatch.setenv("AIONOAH_HOME", str(place))
    monkeypatch.setenv("HOME", str(place))
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    yield place
    shutil.rmtree(place)


def push(directory: Path, address: str, authority: Certificate) -> str:
    write_layout(directory / "layout", amd64=HERE, arm64=THERE)
    certificates = directory / "pushing"
    certificates.mkdir()
    shutil.copy(authority.certificate, certificates / "ca.crt")
    name = f"{address}/team/image:one"
    login = (f"--dest-creds={NAME}:{WORD}", f"--dest-cert-dir={certificates}")
    tool("skopeo", "copy", "--all", *login, "oci:layout:one", f"docker://{name}", directory=directory)
    return name


def log_in(home: Path, address: str, word: str) -> None:
    """What `docker login` writes."""
    (home / ".docker").mkdir(exist_ok=True)
    auth = base64.b64encode(f"{NAME}:{word}".encode()).decode()
    (home / ".docker/config.json").write_text(json.dumps({"auths": {address: {"auth": auth}}}))


def test_encryption_logins_and_architectures(aionoah: Command, tmp_path: Path, home: Path) -> None:
    authority = Certificate(tmp_path, "authority")
    (tmp_path / "users").write_text(f"{NAME}:{HASH}\n")
    login = {"htpasswd": {"realm": "here", "path": str(tmp_path / "users")}}
    server = Certificate(tmp_path, "server", authority)
    with docker_registry(tmp_path, tls=server, auth=login) as address:
        name = push(tmp_path, address, authority)
        sentence = complaint(aionoah("pull", name))
        place = f"~/.docker/certs.d/{address}/ca.crt"
        assert "cannot be trusted" in sentence
        assert place in sentence

        kept = home / place.removeprefix("~/")
        kept.parent.mkdir(parents=True)
        kept.write_text("nonsense")
        assert "is no certificate that can be used" in complaint(aionoah("pull", name))
        shutil.copy(authority.certificate, kept)
        assert "needs a login" in complaint(aionoah("pull", name))
        log_in(home, address, "wrong")
        assert "needs a login" in complaint(aionoah("pull", name))
        log_in(home, address, WORD)
        done = aionoah("pull", name)
        assert done.returncode == 0, done.stderr
        assert aionoah("pull", "--arch", "aarch64", name).returncode == 0
    rows = [line.split()[:2] for line in aionoah("images").stdout.splitlines()[1:]]
    assert sorted(rows) == [[name, "aarch64"], [name, "x86_64"]]


def test_a_certificate_that_nobody_has_signed(aionoah: Command, tmp_path: Path) -> None:
    own = Certificate(tmp_path, "own")
    with docker_registry(tmp_path, tls=own) as address:
        sentence = complaint(aionoah("pull", f"{address}/x"))
        assert f"{address} cannot be trusted (self-signed certificate)" in sentence
        trusting = {**os.environ, "SSL_CERT_FILE": str(own.certificate)}
        assert "has no" in complaint(aionoah("pull", f"{address}/x", env=trusting))


def test_what_is_no_registry(aionoah: Command, tmp_path: Path) -> None:
    """One that speaks TLS where --http is asked for."""
    with docker_registry(tmp_path, tls=Certificate(tmp_path, "own")) as address:
        assert "answers 400" in complaint(aionoah("pull", "--http", f"{address}/x"))


def test_a_full_disk(tmp_path: Path, home: Path) -> None:
    """What is half-made goes, what has come stays; when there is room, the next pull goes on."""
    contents = os.urandom(3 << 20)  # nothing that could be compressed
    image = Image(tarball(("small", b"small")), tarball(("large", contents)))
    script = """
        mount -t tmpfs -o size=50m none "$AIONOAH_HOME"
        head -c 45M /dev/zero >"$AIONOAH_HOME/other"
        "$1" pull "$2"; echo "status $?"
        ls -A "$AIONOAH_HOME/images/work"; echo "index $(cat "$AIONOAH_HOME/images/index.json" 2>&1 | wc -l)"
        rm "$AIONOAH_HOME/other"
        "$1" pull "$2" | wc -l
        cat "$AIONOAH_HOME"/images/layers/*/diff/large | sha256sum
        ls "$AIONOAH_HOME/images/downloads"
    """
    with serving() as registry:
        registry.put("one", image)
        words = ("unshare", "-rm", "sh", "-c", script, "sh", str(AIONOAH), f"{registry.name}:one")
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=200)
        asked = [wanted for path, wanted in registry.requests if path.endswith(image_digest(image))]
    assert asked == [""]  # it had come whole before
    assert complaint_of(done.stderr) == "No space left on device"
    digest = subprocess.run(["sha256sum"], input=contents, capture_output=True, check=True).stdout.decode()
    assert done.stdout.splitlines() == ["status 125", "index 1", "1", digest.strip()]


def test_an_interrupt_in_the_middle(aionoah: Command, home: Path) -> None:
    """It ends at once, although the registry has stopped to answer; the next pull goes on from there."""
    image = Image(tarball(("large", os.urandom(1 << 20))))
    blob = image.packed[0]
    over = threading.Event()

    def stall(handler: Any) -> bool:
        if image_digest(image) not in handler.path or over.is_set():
            return False
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(blob)))
        handler.end_headers()
        handler.wfile.write(blob[: len(blob) // 2])
        over.wait()
        handler.close_connection = True
        return True

    with serving() as registry:
        registry.put("one", image)
        registry.hook = stall
        words = [AIONOAH, "pull", f"{registry.name}:one"]
        kept = home / "images/downloads" / image_digest(image).removeprefix("sha256:")
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
            while not (kept.exists() and kept.stat().st_size):
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=200)[1] == ""
        assert process.returncode == -signal.SIGINT
        over.set()
        registry.requests.clear()
        assert aionoah("pull", f"{registry.name}:one").returncode == 0
        assert next(wanted for path, wanted in registry.requests if path.endswith(image_digest(image)))
    assert not list((home / "images/work").iterdir())


def image_digest(image: Image) -> str:
    manifest = json.loads(image.manifest)
    return str(manifest["layers"][-1]["digest"])


def complaint_of(errors: str) -> str:
    assert errors.startswith("aionoah: ")
    assert errors.count("\n") == 1
    return errors.rpartition(": ")[2].strip().rstrip(".")
