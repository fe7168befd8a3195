"""Shared, private and slave mounts: /proc/self/mountinfo says the same as natively after each step."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness.guest import STATIC, need_backend, need_tool

pytestmark = pytest.mark.guest
AIONOAH = Path(sys.executable).with_name("aionoah")

# Numbers of groups are shown in the order in which they come up.
SCRIPT = r"""
show() {
    echo "-- $1"
    awk -v p="$PWD/" 'index($5, p) == 1 {
        groups = ""
        for (i = 7; $i != "-"; i++) {
            split($i, kind, ":")
            if (!(kind[2] in known)) known[kind[2]] = ++count
            groups = groups " " kind[1] ":" known[kind[2]]
        }
        print substr($5, length(p)), $4 ~ /sub/ ? "sub" : "", groups
    }' /proc/self/mountinfo | sort
}
mkdir a b c d e; mount -t tmpfs t a; mkdir a/x a/y a/sub a/sub/z; show private
mount --make-shared a; mount --bind a b; mount --bind a c; mount --make-slave c
mount --bind a d; mount --make-slave d; mount --make-shared d; mount --bind a/sub e; show groups
mount -t tmpfs t2 a/x; show "in a"; touch a/x/file; ls b/x c/x d/x
mount -t tmpfs t3 c/y; show "in a slave"; mount -t tmpfs t4 d/y; show "in one that is shared"
mount -t tmpfs t5 a/sub/z; show "below another root"
cd b/x; umount ../../a/x 2>/dev/null; echo $?; cd ../..; umount b/x; show "taken away"; umount a/sub/z
mount --bind a/y a/x; show "bound inside"; umount d/x; show "away from the slave only"
mount --rbind c a/sub/z 2>/dev/null; echo $?; show "with what is in it"; umount -R a/sub/z
mount --move b/x c/x 2>/dev/null; echo $?; umount a/x
mount --make-private a; mount -t tmpfs t6 a/x; show "a is private"; mount --make-private b; umount e; show "the group has ended"
mount --make-unbindable b; show unbindable; mount --bind b e 2>/dev/null; echo $?
umount -l d; umount -l a; umount -l b; umount -l c; show end
"""


def run(command: list[str | Path]) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="the oracle mounts")
def test_as_natively(tmp_path: Path) -> None:
    need_backend(STATIC)
    need_tool("awk")
    expected = run(["unshare", "-m", "--propagation", "private", "sh", "-c", f"cd {tmp_path}; {SCRIPT}"])
    found = run([AIONOAH, "run", "--", "sh", "-c", f"mkdir /tmp/place; cd /tmp/place; {SCRIPT}"])
    assert expected.count("\n") > 60
    assert found == expected
