"""`aionoah bootstrap` from a mirror on loopback. Its dpkg is a script that says what it is asked: what real packages do
with a real one takes minutes, and a mirror that is real.
"""

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
from harness.debian import FakeMirror, File, deb, link_to, serving
from harness.guest import STATIC, need_backend, need_tool

_DPKG = b"""#!/bin/sh
echo "dpkg $*" >>/var/log/dpkg
case "$*" in
*--unpack*) for name in /run/bootstrap/*.deb; do echo "status: ${name##*/}: unpacked" >&3; done ;;
*--audit*) touch /var/audited; id -u >/var/owned; chown 33:33 /var/owned ;;
esac
echo hello
"""


@pytest.fixture
def place() -> Iterator[Path]:
    made = Path(mkdtemp(prefix="aionoah-bootstrap-", dir="/var/tmp"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def mirror() -> Iterator[FakeMirror]:
    need_tool("busybox")
    need_backend(STATIC)
    busybox = Path(shutil.which("busybox") or "").read_bytes()
    names = ("ln", "rm", "chown", "id", "touch")
    tools: dict[str, File] = {"./bin/sh": busybox}
    tools |= {f"./bin/{name}": link_to("./bin/sh", tarfile.LNKTYPE) for name in names}
    with serving() as made:
        made.add("dpkg", deb({**tools, "./usr/bin/dpkg": _DPKG, "./var/log/dpkg": b""}), Essential="yes")
        made.add("apt", deb({"./etc/apt/apt.conf": b""}), Depends="dpkg")
        made.add("mawk", deb({"./usr/bin/mawk": b"#!"}), Priority="required")
        made.publish()
        yield made


def command(mirror: FakeMirror, place: Path, *options: str) -> tuple[list[str], dict[str, str]]:
    """Its words and environment."""
    keyring = mirror.write_keyring(place / "keys.gpg")
    words = [sys.executable, "-m", "aionoah", "bootstrap", "debian", str(place / "tree"), "--suite", "test"]
    words += ["--mirror", mirror.address, "--arch", "x86_64", "--keyring", str(keyring), *options]
    environment = {"PATH": os.environ["PATH"], "AIONOAH_HOME": str(place / "home"), "NO_PROXY": "127.0.0.1"}
    return words, environment


def bootstrap(mirror: FakeMirror, place: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    words, environment = command(mirror, place, *options)
    return subprocess.run(words, capture_output=True, text=True, timeout=200, check=False, env=environment)


@pytest.mark.guest
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing_but_what_was_said(
    mirror: FakeMirror, place: Path, number: signal.Signals
) -> None:
    """While packages are installed, which is when most time goes by."""
    script = b"#!/bin/sh\necho now\nwhile :; do :; done\n"
    mirror.packages[0] = mirror.packages[0]._replace(
        data=deb({"./bin/sh": Path(shutil.which("busybox") or "").read_bytes(), "./usr/bin/dpkg": script})
    )
    mirror.publish()
    words, environment = command(mirror, place)
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        log = place / "tree.log"
        while not (log.exists() and log.read_text()):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
        out, errors = process.communicate(timeout=200)
    assert (process.returncode, out, errors) == (128 + number, b"", b"")
    assert sorted(path.name for path in place.iterdir()) == ["home", "keys.gpg", "tree.log"]


@pytest.mark.guest
def test_a_whole_tree(mirror: FakeMirror, place: Path) -> None:
    done = bootstrap(mirror, place)
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout == f"{place}/tree: 3 packages of debian test, amd64\n"
    tree = place / "tree"
    said = (tree / "var/log/dpkg").read_text()
    assert "--install dpkg_1_all.deb\n" in said
    assert "--unpack apt_1_all.deb dpkg_1_all.deb mawk_1_all.deb\n" in said
    assert said.endswith("--configure --pending\ndpkg --audit\n")
    assert (tree / "var/owned").read_text() == "0\n"
    sources = (tree / "etc/apt/sources.list").read_text()
    assert sources == f"deb [signed-by=/etc/apt/keyrings/keys.gpg] {mirror.address} test main\n"
    assert (tree / "etc/apt/keyrings/keys.gpg").read_bytes() == (place / "keys.gpg").read_bytes()
    assert not (tree / "usr/sbin/policy-rc.d").exists()
    assert not (tree / "usr/bin/awk").is_symlink()
    assert sorted(path.name for path in place.iterdir()) == ["home", "keys.gpg", "tree"]
    assert (
        bootstrap(mirror, place).stderr
        == f"aionoah: {tree} is not empty: name a new directory, or an empty one.\n"
    )


@pytest.mark.guest
def test_a_stage_that_fails_leaves_nothing_but_what_was_said(mirror: FakeMirror, place: Path) -> None:
    script = b"#!/bin/sh\necho 'dpkg: error: no room'\nexit 1\n"
    mirror.packages[0] = mirror.packages[0]._replace(
        data=deb({"./bin/sh": Path(shutil.which("busybox") or "").read_bytes(), "./usr/bin/dpkg": script})
    )
    mirror.publish()
    done = bootstrap(mirror, place, "--include", "apt,mawk")
    assert done.returncode == 125
    sentence = (
        f"the packages cannot be installed: dpkg: error: no room (all that was said is in {place}/tree.log)"
    )
    assert done.stderr == f"aionoah: {sentence}.\n"
    assert sorted(path.name for path in place.iterdir()) == ["home", "keys.gpg", "tree.log"]


def test_a_bad_signature_is_a_sentence(mirror: FakeMirror, place: Path) -> None:
    listing = mirror.files["dists/test/InRelease"]
    mirror.files["dists/test/InRelease"] = listing.replace(b"Codename: test", b"Codename: evil")
    done = bootstrap(mirror, place)
    assert done.returncode == 125
    assert done.stderr.startswith(f"aionoah: {mirror.address}/dists/test/InRelease is not signed by a key of")
    assert len(done.stderr.splitlines()) == 1
    assert not (place / "tree").exists()


def test_no_keys_no_tree(place: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "aionoah",
        "bootstrap",
        "debian",
        str(place / "tree"),
        "--keyring",
        "/nothing",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 125
    assert "debian-archive-keyring" in done.stderr
