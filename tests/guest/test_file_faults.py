"""What goes wrong with the host's files: its disks are full, or broken."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness.guest import DYNAMIC, STATIC, need_backend, need_tool

pytestmark = pytest.mark.guest
AIONOAH = Path(sys.executable).with_name("aionoah")
ROOT = pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="mounts")


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


def in_namespace(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A shell that may mount; $1 and so on are the arguments."""
    return run("unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", *arguments)


@ROOT
def test_a_full_disk(tmp_path: Path) -> None:
    need_backend(DYNAMIC)
    fill = "dd if=/dev/zero of={}/f bs=64k count=40 2>&1 | grep -v copied; stat -c %s {}/f; rm {}/f; df --output=size {}"
    script = (
        "mount -t tmpfs -o size=1m t $1; "
        f"{fill.format(*['$1'] * 4)}; echo --; $2 run -v $1:/mnt -- sh -c '{fill.format(*['/mnt'] * 4)}'"
    )
    done = in_namespace(script, tmp_path, AIONOAH)
    natively, _, in_guest = done.stdout.partition("--\n")
    assert "No space left on device" in natively
    assert in_guest == natively.replace(str(tmp_path), "/mnt")


@ROOT
@pytest.mark.parametrize("size", ["1500k", "6000k"])  # copied at once, and aside
def test_a_disk_that_is_full_while_a_file_is_copied_up(tmp_path: Path, size: str) -> None:
    need_backend(DYNAMIC)
    for name in ("upper", "lower"):
        (tmp_path / name).mkdir()
    for name in ("usr", "lib", "lib64", "bin"):
        (tmp_path / "lower" / name).symlink_to(f"/host/{name}")
    (tmp_path / "lower/note").write_text("before")
    inside = "md5sum <f; echo x >>f; md5sum <f; ls; echo after >>note; cat note"
    script = (
        "cd $1; head -c $3 /dev/urandom >lower/f; mount -t tmpfs -o size=1m t upper; mkdir upper/layer; md5sum <lower/f; "
        f"$2 run --root lower --upper upper/layer -v /:/host:ro -w / -- /bin/sh -c '{inside}'; "
        "md5sum <lower/f; find upper/layer -type f -printf '%P %s\\n'"
    )
    done = in_namespace(script, tmp_path, AIONOAH, size)
    assert done.stderr.count("No space left on device") == 1
    sums = [line for line in done.stdout.splitlines() if line.endswith(" -")]
    assert len(sums) == 4
    assert len(set(sums)) == 1
    assert done.stdout.splitlines()[-1] == "note 12"
    assert "beforeafter" in done.stdout


@ROOT
def test_a_disk_that_cannot_be_read(tmp_path: Path) -> None:
    """One that has become smaller than its file system, so that the end of a file is no more."""
    need_backend(STATIC)
    need_tool("mkfs.ext4")
    look = "cat f >/dev/null; head -c 100 f | wc -c; dd if=f of=/dev/null bs=4k skip=1000 count=1 2>&1 | head -1; cp f g; rm -f g"
    script = (
        "cd $1; mkdir disk; truncate -s 16M image; mkfs.ext4 -q -O ^has_journal image && mount -o loop image disk || exit 77; "
        "head -c 8M /dev/urandom >disk/f; loop=$(findmnt -no SOURCE disk); umount disk; mount -o loop image disk; "
        "loop=$(findmnt -no SOURCE disk); truncate -s 3M image; losetup -c $loop; "
        f"(cd disk; {look}) 2>&1; echo --; $2 run -v $1/disk:/mnt -w /mnt -- sh -c '{look}' 2>&1"
    )
    done = in_namespace(script, tmp_path, AIONOAH)
    if done.returncode == 77:
        pytest.skip("no loop devices")
    natively, _, in_guest = done.stdout.partition("--\n")
    assert "Input/output error" in natively
    assert in_guest == natively
