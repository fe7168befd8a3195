"""Further programs in an instance, with the descriptors of the client that has asked for them."""

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING, Any

from aionoah.hypervisor.errors import HypervisorError
from aionoah.instances import InstanceError
from aionoah.instances.protocol import Message, ProtocolError
from aionoah.instances.server import Peer
from aionoah.instances.signals import parse_signal
from aionoah.instances.supervisor import Running, sentence_of
from aionoah.statuses import FAILED, status_of_refusal
from aionoah.subprocess import InternalError, Process
from aionoah.terminal_bridge import bridge

if TYPE_CHECKING:
    from aionoah.linux import Linux
    from aionoah.terminals import Terminal


async def execute(running: Running, peer: Peer, message: Message) -> None:
    """Start what the message says, and tell the client how it ends. If the client goes, the program hears SIGHUP."""
    try:
        options = await _options(running, message)
        process = await running.linux.create_subprocess_exec(*_command(message), **options)
    except OSError as error:
        peer.send({"error": sentence_of(error), "status": status_of_refusal(error)})
        return
    except (HypervisorError, MemoryError, RuntimeError, ValueError) as error:
        peer.send({"error": sentence_of(error), "status": FAILED})
        return
    peer.send({"started": process.pid})
    attending = asyncio.create_task(_attend(process, message, has_terminal="terminal" in options))
    listening = asyncio.create_task(_obey(process, peer))
    try:
        await asyncio.wait((attending, listening), return_when=asyncio.FIRST_COMPLETED)
        if attending.done():
            peer.send(_answer(attending))
    finally:
        listening.cancel()
        if not attending.done():  # the client has gone: nobody may read its terminal any more
            attending.cancel()
            _hang_up(process, has_terminal="terminal" in options)
        await asyncio.gather(attending, listening, return_exceptions=True)


async def _attend(process: Process, message: Message, *, has_terminal: bool) -> int:
    if has_terminal:
        await bridge(process, message.fds[0], message.fds[1])
    else:
        message.close()  # the program has its own
    return await process.wait()


def _answer(attending: "asyncio.Task[int]") -> dict[str, Any]:
    error = attending.exception()
    if isinstance(error, InternalError | OSError):
        return {"error": sentence_of(error), "status": FAILED}
    return {"exit": attending.result()}


async def _obey(process: Process, peer: Peer) -> None:
    """Signals and sizes, until the client has gone or talks nonsense."""
    with contextlib.suppress(EOFError, ProtocolError, InstanceError):
        while True:
            message = await peer.receive()
            with contextlib.closing(message), contextlib.suppress(ValueError):
                if "signal" in message.fields:
                    process.send_signal(parse_signal(message.text("signal")))
                elif "columns" in message.fields:
                    process.resize(int(message.number("columns")), int(message.number("rows")))


def _hang_up(process: Process, *, has_terminal: bool) -> None:
    if has_terminal:
        process.hang_up()
    else:
        process.send_signal(signal.SIGHUP, tree=True)


def _command(message: Message) -> list[str]:
    command = message.texts("command")
    if not command:
        raise ProtocolError("there is no command")
    return command


async def _options(running: Running, message: Message) -> dict[str, Any]:
    """The instance's own, as far as the client does not say otherwise. OSError, ProtocolError."""
    options = dict(running.options)
    given = message.fields.get("env", {})
    if not isinstance(given, dict):
        raise ProtocolError("the environment is none")
    env = {**options["env"], **given}
    options["env"] = {name: value for name, value in env.items() if isinstance(value, str)}  # null unsets it
    if "workdir" in message.fields:
        options["cwd"] = message.text("workdir")
    if "user" in message.fields:
        options |= await _find_user(running.linux, message.text("user"))
    if len(message.fds) != 3:
        raise ProtocolError("the descriptors are missing")
    if "terminal" not in message.fields:
        return options | dict(zip(("stdin", "stdout", "stderr"), message.fds, strict=True))
    options["terminal"] = _terminal(message)
    return options | ({"stderr": message.fds[2]} if message.fields.get("errors") else {})


async def _find_user(linux: "Linux", text: str) -> dict[str, Any]:
    """InstanceError."""
    from aionoah.images import ImageError  # noqa: PLC0415 - for those who are somebody else
    from aionoah.images.running import find_user  # noqa: PLC0415

    try:
        user = await find_user(linux.files, text)
    except ImageError:
        raise InstanceError(f"the instance has no user {text}") from None
    return {"user": user.uid, "group": user.gid, "extra_groups": user.groups}


def _terminal(message: Message) -> "Terminal":
    from aionoah.terminals import Terminal  # noqa: PLC0415 - loaded by those who have one

    settings = message.text("terminal")  # in hexadecimal digits; empty if the client has none
    try:
        return Terminal(
            int(message.number("columns", 80)),
            int(message.number("rows", 24)),
            bytes.fromhex(settings) if settings else None,
        ).checked()
    except ValueError as error:
        raise ProtocolError(str(error)) from None
