"""What those know who come from asyncio.subprocess: the same calls there and here, with the same results."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import aionoah

Create = Callable[..., Awaitable[Any]]
Case = Callable[[Create, Create], Awaitable[object]]
PIPE = subprocess.PIPE


async def both(linux: aionoah.Linux, case: Case) -> tuple[object, object]:
    """What a case gives on the host, by asyncio's own loop (uvloop's differs from it), and in a guest."""

    def on_the_host() -> object:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            return runner.run(outcome(case, asyncio.create_subprocess_exec, asyncio.create_subprocess_shell))

    with ThreadPoolExecutor(1) as pool:
        there = pool.submit(on_the_host).result()
    return there, await outcome(case, linux.create_subprocess_exec, linux.create_subprocess_shell)


async def outcome(case: Case, create: Create, shell: Create) -> object:
    """A value or an exception."""
    try:
        return await case(create, shell)
    except OSError as error:
        return type(error), error.errno, error.filename
    except (TypeError, ValueError) as error:
        return type(error), str(error)


async def said(process: Any) -> bytes:
    """Of ignored signals, without the two that are the C library's own: no program can have set them."""
    output: bytes = (await process.communicate())[0]
    if output.startswith(b"SigIgn:"):
        return b"%x" % (int(output.split()[1], 16) & ~(0b11 << 31))
    return output


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["sh", "-c", "echo $A $B"], {"env": {"PATH": os.environ["PATH"], "A": "1", "B": b"2"}}),
        (["sh", "-c", "echo $A"], {"env": {b"PATH": os.environ["PATH"].encode(), b"A": b"1"}}),
        (["sh", "-c", "umask"], {}),
        (["sh", "-c", "umask"], {"umask": 0o27}),
        (["my-name", "-c", "echo $0"], {"executable": "/bin/sh"}),
        (["sh", "-c", "test $(ps -o sid= -p $$) = $$ && echo leads"], {"start_new_session": True}),
        (["grep", "SigIgn", "/proc/self/status"], {"restore_signals": False}),
        (["grep", "SigIgn", "/proc/self/status"], {}),
        (["echo"], {"text": False, "encoding": None, "bufsize": 0, "shell": False, "close_fds": True}),
    ],
    ids=repr,
)
async def test_what_a_program_gets(linux: aionoah.Linux, words: list[str], options: dict[str, Any]) -> None:
    there, here = await both(linux, lambda create, _: say(create, words, options))
    assert isinstance(there, bytes)
    assert here == there


async def say(create: Create, words: list[str], options: dict[str, Any]) -> bytes:
    return await said(await create(*words, stdout=PIPE, **options))


@pytest.mark.parametrize(
    ("words", "options"),
    [
        *((["true"], {name: True}) for name in ("text", "universal_newlines", "shell")),
        *((["true"], {name: "utf-8"}) for name in ("encoding", "errors")),
        (["true"], {"bufsize": 1}),
        (["true"], {"env": {"A": 1}}),
        (["true"], {"env": {1: "A"}}),
        (["true"], {"env": {"A=B": "C"}}),
        (["true"], {"env": {"A": "B\0"}}),
        (["true"], {"cwd": "/no/such/place"}),
        (["name"], {"executable": "/no/such/program"}),
        (["true", 1], {}),
        ([b"true\0"], {}),
    ],
    ids=repr,
)
async def test_what_cannot_be(linux: aionoah.Linux, words: list[Any], options: dict[str, Any]) -> None:
    there, here = await both(linux, lambda create, _: create(*words, **options))
    assert isinstance(there, tuple)
    assert here == there


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"preexec_fn": print}, ValueError),
        ({"close_fds": False}, ValueError),
        ({"process_group": 7}, ValueError),
        ({"no_such_option": 1}, TypeError),
        ({"pass_fds": (987654,)}, OSError),
        ({"pass_fds": (-1,)}, ValueError),
    ],
)
async def test_what_no_guest_can_have(
    linux: aionoah.Linux, options: dict[str, Any], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        await linux.create_subprocess_exec("true", **options)


async def test_a_shell(linux: aionoah.Linux) -> None:
    async def case(_: Create, shell: Create) -> object:
        process = await shell("echo $((1 + 1)); exit 3", stdout=PIPE)
        return await process.communicate(), process.returncode

    there, here = await both(linux, case)
    assert here == there == ((b"2\n", None), 3)
    there, here = await both(linux, lambda _, shell: shell(["true"]))
    assert here == there == (ValueError, "cmd must be a string")


async def test_descriptors(linux: aionoah.Linux) -> None:
    async def case(create: Create, _: Create) -> object:
        reading, writing = os.pipe()
        high = os.dup2(writing, 77)
        process = await create(
            "bash", "-c", "echo first >&77; echo twice >&78", pass_fds=(high, os.dup2(writing, 78))
        )
        status = await process.wait()
        for fd in (writing, 77, 78):
            os.close(fd)
        with os.fdopen(reading, "rb") as pipe:
            return pipe.read(), status  # to its end: nobody else has it any more

    there, here = await both(linux, case)
    assert here == there == (b"first\ntwice\n", 0)


async def test_what_is_said_to_nobody(linux: aionoah.Linux) -> None:
    process = await linux.create_subprocess_exec("true")
    with pytest.raises(ValueError, match="input needs stdin=PIPE"):
        await process.communicate(b"lost")
    assert await process.wait() == 0


async def test_signals_that_are_ignored(linux: aionoah.Linux) -> None:
    async def case(create: Create, _: Create) -> object:
        return await said(await create("grep", "SigIgn", "/proc/self/status", stdout=PIPE))

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        there, here = await both(linux, case)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert here == there == b"1"


async def test_files_are_made_with_the_applications_umask(tmp_path: Path) -> None:
    """What is private to its owner here stays so, when a guest makes it."""
    before = os.umask(0o077)
    try:
        async with aionoah.Linux(mounts={"/mnt": tmp_path}) as linux:
            await linux.run(["touch", "/mnt/secret"], check=True)
    finally:
        os.umask(before)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
