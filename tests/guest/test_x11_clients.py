"""X clients draw the same picture on the host's X server, natively and as guests."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from harness.guest import DYNAMIC, need_backend, need_tool

import aionoah

pytestmark = [pytest.mark.guest, pytest.mark.asyncio(loop_factories=["uvloop"])]
TK = """
import tkinter
root = tkinter.Tk()
root.geometry("300x200+10+10")
tkinter.Button(root, text="hello").pack()
canvas = tkinter.Canvas(root)
canvas.pack()
canvas.create_oval(10, 10, 90, 90, fill="red")
root.mainloop()
"""
CLIENTS = [
    ("xeyes", "-geometry", "200x150+50+50"),
    ("xclock", "-digital", "-strftime", "no time", "-geometry", "200x60+50+50"),
    ("xterm", "-geometry", "40x5+10+10", "-e", "printf 'hello \\033[31mred'; sleep 1000"),
    ("/usr/bin/python3", "-c", TK),
]


@asynccontextmanager
async def x_server() -> AsyncIterator[str]:
    """An X server that shows nothing to anybody."""
    reader, writer = os.pipe()
    command = ("Xvfb", "-displayfd", str(writer), "-screen", "0", "400x300x24", "-nolisten", "tcp")
    server = subprocess.Popen(command, pass_fds=(writer,), stderr=subprocess.DEVNULL)
    os.close(writer)
    with os.fdopen(reader) as told:
        number = await asyncio.get_running_loop().run_in_executor(None, told.readline)
    yield f":{number.strip()}"
    server.kill()
    server.wait()


async def picture(display: str) -> bytes:
    command = ("xwd", "-root", "-silent", "-display", display)
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    image, _ = await process.communicate()
    assert process.returncode == 0
    return image


@pytest.mark.parametrize("command", CLIENTS, ids=["xeyes", "xclock", "xterm", "tk"])
async def test_draws_the_same(command: Sequence[str]) -> None:
    """Nobody says when a client has drawn all, so both go on until they show the same for a while."""
    need_backend(DYNAMIC)
    for tool in ("Xvfb", "xwd", command[0]):
        need_tool(tool)
    async with x_server() as natives, x_server() as guests, aionoah.Linux(x11=guests) as linux:
        blank = await picture(natives)
        guest = await linux.create_subprocess_exec(*command, stderr=subprocess.DEVNULL)
        with subprocess.Popen(
            command, env={**os.environ, "DISPLAY": natives}, stderr=subprocess.DEVNULL
        ) as native:
            same = 0
            while same < 5:
                await asyncio.sleep(0.2)
                expected = await picture(natives)
                same = same + 1 if await picture(guests) == expected != blank else 0
                assert guest.returncode is native.poll() is None
            native.terminate()
        guest.kill()
        await guest.wait()
