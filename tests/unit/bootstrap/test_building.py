"""What is planned, and what a tree is told of where it comes from."""

import asyncio
from pathlib import Path

import pytest

from aionoah.bootstrap import BootstrapError
from aionoah.bootstrap.building import _new_log, bootstrap, sources
from aionoah.bootstrap.configuring import _lines, script
from aionoah.bootstrap.mirror import Wanted
from aionoah.bootstrap.packages import Package
from aionoah.bootstrap.plan import new_plan


@pytest.fixture
def keyring(tmp_path: Path) -> Path:
    path = tmp_path / "debian-archive-keyring.gpg"
    path.write_bytes(b"keys")
    return path


def test_what_distributions_have_agreed_upon(keyring: Path) -> None:
    plan = new_plan("debian", "x86_64", keyring=keyring)
    assert (plan.suite, plan.architecture, plan.components) == ("stable", "amd64", ("main",))
    assert plan.is_official
    lines = sources(plan, "bookworm").splitlines()
    signed = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    assert lines == [
        f"{signed} http://deb.debian.org/debian bookworm main",
        f"{signed} http://deb.debian.org/debian bookworm-updates main",
        f"{signed} http://deb.debian.org/debian-security bookworm-security main",
    ]


def test_a_mirror_of_ones_own(keyring: Path) -> None:
    own = keyring.rename(keyring.with_name("own.gpg"))
    plan = new_plan(
        "debian", "aarch64", suite="sid", mirror="http://mirror/", components=("main", "contrib"), keyring=own
    )
    assert (
        sources(plan, "sid") == "deb [signed-by=/etc/apt/keyrings/own.gpg] http://mirror sid main contrib\n"
    )


def test_ubuntu_has_other_architectures_elsewhere(keyring: Path) -> None:
    assert new_plan("ubuntu", "aarch64", keyring=keyring).mirror == "http://ports.ubuntu.com/ubuntu-ports"
    assert new_plan("ubuntu", "x86_64", keyring=keyring).mirror == "http://archive.ubuntu.com/ubuntu"


@pytest.mark.parametrize("mirror", ["", "deb.debian.org", "ftp://deb.debian.org", "/srv/mirror"])
def test_what_is_no_mirror(keyring: Path, mirror: str) -> None:
    with pytest.raises(BootstrapError, match=r"is no mirror: write an address such as http://deb\.debian"):
        new_plan("debian", "x86_64", keyring=keyring, mirror=mirror)


def test_without_keys(tmp_path: Path) -> None:
    with pytest.raises(BootstrapError, match="debian-archive-keyring; or give --keyring"):
        new_plan("debian", "x86_64", keyring=tmp_path / "nothing")


def test_the_order_of_the_second_stage() -> None:
    names = ["apt", "base-files", "base-passwd", "dpkg", "mawk"]
    packages = [Package(name, "1:2", "all", Wanted("", 0, ""), ()) for name in names]
    steps = [line for line in script(packages).splitlines() if "dpkg --" in line]
    assert [line.rpartition(" ")[2] for line in steps] == [
        *(
            "base-passwd_1%3a2_all.deb",
            "base-files_1%3a2_all.deb",
            "dpkg_1%3a2_all.deb",
            "mawk_1%3a2_all.deb",
        ),
        *("*.deb", "--pending", ">&2"),
    ]


def test_logs_are_nobody_elses(tmp_path: Path) -> None:
    mine = tmp_path / "tree.log"
    mine.write_text("mine")
    assert _new_log(tmp_path / "tree") == tmp_path / "tree1.log"
    assert _new_log(tmp_path / "tree") == tmp_path / "tree2.log"
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("name", [".", "", "../place", "a/.."])
def test_the_working_directory(
    keyring: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The tree would take its place, and whoever is in it would still see the old one."""
    (tmp_path / "place").mkdir()
    monkeypatch.chdir(tmp_path / "place")
    with pytest.raises(BootstrapError, match="/place is the working directory: go somewhere else"):
        bootstrap(
            new_plan("debian", "x86_64", keyring=keyring), Path(name), lambda _: pytest.fail("too late")
        )


async def test_lines_of_any_length() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(b"one\n" + b"x" * 200_000 + b"\nlast")
    reader.feed_eof()
    lines = [line async for line in _lines(reader)]
    assert b"".join(lines) == b"one\n" + b"x" * 200_000 + b"\nlast"
    assert (lines[0], lines[-1]) == (b"one\n", b"last")
    assert max(map(len, lines)) <= 2 * 65536
