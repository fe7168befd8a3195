"""An instance as a process of the host: its socket, its log, its state, and the supervisor that they belong to."""

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from aionoah.instances import InstanceError
from aionoah.instances.execution import execute
from aionoah.instances.logs import LogWriter
from aionoah.instances.notify import Notifier
from aionoah.instances.place import Place
from aionoah.instances.protocol import PROTOCOL, Message, ProtocolError
from aionoah.instances.server import ControlServer, Peer
from aionoah.instances.signals import parse_signal
from aionoah.instances.state import State, write_state
from aionoah.instances.supervisor import Launch, Outside, StartError, Supervisor
from aionoah.subprocess import DEVNULL, PIPE

if TYPE_CHECKING:
    from aionoah.instances.spec import Spec
    from aionoah.subprocess import Process

_PIECE: Final = 65536  # bytes of one read
_PATIENCE: Final = 5.0  # seconds for the last output of programs that have been killed

Opener = Callable[[], AbstractContextManager[Launch]]


class Service:
    """Runs an instance in this process, which holds its lock. `ready` is called once the program runs."""

    def __init__(
        self, place: Place, spec: "Spec", open_launch: Opener, ready: Callable[[], None] = lambda: None
    ) -> None:
        self._place = place
        self._spec = spec
        self._open_launch = open_launch
        self._ready: Callable[[], None] | None = ready
        self._followers: set[Peer] = set()
        self._patient: set[asyncio.Task[None]] = set()  # clients that wait for our end
        self._notifier = Notifier()
        self._is_announced = False

    @property
    def has_started(self) -> bool:
        """Whether the program has run."""
        return self._ready is None

    async def run(self, outside: Outside) -> int:
        """Until the program has ended for good: its status as shells have it. StartError, InstanceError, OSError."""
        return await self._run(outside, contextlib.nullcontext(), is_detached=False)

    async def run_detached(self) -> int:
        """The same, with the log as the program's output, and signals for ourselves."""
        with contextlib.closing(LogWriter(self._place.logs, self._spec.log_size)) as log:
            outside = _Logged(log, self._tell_followers, has_terminal=self._spec.has_terminal)
            with _logging_to(outside):
                return await self._run(outside, self._signals(), is_detached=True)

    async def _run(
        self, outside: Outside, signals: AbstractContextManager[None], *, is_detached: bool
    ) -> int:
        path = self._place.new_socket_path()
        state = State(
            "starting",
            time.time(),
            os.getpid(),
            socket=str(path),
            version=version("aionoah"),
            is_detached=is_detached,
        )
        self._supervisor = Supervisor(self._spec, self._open_launch, outside, self._changed, state)
        self._server = ControlServer(path, self._handle)
        write_state(self._place, state)
        self._server.open()
        try:
            with signals:
                status = await self._supervisor.run()
            self._end(status)
        except StartError as error:
            self._end(error.status, str(error))
            raise
        finally:
            for task in self._patient:
                task.cancel()
            await self._server.close()
        return status

    def _end(self, status: int, error: str = "") -> None:
        self._notifier.tell("STOPPING=1")
        last = self._supervisor.state
        self._supervisor.state = last._replace(
            status="exited", since=time.time(), pid=0, exit_status=status, health=None, error=error, socket=""
        )
        with contextlib.suppress(OSError):
            write_state(self._place, self._supervisor.state)

    def _changed(self, state: State) -> None:
        with contextlib.suppress(OSError):  # the disk is full: whoever asks us hears it
            write_state(self._place, state)
        self._notifier.tell(f"STATUS={state.status}" + (f", {state.health}" if state.health else ""))
        if state.status == "running" and self._ready is not None:
            self._ready()
            self._ready = None
        if state.status == "running" and state.health in (None, "healthy") and not self._is_announced:
            self._is_announced = True
            self._notifier.tell("READY=1")

    # -- signals for ourselves ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGUSR1, self._reopen)
        yield  # they stay: a second SIGTERM must not kill us while we put things away

    def _stop(self) -> None:
        self._supervisor.stop(self._spec.stop_timeout, by_user=False)

    def _reopen(self) -> None:
        """The socket has vanished, as with a user's runtime directory at logout; a client wants another."""
        with contextlib.suppress(InstanceError, OSError):
            self._server.open()

    # -- clients --------------------------------------------------------------------------------------------

    async def _handle(self, peer: Peer, message: Message) -> None:
        """InstanceError and ProtocolError are told to the client."""
        if message.fields.get("protocol") != PROTOCOL:
            state = self._supervisor.state
            raise InstanceError(
                f"{self._spec.name} was started by aionoah {state.version}, which this client does not know how to "
                f"talk to: `aionoah restart {self._spec.name}`"
            )
        op = message.text("op")
        if op == "info":
            peer.send({"state": self._supervisor.state._asdict()})
        elif op == "signal":
            self._supervisor.send_signal(parse_signal(message.text("signal")))
            peer.send({"done": True})
        elif op == "stop":
            self._supervisor.stop(message.number("timeout", self._spec.stop_timeout), by_user=True)
            peer.send({"done": True})
            await self._until_gone(peer)
        elif op == "follow":
            await self._follow(peer)
        elif op == "exec":
            await execute(self._supervisor.checked_running(), peer, message)
        else:
            raise ProtocolError(f"there is no {op[:40]!r}")

    async def _until_gone(self, peer: Peer) -> None:
        """It waits for the end of the connection, which is that of the instance."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - of the server
        self._patient.add(task)
        try:
            while True:
                (await peer.receive()).close()
        finally:
            self._patient.discard(task)

    async def _follow(self, peer: Peer) -> None:
        self._followers.add(peer)
        try:
            peer.send({"news": True})
            await self._until_gone(peer)
        finally:
            self._followers.discard(peer)

    def _tell_followers(self) -> None:
        """Who has not read the last word yet will look in any case."""
        for peer in self._followers:
            peer.send({"news": True})


class _Logged(Outside):
    """The program's output goes to the log; it has no input. `news` is called for each piece."""

    def __init__(self, log: LogWriter, news: Callable[[], None], *, has_terminal: bool) -> None:
        self._log = log
        self._news = news
        self._has_terminal = has_terminal

    def options(self) -> dict[str, Any]:
        if self._has_terminal:
            return {"terminal": True}
        return {"stdin": DEVNULL, "stdout": PIPE, "stderr": PIPE}

    async def attend(self, process: "Process") -> int:
        streams = (("stdout", process.stdout), ("stderr", process.stderr))
        copying = [asyncio.create_task(self._copy(name, each)) for name, each in streams if each is not None]
        try:
            status = await process.wait()
            process.kill(tree=True)  # what it has left behind, which may hold its streams
            await asyncio.wait(copying, timeout=_PATIENCE)
        finally:
            for task in copying:
                task.cancel()
        return status

    def say(self, sentence: str) -> None:
        self._log.say(sentence)
        self._news()

    async def _copy(self, name: str, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(_PIECE):
            self._log.write(name, data)
            self._news()


@contextlib.contextmanager
def _logging_to(outside: Outside) -> Iterator[None]:
    """What our modules log is said beside the program's output."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            outside.say(self.format(record))

    handler = Handler(logging.WARNING)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
