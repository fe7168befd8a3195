"""File systems of the application's, used by real programs."""

import asyncio
import errno
import signal
from typing import Any

import pytest

import aionoah
from aionoah.fs import Device, FileSystem, FsspecFileSystem, Stat, TextFile


class Slow(FileSystem):
    """Every method awaits; reading /hang never ends, /boom raises, /bad makes no sense."""

    def __init__(self) -> None:
        self.files = {"/hello": b"hello\n", "/hang": b"x", "/boom": b"x", "/full": b"x"}
        self.hanging = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def stat(self, path: str) -> Stat:
        await asyncio.sleep(0)
        if path == "/":
            return Stat("directory")
        if path == "/bad":
            return 5  # type: ignore[return-value]
        return Stat(size=len(self.files[path])) if path in self.files else self._none(path)

    def _none(self, path: str) -> Stat:
        raise FileNotFoundError(path)

    async def listdir(self, path: str) -> list[str]:
        await asyncio.sleep(0)
        return [name[1:] for name in self.files]

    async def read(self, path: str, offset: int, size: int) -> bytes:
        await asyncio.sleep(0)
        if path == "/hang":
            self.hanging.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled.set()
        if path == "/boom":
            raise ZeroDivisionError
        return self.files[path][offset : offset + size]

    async def write(self, path: str, offset: int, data: bytes) -> int:
        await asyncio.sleep(0)
        if path == "/full":
            raise OSError(errno.ENOSPC, "full")
        old = self.files[path]
        self.files[path] = old[:offset].ljust(offset, b"\0") + data[:4] + old[offset + 4 :]
        return len(data[:4])  # never all of it

    async def create(self, path: str, mode: int) -> None:
        await asyncio.sleep(0)
        self.files[path] = b""

    async def truncate(self, path: str, size: int) -> None:
        await asyncio.sleep(0)
        self.files[path] = self.files[path][:size]

    async def remove(self, path: str) -> None:
        await asyncio.sleep(0)
        del self.files[path]

    async def rename(self, path: str, new_path: str) -> None:
        await asyncio.sleep(0)
        self.files[new_path] = self.files.pop(path)


async def shell(linux: aionoah.Linux, script: str) -> tuple[str, str]:
    done = await linux.run(["sh", "-c", script], capture_output=True, timeout=200)
    return done.stdout.decode(), done.stderr.decode()


async def test_coroutines() -> None:
    slow = Slow()
    async with aionoah.Linux(mounts={"/data": slow}) as linux:
        assert await shell(linux, "cd /data; cat hello; ls | sort | head -2; test -e no || echo none") == (
            "hello\nboom\nfull\nnone\n",
            "",
        )
        await shell(linux, "cd /data; echo longer text > new; mv new moved; rm hello; echo more >> moved")
        assert slow.files["/moved"] == b"longer text\nmore\n"
        assert "/hello" not in slow.files
        out, err = await shell(linux, "cd /data; cat boom; cat bad; echo x | tee full >/dev/null")
        assert out == ""
        assert err.count("Input/output error") == 2
        assert "No space left" in err


async def test_while_one_guest_waits_others_run() -> None:
    slow = Slow()
    async with aionoah.Linux(mounts={"/data": slow}) as linux:
        waiting = await linux.create_subprocess_exec("cat", "/data/hang")
        await asyncio.wait_for(slow.hanging.wait(), 200)
        assert await shell(linux, "cat /data/hello") == ("hello\n", "")
        waiting.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(waiting.wait(), 200) == -signal.SIGTERM
        await asyncio.wait_for(slow.cancelled.wait(), 200)


async def test_a_hanging_read_ends_with_the_instance() -> None:
    slow = Slow()
    async with aionoah.Linux(mounts={"/data": slow}) as linux:
        await linux.create_subprocess_exec("cat", "/data/hang")
        await asyncio.wait_for(slow.hanging.wait(), 200)
    await asyncio.wait_for(slow.cancelled.wait(), 200)


async def test_plain_methods_run_beside_the_loop() -> None:
    class Blocking(FileSystem):
        def stat(self, path: str) -> Stat:
            return Stat("directory") if path == "/" else Stat(size=2)

        def read(self, path: str, offset: int, size: int) -> bytes:
            asked.append(1)
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(200)  # would deadlock on the loop
            return b"ok"[offset:]

    asked: list[int] = []
    loop = asyncio.get_running_loop()
    async with aionoah.Linux(mounts={"/data": Blocking()}) as linux:
        assert await shell(linux, "cat /data/file") == ("ok", "")
    assert asked


async def test_a_dict() -> None:
    tree: dict[str, Any] = {"a": b"1\n", "d": {"b": bytearray(b"22")}}
    async with aionoah.Linux(mounts={"/data": tree}) as linux:
        out, err = await shell(
            linux,
            "cd /data; cat a d/b; echo new > e; mkdir f; cp a f; printf X | dd of=d/b conv=notrunc 2>&1 | tail -0; rm a",
        )
        assert (out, err) == ("1\n22", "")
        assert tree == {"d": {"b": bytearray(b"X2")}, "e": b"new\n", "f": {"a": b"1\n"}}
        tree["later"] = b"seen\n"
        assert await shell(linux, "cat /data/later") == ("seen\n", "")


@pytest.mark.parametrize("is_quick", [True, False])
async def test_programs_run_from_it(is_quick: bool) -> None:
    from aionoah.fs import DictFileSystem

    target = DictFileSystem({"bin": {}})
    target.is_quick = is_quick
    async with aionoah.Linux(mounts={"/data": target}) as linux:
        await shell(linux, "cp /bin/echo /bin/sh /data/bin; chmod +x /data/bin/*")
        done = await linux.run(["/data/bin/sh", "-c", "/data/bin/echo $0"], capture_output=True, cwd="/data")
        assert done.stdout == b"/data/bin/sh\n"


async def test_fsspec() -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory", skip_instance_cache=True)
    memory.pipe("/aionoah-test/d/one", b"1111\n")
    try:
        async with aionoah.Linux(mounts={"/data": FsspecFileSystem(memory, "/aionoah-test")}) as linux:
            script = (
                "cd /data; cat d/one; echo 2 > d/two; echo 3 >> d/one; cp d/one d/three; ls d; cat d/three"
            )
            assert await shell(linux, script) == ("1111\none\nthree\ntwo\n1111\n3\n", "")
        assert memory.cat_file("/aionoah-test/d/two") == b"2\n"
    finally:
        memory.rm("/aionoah-test", recursive=True)


async def test_what_is_not_closed_is_flushed_at_the_end() -> None:
    class Late(FileSystem):
        contents, flushed = b"", b""

        def stat(self, path: str) -> Stat:
            return Stat("directory") if path == "/" else Stat(size=len(self.contents))

        def write(self, path: str, offset: int, data: bytes) -> None:
            self.contents += data

        async def flush(self, path: str) -> None:
            await asyncio.sleep(0.01)
            self.flushed = self.contents

    late = Late()
    async with aionoah.Linux(mounts={"/data": late}) as linux:
        await linux.run(["sh", "-c", "exec 5>>/data/f; echo hey >&5; kill -9 $$"])
    assert late.flushed == b"hey\n"


async def test_devices_and_texts() -> None:
    readings = asyncio.Queue[bytes]()
    written: list[bytes] = []

    async def read(size: int) -> bytes:
        return (await readings.get())[:size]

    async def temperature() -> str:
        await asyncio.sleep(0)
        return "21.5\n"

    mounts = {"/dev/sensor": Device(read, written.append), "/proc/temperature": TextFile(temperature)}
    async with aionoah.Linux(mounts=mounts) as linux:
        running = await linux.create_subprocess_exec(
            "sh",
            "-c",
            "head -c 5 /dev/sensor; cat /proc/temperature; echo on > /dev/sensor",
            stdout=aionoah.PIPE,
        )
        for part in (b"abc", b"de"):
            readings.put_nowait(part)
        out, _ = await asyncio.wait_for(running.communicate(), 200)
    assert (out, written) == (b"abcde21.5\n", [b"on\n"])


MOVES = r"""
import mmap, os, shutil

data = bytes(range(256)) * 2000
source = os.open("/data/source", os.O_RDONLY)


def target(name):
    return os.open(name, os.O_RDWR | os.O_CREAT)


def until_nothing(move):
    done = 0
    while count := move(done):
        done += count
    return done


sent = target("/data/sent")
assert until_nothing(lambda done: os.sendfile(sent, source, done, 10**6)) == len(data)
out = target("/tmp/out")
assert until_nothing(lambda done: os.sendfile(out, source, done, 10**6)) == len(data)
copied = target("/data/copied")
assert until_nothing(lambda done: os.copy_file_range(source, copied, 10**6, done, done)) == len(data)
for fd in (sent, out, copied):
    assert os.pread(fd, 10**6, 0) == data

reader, writer = os.pipe()
os.write(writer, data[:50000])
os.close(writer)
spliced = target("/data/spliced")
assert until_nothing(lambda done: os.splice(reader, spliced, 30000)) == 50000
assert os.pread(spliced, 10**6, 0) == data[:50000]
assert os.writev(spliced, [b"x" * 10, b"y" * 20]) == 30
shutil.copyfile("/data/source", "/data/copy")
assert mmap.mmap(source, 0, prot=mmap.PROT_READ, flags=mmap.MAP_PRIVATE)[:] == data
try:
    mmap.mmap(copied, 0)
except OSError as error:
    print(error.strerror)
"""


@pytest.mark.parametrize("is_async", [True, False])
async def test_what_moves_in_the_kernel(is_async: bool) -> None:
    """Calls of many steps: nothing is moved twice when one of them has to wait for the application."""

    class Store(FileSystem):
        def __init__(self) -> None:
            self.files = {"/source": bytes(range(256)) * 2000}

        def stat(self, path: str) -> Stat:
            if path != "/" and path not in self.files:
                raise FileNotFoundError
            return Stat("directory") if path == "/" else Stat(size=len(self.files[path]))

        def read(self, path: str, offset: int, size: int) -> bytes:
            return self.files[path][offset : offset + size]

        def write(self, path: str, offset: int, data: bytes) -> None:
            old = self.files[path]
            self.files[path] = old[:offset] + data + old[offset + len(data) :]

        def truncate(self, path: str, size: int) -> None:
            self.files[path] = self.files[path][:size]

        def create(self, path: str, mode: int) -> None:
            self.files[path] = b""

    class Later(Store):
        async def read(self, path: str, offset: int, size: int) -> bytes:  # type: ignore[override]
            await asyncio.sleep(0)
            return super().read(path, offset, size)

        async def write(self, path: str, offset: int, data: bytes) -> None:  # type: ignore[override]
            await asyncio.sleep(0)
            super().write(path, offset, data)

    store = Later() if is_async else Store()
    async with aionoah.Linux(mounts={"/data": store}) as linux:
        done = await linux.run(["/usr/bin/python3", "-c", MOVES], capture_output=True, timeout=200)
    assert (done.stdout, done.stderr) == (b"No such device\n", b"")
    assert store.files["/copy"] == store.files["/source"]
