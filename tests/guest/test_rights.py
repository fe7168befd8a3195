"""Rights inside are no rights outside: a guest's root can do what the user that runs aionoah can do, and no more."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
from harness.guest import need_tool

pytestmark = [
    pytest.mark.guest,
    pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="becomes an ordinary user"),
]

# Becomes root if its file lets it.
_SU = """
#include <unistd.h>
int main(int argc, char **argv) { return argc < 2 || setgid(0) || setuid(0) || execv(argv[1], argv + 1); }
"""

# Runs everything once as root, so that what is imported later is there already; then as nobody.
_PROGRAM = """
import asyncio, json, os, sys
import aionoah

NOBODY = 65534
place, script = sys.argv[1:]


async def run():
    mounts = {"/mnt": place + "/shared"}
    async with aionoah.Linux(hypervisor="unicorn", architecture="x86_64", mounts=mounts) as linux:
        done = await linux.run(
            [place + "/su", place + "/sh", "-c", script], capture_output=True, user=NOBODY, env={}, cwd="/"
        )
        return done.stdout.decode() + done.stderr.decode()


asyncio.run(run())
for name in os.listdir(place + "/shared"):
    os.unlink(place + "/shared/" + name)
os.chown(place + "/shared", NOBODY, NOBODY)
os.chmod(place + "/shared", 0o755)
os.setgroups([])
os.setresgid(NOBODY, NOBODY, NOBODY)
os.setresuid(NOBODY, NOBODY, NOBODY)
print(json.dumps(asyncio.run(run())))
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that nobody can read, with a program in it that makes anybody root."""
    need_tool("busybox")
    need_tool("gcc")
    made = Path(mkdtemp(prefix="aionoah-rights-", dir="/var/tmp"))
    made.chmod(0o755)
    (made / "shared").mkdir()
    os.chown(made / "shared", 65534, 65534)
    shutil.copy(shutil.which("busybox") or "", made / "sh")
    (made / "sh").chmod(0o755)
    command = ["gcc", "-static", "-x", "c", "-", "-o", made / "su"]
    subprocess.run(command, input=_SU, text=True, check=True)
    (made / "su").chmod(0o6755)
    (made / "secret").write_text("secret\n")
    (made / "secret").chmod(0o600)
    (made / "closed").mkdir(mode=0o700)
    (made / "closed" / "file").write_text("secret\n")
    yield made
    shutil.rmtree(made)


def run_as_nobody(place: Path, script: str) -> str:
    command = [sys.executable, "-c", _PROGRAM, str(place), script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout))


def test_roots_eyes(place: Path) -> None:
    secret = f"{place}/secret"
    said = run_as_nobody(
        place,
        f"""
        id -u; cat {secret}; chmod 777 {secret}; cat {secret}; chown 65534 {secret}; cat {secret}
        cp {secret} /tmp/copy; ln {secret} {place}/shared/link; mv {secret} {place}/moved; cat {place}/moved
        ls {place}/closed; cat {place}/closed/file; echo x >{secret}; echo x >>{place}/closed/file
        grep -c . /etc/shadow; ls /proc/1/root; echo end
        """,
    )
    assert said.startswith("0\n")  # inside, it is root
    assert "secret\n" not in said.replace("/secret\n", "")
    assert "end\n" in said
    assert (place / "secret").read_text() == (place / "closed" / "file").read_text() == "secret\n"
    assert (place / "secret").stat().st_mode & 0o7777 == 0o600


def test_roots_gifts(place: Path) -> None:
    """What a guest's root makes is on the host no program that gives anybody rights, and no device."""
    said = run_as_nobody(
        place,
        f"""
        cd /mnt; cp {place}/sh program; chown 0:0 program; chmod 6755 program; ls -ln program
        mknod disk b 8 0; mknod memory c 1 1; chown 33 /mnt; ls -ln disk; chmod 4755 /mnt; echo end
        """,
    )
    assert "-rwsr-sr-x    1 0        0" in said
    assert "end\n" in said
    program = (place / "shared" / "program").stat()
    assert (program.st_uid, program.st_gid, program.st_mode & 0o7000) == (65534, 65534, 0)
    assert (place / "shared" / "disk").is_file()
    assert (place / "shared").stat().st_uid == 65534
    assert (place / "shared").stat().st_mode & 0o7000 == 0
