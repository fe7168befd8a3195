"""Programs that live from files do in a private root what they do natively."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from harness.guest import STATIC, need_backend, need_tool

pytestmark = pytest.mark.guest
AIONOAH = Path(sys.executable).with_name("aionoah")

TREE = """
umask 022; mkdir -p t/d; echo a > t/a; ln t/a t/b; ln -s a t/c; mkfifo t/p; echo x > t/d/x
truncate -s 1M t/sparse; echo end >> t/sparse; [ $(id -u) != 0 ] || chown 5:6 t/a t/c -h
setfattr -n user.note -v kept t/a; chmod 4711 t/a; chmod 1777 t/d; touch -d 2001-02-03T04:05:06 t/d/x t/a t/sparse
describe() { (cd $1; find . | sort | xargs stat -c '%n %A %h %u %g %F' ; stat -c '%Y %s' d/x sparse a; md5sum sparse a
  getfattr -d a; test $(stat -c %b sparse) -lt 100 && echo sparse); }
"""
SCRIPTS = {
    "tar": "tar --xattrs -S -cpf t.tar t; mkdir x; tar --xattrs -S -xpf t.tar -C x; describe x/t; tar -tvf t.tar | wc -l",
    "cp": "cp -a --reflink=auto t u; describe u; cmp t/a u/a && echo same",
    "rsync": "rsync -aHAXS t/ r/; describe r; rsync -aHAXi t/ r/",
    "find": "touch -d 2000-01-01 old; find t -newer old -type f | sort; find t -perm -4000; find t -user $(id -u) | wc -l",
    "mv": "mv t/d t/e; mv t/a t/z; mkdir -p n/m; mv n t; mv t w; find w | sort; describe w 2>&1 | grep -c .",
    "rm": "rm t/b; stat -c %h t/a; rm -r t/d; rm -rf t; ls -A",
    "git": """export HOME=$PWD GIT_AUTHOR_DATE='1 +0000' GIT_COMMITTER_DATE='1 +0000'
        git config --global user.email a@b; git config --global user.name n; git config --global init.defaultBranch main
        git init -q g; cd g; mkdir s; for i in $(seq 50); do echo $i > s/$i; done; git add .; git commit -qm one
        git branch side; echo x > s/1; git commit -qam two; git checkout -q side; echo y > s/2; git commit -qam three
        git checkout -q main; git merge -q -m merged side; git gc -q; git fsck; git status --short; cd ..
        git clone -q file://$PWD/g h; cd h; git log --format=%H; git ls-files -s | md5sum""",
}


def natively(script: str, directory: Path) -> tuple[int, str, str]:
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, cwd=directory, check=False)
    return done.returncode, done.stdout, done.stderr


def in_guest(script: str, directory: Path, *options: str) -> tuple[int, str, str]:
    command = [AIONOAH, "run", "-w", directory, *options, "--", "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("name", SCRIPTS)
def test_as_natively(name: str) -> None:
    """In a directory that the root has, so that all goes through the overlay."""
    need_backend(STATIC)
    for tool in ("setfattr", "rsync", "git"):
        need_tool(tool)
    script = TREE + SCRIPTS[name]
    with TemporaryDirectory(prefix="aionoah-test-", dir="/var/tmp") as place:
        found = in_guest(script, Path(place))
        assert os.listdir(place) == []
        assert found == natively(script, Path(place))


# -- packages ---------------------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A small one with a directory, a link, a set-user-ID program, owners and scripts."""
    need_tool("dpkg-deb")
    top = tmp_path / "package"
    for name in ("DEBIAN", "usr/bin", "usr/share/aionoah-test"):
        (top / name).mkdir(parents=True)
    (top / "DEBIAN/control").write_text(
        "Package: aionoah-test\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: a test\n"
    )
    (top / "DEBIAN/postinst").write_text("#!/bin/sh\nchown daemon:mail /usr/bin/aionoah-test-setuid\n")
    (top / "DEBIAN/postinst").chmod(0o755)
    (top / "usr/bin/aionoah-test").write_text("#!/bin/sh\necho it works\n")
    (top / "usr/bin/aionoah-test-setuid").write_text("#!/bin/sh\n")
    (top / "usr/bin/aionoah-test").chmod(0o755)
    (top / "usr/bin/aionoah-test-setuid").chmod(0o4755)
    (top / "usr/share/aionoah-test/link").symlink_to("../../bin/aionoah-test")
    for path in (top, *top.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    made = tmp_path / "test.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", top, made], check=True, capture_output=True)
    return made


INSTALL = """
dpkg --no-triggers -i /package.deb && aionoah-test
stat -c '%n %A %U %G' /usr/bin/aionoah-test* /usr/share/aionoah-test /usr/share/aionoah-test/link
dpkg --no-triggers -r aionoah-test; ls /usr/bin/aionoah-test /usr/share/aionoah-test
"""
INSTALLED = """it works
/usr/bin/aionoah-test -rwxr-xr-x root root
/usr/bin/aionoah-test-setuid -rwxr-xr-x daemon mail
/usr/share/aionoah-test drwxr-xr-x root root
/usr/share/aionoah-test/link lrwxrwxrwx root root
"""

Starter = Callable[[list[str]], list[str]]


def as_we_are(command: list[str]) -> list[str]:
    return command


def as_an_ordinary_user(command: list[str]) -> list[str]:
    """Somebody who can read what we can and do nothing else, with a /dev/kvm to use."""
    script = (
        "kvm=$(mktemp -u /tmp/kvm.XXXXXX); mknod -m 666 $kvm c 10 232; mount --bind $kvm /dev/kvm; rm $kvm; "
        "exec setpriv --reuid 65534 --regid 65534 --clear-groups "
        '--inh-caps +dac_read_search --ambient-caps +dac_read_search -- "$@"'
    )
    return ["unshare", "--mount", "sh", "-c", script, "sh", *command]


@pytest.mark.parametrize("start", [as_we_are, as_an_ordinary_user])
def test_a_package_is_installed_and_removed(package: Path, start: Starter) -> None:
    need_backend(STATIC)
    if start is as_an_ordinary_user and os.geteuid():
        pytest.skip("we are an ordinary user, and that has been tested")
    command = [str(AIONOAH), "run", "-u", "0", "-w", "/", "-v", f"{package}:/package.deb:ro"]
    done = subprocess.run(
        start([*command, "--", "sh", "-c", INSTALL]), capture_output=True, text=True, timeout=240, check=False
    )
    shown = "".join(
        line for line in done.stdout.splitlines(keepends=True) if line.startswith(("it ", "/usr"))
    )
    assert shown == INSTALLED, done.stderr
    assert done.stderr.count("No such file or directory") == 2
    assert not Path("/usr/bin/aionoah-test").exists()
