"""Images on the command line, from a registry of our own and from Debian's."""

import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
from cli.conftest import Command, complaint
from harness.docker_registry import docker_registry, tool
from harness.registry import FakeRegistry, Image, serving, tarball

GROUP = b"staff:x:50:\nwheel:x:10:bob,alice\n"
PASSWD = b"root:x:0:0::/root:/bin/sh\nalice:x:1234:5678::/home/alice:/bin/sh\n"
TOOLS = ("sh", "cat", "id", "env", "pwd", "ls", "stat", "sleep", "rm", "touch")


def lower() -> bytes:
    """A tree of busybox."""

    def link(member: tarfile.TarInfo) -> None:
        member.type, member.linkname = tarfile.SYMTYPE, "busybox"

    def owned(member: tarfile.TarInfo) -> None:
        member.type, member.uid, member.gid, member.mode = tarfile.DIRTYPE, 1234, 5678, 0o700

    files = [("etc/passwd", PASSWD), ("etc/group", GROUP), ("old/file", b"old\n")]
    links = [(f"bin/{name}", link) for name in TOOLS]
    return tarball(*files, *links, ("data/", owned), ("bin/busybox", Path("/bin/busybox").read_bytes()))


@pytest.fixture(scope="module")
def image() -> Image:
    upper = tarball((".wh.old", b""), ("etc/motd", b"hello\n"))
    wishes = {
        "User": "alice:staff",
        "Env": ["PATH=/bin", "COLOUR=blue"],
        "WorkingDir": "/work/here",
        "Volumes": {"/vol": {}},
    }
    return Image(lower(), upper, Entrypoint=["/bin/busybox"], Cmd=["id"], **wishes)


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    place = Path(mkdtemp(prefix="aionoah-images-", dir="/var/tmp"))
    monkeypatch.setenv("AIONOAH_HOME", str(place))
    yield place
    shutil.rmtree(place)


@pytest.fixture
def registry(image: Image) -> Iterator[FakeRegistry]:
    with serving() as made:
        made.put("one", image)
        yield made


@pytest.fixture
def pulled(aionoah: Command, registry: FakeRegistry) -> str:
    name = f"{registry.name}:one"
    done = aionoah("pull", name)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{name} x86_64 sha256:")
    return name


def test_an_image_runs_as_it_wants(aionoah: Command, pulled: str) -> None:
    assert aionoah("run", "--image", pulled).stdout == "uid=1234(alice) gid=50(staff)\n"
    script = "pwd; env; cat /etc/motd; ls /; stat -c '%u %g %a' /data /vol /work/here"
    lines = aionoah("run", "--image", pulled, "--", "sh", "-c", script).stdout.splitlines()
    assert lines[0] == "/work/here"
    assert {"HOME=/home/alice", "PATH=/bin", "COLOUR=blue"} <= set(lines)
    assert not [line for line in lines if line.startswith("AIONOAH_HOME")]
    assert "hello" in lines
    assert "old" not in lines
    assert lines[-3:] == ["1234 5678 700", "1234 50 755", "1234 50 755"]


@pytest.mark.parametrize("network", ["host", "none"])
def test_with_the_network_of_the_host_goes_its_name(aionoah: Command, pulled: str, network: str) -> None:
    done = aionoah("run", "--image", pulled, "--net", network, "--", "cat", "/proc/sys/kernel/hostname")
    file = Path("/etc/hostname")
    own = file.read_text() if file.is_file() else ""
    assert done.stdout.strip() == ((own.strip() if network == "host" else "") or "aionoah")


def test_what_is_given_comes_first(aionoah: Command, pulled: str) -> None:
    given = ["-u", "0:7", "-w", "/etc", "-e", "COLOUR=red", "-e", "MORE=1", "--entrypoint", "/bin/sh"]
    done = aionoah(
        "run", "--image", pulled, *given, "--", "-c", "pwd; id -u; id -g; echo $COLOUR $MORE; cat motd"
    )
    assert done.stdout == "/etc\n0\n7\nred 1\nhello\n"
    done = aionoah("run", "--image", pulled, "-u", "alice")
    assert done.stdout == "uid=1234(alice) gid=5678 groups=10(wheel),5678\n"


def test_changes_are_private_or_kept(aionoah: Command, pulled: str, home: Path) -> None:
    script = "echo new >/etc/motd; rm /etc/group; cat /etc/motd"
    assert aionoah("run", "-u", "0", "--image", pulled, "--", "sh", "-c", script).stdout == "new\n"
    assert aionoah("run", "--image", pulled, "--", "cat", "/etc/motd").stdout == "hello\n"
    keep = ["--upper", home / "upper", "-u", "0", "--image", pulled, "--"]
    aionoah("run", *keep, "sh", "-c", script)
    assert aionoah("run", *keep, "cat", "/etc/motd").stdout == "new\n"


def test_images_and_rmi(aionoah: Command, pulled: str, home: Path) -> None:
    listed = aionoah("images").stdout.splitlines()
    assert listed[0].split() == ["IMAGE", "ARCHITECTURE", "CONFIGURATION", "PULLED", "SIZE"]
    assert listed[1].split()[:2] == [pulled, "x86_64"]
    assert aionoah("rmi", pulled).returncode == 0
    assert aionoah("images").stdout.count("\n") == 1
    assert not list((home / "images" / "layers").iterdir())
    assert "`aionoah images` lists them" in complaint(aionoah("rmi", pulled))


def test_import(aionoah: Command, tmp_path: Path) -> None:
    (tmp_path / "tree.tar").write_bytes(lower())
    assert "give it a NAME" in complaint(aionoah("import", "tree.tar"))
    assert aionoah("import", "tree.tar", "tree").returncode == 0
    assert aionoah("run", "--image", "tree", "--", "cat", "/old/file").stdout == "old\n"
    assert "does not say what to run" in complaint(aionoah("run", "--image", "tree"))


def test_complaints(aionoah: Command, pulled: str, registry: FakeRegistry, home: Path) -> None:
    assert "aionoah pull nothing:latest" in complaint(aionoah("run", "--image", "nothing", "true"))
    assert "no user bob" in complaint(aionoah("run", "--image", pulled, "-u", "bob"))
    assert "has no" in complaint(aionoah("pull", f"{registry.name}:two"))
    assert "no name of an image" in complaint(aionoah("pull", "Not A Name"))
    Path(home, "tree.tar").write_bytes(lower())
    limited = aionoah("import", "--limit", "1000", home / "tree.tar", "x")
    assert "larger than 1000 bytes" in complaint(limited)
    assert "exclude" in aionoah("run", "--image", pulled, "--root", "/usr", "id").stderr
    assert "PROGRAM" in aionoah("run").stderr


def test_debians_registry(aionoah: Command, tmp_path: Path) -> None:
    """Umoci makes an image, skopeo pushes it to docker-registry, and we pull it."""

    def call(*words: str | Path) -> None:
        tool(*words, directory=tmp_path)

    rootfs = tmp_path / "bundle" / "rootfs"
    call("umoci", "init", "--layout", "oci")
    call("umoci", "new", "--image", "oci:one")
    rootless = ["--rootless"] if os.geteuid() else []
    call("umoci", "unpack", *rootless, "--image", "oci:one", "bundle")
    (rootfs / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", rootfs / "bin")
    (rootfs / "file").write_text("first\n")
    call("umoci", "repack", "--image", "oci:one", "bundle")
    shutil.rmtree(tmp_path / "bundle")
    call("umoci", "unpack", *rootless, "--image", "oci:one", "bundle")
    (rootfs / "file").unlink()
    (rootfs / "second").write_text("second\n")
    call("umoci", "repack", "--image", "oci:one", "bundle")
    call("umoci", "config", "--image", "oci:one", "--config.entrypoint", "/bin/busybox")

    with docker_registry(tmp_path) as address:
        name = f"{address}/team/image:one"
        call("skopeo", "copy", "--dest-tls-verify=false", "oci:oci:one", f"docker://{name}")
        assert aionoah("pull", name).returncode == 0
    done = aionoah("run", "--image", name, "--", "sh", "-c", "busybox ls /; busybox cat /second")
    assert done.stdout.split() == ["bin", "dev", "etc", "proc", "run", "second", "sys", "tmp", "second"]
