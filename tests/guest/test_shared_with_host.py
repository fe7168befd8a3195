"""Files of the host that programs of both sides lock, write and watch."""

import asyncio
import fcntl
import os
import sys
from pathlib import Path

import pytest
from harness.guest import DYNAMIC, need_backend, need_tool, run_in_guest, run_natively

pytestmark = [
    pytest.mark.guest,
    pytest.mark.asyncio(loop_factories=["uvloop"]),
    pytest.mark.skipif(sys.platform != "linux", reason="Debian's programs"),
]

MAKER = """
import sqlite3, sys
db = sqlite3.connect("db", isolation_level=None)
db.execute("pragma journal_mode=" + sys.argv[1])
db.execute("create table t(who text, n int)")
"""
WRITER = """
import sqlite3, sys
db = sqlite3.connect("db", timeout=200, isolation_level=None)
for i in range(20):
    db.execute("begin immediate"); db.execute("insert into t values(?, ?)", (sys.argv[1], i)); db.execute("commit")
"""
READER = """
import sqlite3
db = sqlite3.connect("db")
print(db.execute("select who, count(*), sum(n) from t group by who").fetchall())
print(db.execute("pragma integrity_check").fetchall())
"""


@pytest.fixture(autouse=True)
def _needs() -> None:
    need_backend(DYNAMIC)


@pytest.mark.parametrize("journal", ["wal", "delete"])
async def test_a_database(journal: str, tmp_path: Path) -> None:
    """One writer here, two in guests."""
    need_tool("/usr/bin/python3")
    made = run_natively(
        ["/usr/bin/python3", "-c", MAKER, journal], tmp_path
    )  # two who do so lock each other out
    assert (made.status, made.errors) == (0, "")
    command = ["/usr/bin/python3", "-c", WRITER]
    mine = await asyncio.create_subprocess_exec(*command, "host", cwd=tmp_path)
    done = await asyncio.gather(
        run_in_guest(DYNAMIC, [*command, "one"], tmp_path), run_in_guest(DYNAMIC, [*command, "two"], tmp_path)
    )
    assert await mine.wait() == 0
    assert [each.errors for each in done] == ["", ""]
    found = await run_in_guest(DYNAMIC, ["/usr/bin/python3", "-c", READER], tmp_path)
    assert found.output == "[('host', 20, 190), ('one', 20, 190), ('two', 20, 190)]\n[('ok',)]\n"


async def test_flock(tmp_path: Path) -> None:
    """A guest finds a lock of ours, and waits for it until we let go."""
    need_tool("flock")
    (tmp_path / "file").touch()
    fd = os.open(tmp_path / "file", os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    found = await run_in_guest(DYNAMIC, ["/usr/bin/flock", "-n", "file", "echo", "free"], tmp_path)
    assert (found.status, found.output) == (1, "")
    asyncio.get_running_loop().call_later(0.5, fcntl.flock, fd, fcntl.LOCK_UN)
    found = await run_in_guest(DYNAMIC, ["/usr/bin/flock", "file", "echo", "had it"], tmp_path)
    assert found.output == "had it\n"
    os.close(fd)


async def test_inotifywait(tmp_path: Path) -> None:
    """It ends with a change that a program of the host has made."""
    need_tool("inotifywait")
    script = "inotifywait -q -e create --format '%e %f' . & sleep 0.1; wait"
    watching = asyncio.ensure_future(run_in_guest(DYNAMIC, ["/bin/sh", "-c", script], tmp_path))
    number = 0
    while not watching.done():
        (tmp_path / f"file{number}").touch()
        number += 1
        await asyncio.wait([watching], timeout=0.05)
    done = await watching
    assert done.errors == ""
    assert done.output.startswith("CREATE file")
