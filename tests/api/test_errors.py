"""What cannot be started: the exceptions of asyncio.subprocess, with one sentence for the user."""

import asyncio
import errno
import os
import struct
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from harness.guest import AARCH64, Compiler

import aionoah
from aionoah.hypervisor.errors import HypervisorError

Instance = Callable[[], aionoah.Linux]


@pytest.fixture
def instance(work: Path) -> Instance:
    """An instance to be entered, in which `work` is at /work."""
    return lambda: aionoah.Linux(mounts={"/work": work})


def executable(path: Path, content: bytes, mode: int = 0o755) -> None:
    path.write_bytes(content)
    path.chmod(mode)


def elf_header(machine: int, elf_class: int = 2) -> bytes:
    ident = b"\x7fELF" + bytes([elf_class, 1, 1, 0]) + bytes(8)
    return (
        ident
        + struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0x400000, 64, 0, 0, 64, 56, 1, 0, 0, 0)
        + bytes(56)
    )


def truncated() -> bytes:
    return Path("/bin/true").read_bytes()[:100]


BAD: dict[str, tuple[bytes, int, int, str]] = {
    "empty": (b"", 0o755, errno.ENOEXEC, "not"),
    "text": (b"hello\n", 0o755, errno.ENOEXEC, "not"),
    "truncated": (truncated(), 0o755, errno.ENOEXEC, "ends before"),
    "i386": (elf_header(3, 1), 0o755, errno.ENOEXEC, "not a 64-bit program"),
    "riscv": (elf_header(243), 0o755, errno.ENOEXEC, "riscv program; this machine runs x86_64"),
    "not_executable": (b"#!/bin/sh\n", 0o644, errno.EACCES, "not executable"),
    "no_interpreter": (b"#!/no/such/shell\n", 0o755, errno.ENOENT, "/no/such/shell"),
    "bad_script": (b"#!\n", 0o755, errno.ENOEXEC, "malformed"),
    "self": (b"#!/work/self\n", 0o755, errno.ELOOP, "too many times"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_file(instance: Instance, work: Path, name: str) -> None:
    content, mode, number, words = BAD[name]
    executable(work / name, content, mode)
    async with instance() as linux:
        with pytest.raises(OSError, match=words) as caught:
            await linux.create_subprocess_exec(f"/work/{name}")
        assert caught.value.errno == number
        assert caught.value.filename == f"/work/{name}"
        assert name in caught.value.strerror
        assert "\n" not in caught.value.strerror
        assert not linux.kernel.guests


async def test_missing_dynamic_loader(instance: Instance, work: Path) -> None:
    data = bytearray(Path("/bin/true").read_bytes())
    place = data.index(b"/lib64/ld-linux")
    data[place : place + 5] = b"/nope"
    executable(work / "lost", bytes(data))
    async with instance() as linux:
        with pytest.raises(FileNotFoundError, match=r"/work/lost .*/nope4?/ld-linux"):
            await linux.run(["/work/lost"])


async def test_the_wrong_architecture(instance: Instance, work: Path, compiled: Compiler) -> None:
    binary = compiled("api/calls", AARCH64)
    executable(work / "foreign", binary.read_bytes())
    async with instance() as linux:
        with pytest.raises(OSError, match=r"aarch64|AArch64") as caught:
            await linux.run(["/work/foreign"])
        assert caught.value.errno == errno.ENOEXEC


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/no/such/file", FileNotFoundError),
        ("/bin/true/nothing", NotADirectoryError),
        ("/usr", PermissionError),
        ("/dev/null", PermissionError),
        ("", FileNotFoundError),
        ("no-such-program-anywhere", FileNotFoundError),
        ("/" + "x" * 300, OSError),
        ("/" + "x/" * 3000, OSError),
    ],
)
async def test_a_bad_path(linux: aionoah.Linux, path: str, kind: type[OSError]) -> None:
    with pytest.raises(kind) as caught:
        await linux.create_subprocess_exec(path)
    assert caught.value.filename == path
    assert caught.value.strerror


async def test_programs_are_found_in_path(instance: Instance, work: Path) -> None:
    for place, content in (("a", b"#!/bin/sh\necho a\n"), ("b", b"#!/bin/sh\necho b\n")):
        (work / place).mkdir()
        executable(work / place / "tool", content)
    executable(work / "b" / "only", b"#!/bin/sh\necho only\n")
    async with instance() as linux:
        env = {"PATH": "/nowhere:/work/a:/work/b:/bin"}
        assert (await linux.run(["tool"], env=env, capture_output=True)).stdout == b"a\n"
        assert (await linux.run(["only"], env=env, capture_output=True)).stdout == b"only\n"
        assert (await linux.run(["b/tool"], env=env, cwd="/work", capture_output=True)).stdout == b"b\n"
        assert (
            await linux.run(["tool"], env={"PATH": ":"}, cwd="/work/b", capture_output=True)
        ).stdout == b"b\n"
        with pytest.raises(FileNotFoundError, match="PATH"):
            await linux.run(["tool"], env={"PATH": "/nowhere"})
        assert (await linux.run(["true"], env={})).returncode == 0, "there is a default"


async def test_what_may_not_be_executed_is_passed_over_in_path(instance: Instance, work: Path) -> None:
    (work / "a").mkdir()
    (work / "b").mkdir()
    executable(work / "a" / "tool", b"#!/bin/sh\n", 0o644)
    async with instance() as linux:
        env = {"PATH": "/work/a:/work/b"}
        with pytest.raises(PermissionError, match="/work/a/tool"):
            await linux.run(["tool"], env=env)
        executable(work / "b" / "tool", b"#!/bin/sh\nexit 4\n")
        assert (await linux.run(["tool"], env={"PATH": "/work/a:/work/b"})).returncode == 4


@pytest.mark.parametrize(("cwd", "kind"), [("/nope", FileNotFoundError), ("/bin/true", NotADirectoryError)])
async def test_a_bad_directory(linux: aionoah.Linux, cwd: str, kind: type[OSError]) -> None:
    with pytest.raises(kind, match=f"{cwd} cannot be the working directory"):
        await linux.run(["true"], cwd=cwd)


async def test_too_many_arguments(linux: aionoah.Linux) -> None:
    with pytest.raises(OSError, match="Argument list too long") as caught:
        await linux.run(["true", "x" * (1 << 18)])
    assert caught.value.errno == errno.E2BIG
    with pytest.raises(OSError, match="Argument list too long"):
        await linux.run(["true"], env={f"V{i}": "x" * 100_000 for i in range(100)})


@pytest.mark.parametrize(
    "options",
    [{"args": ["true", "a\0b"]}, {"args": ["true"], "env": {"A": "\0"}}, {"args": ["true"], "cwd": "/\0"}],
)
async def test_nul_bytes(linux: aionoah.Linux, options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="null byte"):
        await linux.run(**options)


@pytest.mark.parametrize("options", [{"user": -1}, {"group": 1 << 32}, {"user": (1 << 32) - 1}])
async def test_impossible_users(linux: aionoah.Linux, options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="4294967294"):
        await linux.run(["true"], **options)


async def test_no_more_threads(linux: aionoah.Linux, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(BlockingIOError, match="true cannot be started: Resource temporarily unavailable"):
            await linux.run(["true"], capture_output=True)
    assert (await linux.run(["true"])).returncode == 0


async def test_no_more_virtual_cpus(linux: aionoah.Linux, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise HypervisorError("Too many.")

    in_use = linux._machine.frames.in_use
    with monkeypatch.context() as patched:
        patched.setattr(linux._machine, "new_vcpu", refuse)
        with pytest.raises(HypervisorError, match="Too many"):
            await linux.run(["true"], capture_output=True)
    assert not linux.kernel.guests
    assert linux._machine.frames.in_use == in_use
    assert (await linux.run(["true"])).returncode == 0


async def test_only_inside_the_block() -> None:
    linux = aionoah.Linux()
    with pytest.raises(RuntimeError, match="async with"):
        await linux.run(["true"])
    async with linux:
        await linux.run(["true"], check=True)
    with pytest.raises(RuntimeError, match="async with"):
        await linux.run(["true"])


async def test_an_instance_may_be_entered_again() -> None:
    linux = aionoah.Linux()
    for _ in range(2):
        async with linux:
            assert (await linux.run(["echo", "hi"], capture_output=True)).stdout == b"hi\n"


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"root": "/no/such/root"}, FileNotFoundError, "/no/such/root cannot be the root"),
        ({"root": "/bin/true"}, NotADirectoryError, "/bin/true cannot be the root"),
        ({"mounts": {"/x": "/no/such/place"}}, FileNotFoundError, "/no/such/place cannot be shown"),
        ({"mounts": {"/": "/usr"}}, OSError, "/usr cannot be mounted at /"),
        ({"mounts": {"/usr/../x": "/usr"}}, OSError, "/usr cannot be mounted"),
        ({"mounts": {"/etc/passwd": "/usr"}}, NotADirectoryError, "/usr cannot be mounted at /etc/passwd"),
        ({"hypervisor": "none"}, HypervisorError, "none is not a hypervisor"),
        ({"architecture": "m68k"}, HypervisorError, "m68k is not a guest architecture"),
        ({"architecture": "aarch64", "hypervisor": "kvm"}, HypervisorError, "aarch64"),
    ],
)
async def test_an_instance_that_cannot_be(
    options: dict[str, object], kind: type[Exception], words: str
) -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(kind, match=words):
        async with aionoah.Linux(**options):
            pass
    assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"memory": 0}, "memory"),
        ({"memory": -1}, "memory"),
        ({"pids": 0}, "pids"),
        ({"network": "wide"}, "network must be one of"),
        ({"writes": "all"}, "writes must be one of"),
        ({"root": []}, "root must be"),
        ({"x11": "far"}, "x11 is 'far', which is no name"),
        ({"hostname": "n" * 65}, "64 bytes"),
        ({"hostname": "na\0me"}, "NUL"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        aionoah.Linux(**options)


@pytest.mark.parametrize(
    "options", [{"network": 3}, {"mounts": ["/mnt"]}, {"strace": "file"}, {"memory": "1G"}]
)
def test_options_of_wrong_kinds(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=f"{next(iter(options))} must be|not supported"):
        aionoah.Linux(**options)


async def test_it_is_used_on_its_own_loop(linux: aionoah.Linux) -> None:
    """One of another thread is told so, and harms nobody."""

    def elsewhere() -> list[str]:
        sentences = []
        for attempt in (linux.run(["true"]), linux.files.read("/etc/passwd")):
            with pytest.raises(RuntimeError) as caught, asyncio.Runner() as runner:
                runner.run(attempt)
            sentences.append(str(caught.value))
        return sentences

    with ThreadPoolExecutor(1) as pool:
        sentences = pool.submit(elsewhere).result()
    assert sentences == ["a Linux is used on the event loop that it was entered on"] * 2
    await linux.run(["true"], check=True)


async def test_it_is_entered_once_at_a_time() -> None:
    linux = aionoah.Linux()
    async with linux:
        with pytest.raises(RuntimeError, match="once at a time"):
            await linux.__aenter__()
        await linux.run(["true"], check=True)
    failing = aionoah.Linux("/no/such/root")
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            await failing.__aenter__()


async def test_mounts(work: Path) -> None:
    (work / "file").write_text("content")
    options = {"/deep/in/data": work, "/single": work / "file", "/ro": aionoah.Mount(work, read_only=True)}
    async with aionoah.Linux(mounts=options) as linux:
        script = (
            "cat /deep/in/data/file /single; echo new > /deep/in/data/new; echo x > /ro/x || echo refused"
        )
        done = await linux.run(["sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert done.stdout == b"contentcontentrefused\n"
    assert (work / "new").read_text() == "new\n"
    assert not (work / "x").exists()


@pytest.mark.parametrize("writes", ["refused", "private"])
async def test_the_host_s_root_cannot_be_changed(writes: str) -> None:
    async with aionoah.Linux(writes=writes) as linux:
        script = "echo x > /etc/aionoah-test; rm /etc/passwd"
        done = await linux.run(["sh", "-c", script], capture_output=True, user=0, group=0)
    assert (b"Read-only file system" in done.stderr) == (writes == "refused")
    assert (done.returncode == 0) == (writes == "private")
    assert Path("/etc/passwd").exists()
    assert not Path("/etc/aionoah-test").exists()


async def test_a_directory_that_folds_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aionoah.host.platform.folds_case", lambda _path: True)
    with pytest.raises(
        OSError, match="does not tell upper from lower case; use a directory on one that does"
    ):
        async with aionoah.Linux(mounts={"/data": tmp_path}):
            pass
