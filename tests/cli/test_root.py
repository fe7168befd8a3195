"""What becomes of changes to the root directory."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cli.conftest import AIONOAH, Command


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory that is part of the root, which /tmp is not, and one for private layers."""
    (tmp_path / "layers").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "layers"))
    with TemporaryDirectory(prefix="aionoah-test-", dir="/var/tmp") as made:
        (Path(made) / "file").write_text("old\n")
        yield Path(made)


def test_changes_are_private_and_vanish(aionoah: Command, place: Path, tmp_path: Path) -> None:
    script = f"cd {place}; echo new > file; rm -f x; echo x > x; cat file x; ls"
    assert aionoah("run", "sh", "-c", script).stdout == "new\nx\nfile\nx\n"
    assert os.listdir(place) == ["file"]
    assert (place / "file").read_text() == "old\n"
    assert os.listdir(tmp_path / "layers") == []


def test_an_upper_directory_keeps_them(aionoah: Command, place: Path, tmp_path: Path) -> None:
    upper = tmp_path / "upper"
    script = f"cd {place}; echo new > file; mkdir -p d/e; ln -s e d/l; echo y > y"
    assert aionoah("run", "--upper", upper, "sh", "-c", script).returncode == 0
    again = aionoah("run", "--upper", upper, "sh", "-c", f"cd {place}; cat file y; ls d; rm file; ls")
    assert again.stdout == "new\ny\ne\nl\nd\ny\n"
    assert os.listdir(place) == ["file"]
    assert not list(upper.glob(".wh*"))


def test_rw_and_read_only(aionoah: Command, place: Path, tmp_path: Path) -> None:
    done = aionoah("run", "--read-only", "sh", "-c", f"echo x > {place}/x")
    assert "Read-only" in done.stderr
    assert aionoah("run", "--rw", "sh", "-c", f"echo x > {place}/x").returncode == 0
    assert (place / "x").read_text() == "x\n"


def test_they_exclude_each_other(aionoah: Command, tmp_path: Path) -> None:
    done = aionoah("run", "--rw", "--upper", tmp_path / "u", "true")
    assert done.returncode == 2
    assert "exclude each other" in done.stderr


def test_what_was_synced_survives_a_kill(aionoah: Command, place: Path, tmp_path: Path) -> None:
    """Every write whose fsync has returned is in the upper directory, which mounts again."""
    upper = tmp_path / "upper"
    program = (
        "import os, sys\n"
        f"fd = os.open('{place}/file', os.O_WRONLY | os.O_APPEND)\n"
        "for number in range(1000):\n"
        "    os.write(fd, b'%06d\\n' % number); os.fsync(fd); print(number, flush=True)\n"
    )
    command = [AIONOAH, "run", "--upper", upper, "python3", "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        lines = [int(running.stdout.readline()) for _ in range(100)]
        running.send_signal(signal.SIGKILL)
        lines += [int(line) for line in running.stdout.read().split("\n") if line.isdecimal()]
    seen = aionoah("run", "--upper", upper, "cat", f"{place}/file").stdout.splitlines()
    assert seen[0] == "old"
    assert len(seen) - 1 >= lines[-1] + 1
    assert seen[1:] == [f"{number:06}" for number in range(len(seen) - 1)]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
def test_a_full_disk_is_a_full_disk(aionoah: Command, place: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=256k", "small", small]
    if subprocess.run(mounted, check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        script = f"cd {place}; dd if=/dev/zero of=big bs=4k count=200; echo status $?; cat file; rm big; echo ok > new; cat new"
        done = aionoah("run", "--upper", small / "upper", "sh", "-c", script)
        assert "No space left on device" in done.stderr
        assert done.stdout == "status 1\nold\nok\n"
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_private_layer_of_a_killed_instance_goes(aionoah: Command, place: Path, tmp_path: Path) -> None:
    command = [AIONOAH, "run", "sh", "-c", f"echo x > {place}/x; echo made; sleep 100"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "made\n"
        (left,) = os.listdir(tmp_path / "layers")
        running.kill()
    assert os.listdir(tmp_path / "layers") == [left]
    assert aionoah("run", "sh", "-c", f"echo y > {place}/y").returncode == 0
    assert os.listdir(tmp_path / "layers") == []


def test_one_instance_at_a_time_has_an_upper_directory(aionoah: Command, tmp_path: Path) -> None:
    upper = tmp_path / "upper"
    command = [AIONOAH, "run", "--upper", upper, "--", "sh", "-c", "echo ready; cat"]
    first = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert first.stdin is not None
    assert first.stdout is not None
    assert first.stdout.readline() == b"ready\n"
    refused = aionoah("run", "--upper", upper, "true")
    assert refused.returncode != 0
    assert "another instance writes to it" in refused.stderr
    assert "Traceback" not in refused.stderr
    first.stdin.close()
    first.stdout.close()
    assert first.wait() == 0
    assert aionoah("run", "--upper", upper, "true").returncode == 0
