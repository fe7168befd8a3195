"""`linux.files`: the guests' files from the application's side."""

import asyncio
import os
import stat
from pathlib import Path

import pytest

import aionoah


async def test_reading_and_writing(linux: aionoah.Linux) -> None:
    files = linux.files
    await files.write("/tmp/a", "text é\n")
    await files.write("/tmp/a", b"more\n", append=True)
    assert await files.read("/tmp/a") == "text é\nmore\n".encode()
    done = await linux.run(["sh", "-c", "cat /tmp/a; echo theirs > /tmp/b"], capture_output=True)
    assert done.stdout == await files.read(b"/tmp/a")
    assert await files.read("tmp/b") == b"theirs\n"


async def test_open_files(linux: aionoah.Linux) -> None:
    data = os.urandom(700_000)
    async with linux.files.open("/tmp/big", "w+b") as file:
        assert await file.write(data) == len(data)
        assert (await file.stat()).st_size == len(data)
        await file.seek(-5, os.SEEK_END)
        assert await file.read(100) == data[-5:]
        await file.seek(0)
        assert b"".join([part async for part in file]) == data
        await file.truncate(3)
        await file.sync()
    with pytest.raises(ValueError, match="closed"):
        await file.read(1)
    file = await linux.files.open("/tmp/big")
    assert await file.read() == data[:3]
    with pytest.raises(OSError, match="Bad file descriptor"):
        await file.write(b"x")
    await file.close()
    with pytest.raises(ValueError, match="mode"):
        linux.files.open("/tmp/big", "z")


async def test_a_fifo_waits_for_a_guest(linux: aionoah.Linux) -> None:
    await linux.run(["mkfifo", "/tmp/fifo"])
    reading = asyncio.create_task(linux.files.read("/tmp/fifo"))
    await linux.run(["sh", "-c", "echo through > /tmp/fifo"])
    assert await asyncio.wait_for(reading, 200) == b"through\n"


HOLDER = """
import fcntl, os, signal, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", flush=True)
signal.sigwait([signal.SIGIO])
print("told", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("path", ["/tmp/data", "/tmp/program"])
async def test_who_has_a_lease_is_asked_first(linux: aionoah.Linux, path: str) -> None:
    await linux.files.write(path, "#!/bin/echo\n", permissions=0o755)
    holder = await linux.create_subprocess_exec(
        "/usr/bin/python3", "-c", HOLDER, path, stdin=aionoah.PIPE, stdout=aionoah.PIPE
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"held\n"
    doing = linux.files.write(path, "new") if path == "/tmp/data" else linux.run([path])
    waiting = asyncio.ensure_future(doing)
    assert await holder.stdout.readline() == b"told\n"
    assert not waiting.done()
    holder.stdin.write(b"\n")
    await waiting
    assert await holder.wait() == 0


async def test_names(linux: aionoah.Linux) -> None:
    files = linux.files
    await files.mkdir("/tmp/d/e/f", parents=True)
    await files.mkdir("/tmp/d", exist_ok=True)
    with pytest.raises(FileExistsError):
        await files.mkdir("/tmp/d")
    await files.write("/tmp/d/x", b"")
    await files.symlink("x", "/tmp/d/l")
    assert sorted(await files.listdir("/tmp/d")) == ["e", "l", "x"]
    entries = {entry.name: (entry.is_dir, entry.is_symlink) for entry in await files.scandir("/tmp/d")}
    assert entries == {"e": (True, False), "l": (False, True), "x": (False, False)}
    walked = [
        (top, sorted(directories), sorted(rest)) async for top, directories, rest in files.walk("/tmp/d")
    ]
    assert walked == [
        ("/tmp/d", ["e"], ["l", "x"]),
        ("/tmp/d/e", ["f"], []),
        ("/tmp/d/e/f", [], []),
    ]
    assert await files.readlink("/tmp/d/l") == "x"
    await files.rename("/tmp/d/x", "/tmp/d/y")
    assert not await files.exists("/tmp/d/l")
    with pytest.raises(OSError, match="not empty"):
        await files.remove("/tmp/d")
    await files.remove("/tmp/d", recursive=True)
    assert "d" not in await files.listdir("/tmp")


async def test_attributes(linux: aionoah.Linux) -> None:
    files = linux.files
    await files.write("/tmp/a", b"12345", permissions=0o600)
    await files.chmod("/tmp/a", 0o640)
    await files.chown("/tmp/a", 7, -1)
    await files.utime("/tmp/a", (1_000_000_001, 2_000_000_002))
    found = await files.stat("/tmp/a")
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_size) == (0o640, 7, 5)
    assert (found.st_atime_ns, found.st_mtime_ns) == (1_000_000_001, 2_000_000_002)


async def test_errors_name_the_guests_path(linux: aionoah.Linux) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        await linux.files.read("/tmp/nothing")
    assert caught.value.filename == "/tmp/nothing"
    with pytest.raises(IsADirectoryError):
        await linux.files.write("/tmp", b"")


async def test_as_a_user(linux: aionoah.Linux) -> None:
    user = linux.files.as_user(1000, 1000)
    await user.write("/tmp/mine", b"")
    assert (await linux.files.stat("/tmp/mine")).st_uid == 1000
    await linux.files.write("/tmp/roots", b"", permissions=0o600)
    with pytest.raises(PermissionError):
        await user.read("/tmp/roots")


async def test_copying(linux: aionoah.Linux, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "big").write_bytes(os.urandom(600_000))
    (source / "script").write_text("#!/bin/sh\necho ran\n")
    (source / "script").chmod(0o751)
    os.utime(source / "script", ns=(5, 7_000_000_000))
    (source / "link").symlink_to("sub/big")
    seen: list[tuple[int, int]] = []
    await linux.files.copy_in(source, "/tmp/in", progress=lambda *counts: seen.append(counts))
    total = 600_000 + 19
    assert (seen[0], seen[-1]) == ((0, total), (total, total))
    done = await linux.run(["/tmp/in/script"], capture_output=True, user=0)  # as it belongs to root
    assert done.stdout == b"ran\n"
    seen.clear()
    await linux.files.copy_out("/tmp/in", tmp_path / "out", progress=lambda *counts: seen.append(counts))
    assert seen[-1] == (total, total)
    for name in ("sub/big", "script", "link"):
        assert (tmp_path / "out" / name).read_bytes() == (source / name).read_bytes()
    assert os.readlink(tmp_path / "out" / "link") == "sub/big"
    kept = (tmp_path / "out" / "script").stat()
    assert (stat.S_IMODE(kept.st_mode), kept.st_mtime_ns) == (0o751, 7_000_000_000)
    await linux.files.copy_out("/tmp/in/script", tmp_path / "one")
    assert (tmp_path / "one").read_bytes() == (source / "script").read_bytes()
    await asyncio.get_running_loop().shutdown_default_executor()  # its threads are the application's own


async def test_nothing_is_copied_out_through_a_link(linux: aionoah.Linux, tmp_path: Path) -> None:
    """A guest that replaces a link by a directory, or a file, of the same name."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").symlink_to(tmp_path / "secret")
    await linux.files.mkdir("/tmp/t/x", parents=True)
    await linux.files.write("/tmp/t/x/file", b"bad")
    with pytest.raises(FileExistsError):
        await linux.files.copy_out("/tmp/t", tmp_path / "out")
    await linux.files.remove("/tmp/t/x", recursive=True)
    await linux.files.write("/tmp/t/x", b"bad")
    with pytest.raises(FileExistsError):
        await linux.files.copy_out("/tmp/t", tmp_path / "out")
    assert not os.listdir(tmp_path / "secret")
    await asyncio.get_running_loop().shutdown_default_executor()


async def test_outside_the_block() -> None:
    files = aionoah.Linux().files
    with pytest.raises(RuntimeError):
        await files.read("/etc/passwd")


async def test_watching(linux: aionoah.Linux) -> None:
    await linux.files.mkdir("/tmp/w")
    async with linux.files.watch("/tmp/w") as changes:
        script = "cd /tmp/w; echo x > a; mv a b; mkdir d; rm b; rmdir d; cd /; rmdir /tmp/w"
        await linux.run(["sh", "-c", script], user=0)
        seen = []
        while not seen or seen[-1].kind != "gone":
            seen.append(await asyncio.wait_for(anext(changes), 200))
    kinds = [(change.kind, change.path, change.is_directory) for change in seen]
    assert kinds == [
        ("created", "/tmp/w/a", False),
        ("modified", "/tmp/w/a", False),
        ("written", "/tmp/w/a", False),
        ("moved away", "/tmp/w/a", False),
        ("moved here", "/tmp/w/b", False),
        ("created", "/tmp/w/d", True),
        ("removed", "/tmp/w/b", False),
        ("removed", "/tmp/w/d", True),
        ("removed", "/tmp/w", False),
        ("gone", "/tmp/w", False),
    ]
    assert seen[3].cookie == seen[4].cookie != 0
    with pytest.raises(ValueError, match="ended"):
        await anext(changes)
    with pytest.raises(FileNotFoundError):
        async with linux.files.watch("/tmp/nothing"):
            pass


async def test_processes_as_files(linux: aionoah.Linux) -> None:
    process = await linux.create_subprocess_exec("sleep", "60", stdin=aionoah.DEVNULL)
    top = f"/proc/{process.pid}"
    while b"S (sleeping)" not in await linux.files.read(f"{top}/status"):
        await asyncio.sleep(0)
    for name in await linux.files.listdir(top):
        if name == "pagemap":  # 256 GiB, as on Linux
            continue
        if stat.S_ISREG((await linux.files.stat(f"{top}/{name}", follow_symlinks=False)).st_mode):
            try:
                await linux.files.read(f"{top}/{name}")
            except OSError as error:
                # Of the one, nothing is to be read; of the other, nothing at its beginning.
                assert name in {"clear_refs", "mem"}, f"{name}: {error}"  # noqa: PT017
    assert b"/sleep" in await linux.files.read(f"{top}/maps")
    assert (await linux.files.readlink(f"{top}/exe")).endswith("/sleep")
    assert (await linux.files.readlink(f"{top}/fd/0")) == "/dev/null"
    process.kill()
    await process.wait()
