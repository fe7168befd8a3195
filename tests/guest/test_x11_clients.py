"""X clients draw the same picture on the host's X server, natively and as guests."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Sequence

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
    ("xterm", "-geometry", "40x5+10+10", "-e", "printf 'hello \\033[31mred'; sleep 100"),
    ("/usr/bin/python3", "-c", TK),
]


@pytest.fixture
async def display() -> AsyncIterator[str]:
    """An X server that shows nothing to anybody."""
    need_tool("Xvfb")
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


async def settled(display: str, blank: bytes) -> bytes:
    """What a client has drawn, once it draws no more."""
    before = blank
    while (now := await picture(display)) in (before, blank):
        await asyncio.sleep(0.1)
    same = 0
    while same < 5:
        before, now = now, await picture(display)
        same = same + 1 if before == now else 0
        await asyncio.sleep(0.2)
    return now


@pytest.mark.parametrize("command", CLIENTS, ids=["xeyes", "xclock", "xterm", "tk"])
async def test_draws_the_same(command: Sequence[str], display: str) -> None:
    need_backend(DYNAMIC)
    for tool in (command[0], "xwd"):
        need_tool(tool)
    blank = await picture(display)
    native = subprocess.Popen(command, env={**os.environ, "DISPLAY": display}, stderr=subprocess.DEVNULL)
    expected = await settled(display, blank)
    native.terminate()
    native.wait()
    while await picture(display) != blank:
        await asyncio.sleep(0.05)
    async with aionoah.Linux(x11=display) as linux:
        guest = await linux.create_subprocess_exec(*command, stderr=subprocess.DEVNULL)
        while await picture(display) != expected:
            assert guest.returncode is None
            await asyncio.sleep(0.1)
        guest.kill()
        await guest.wait()
