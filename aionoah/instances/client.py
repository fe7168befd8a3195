"""What a command says to the process that runs an instance. Blocking: these commands do nothing else."""

import contextlib
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Final, Self

from aionoah.host import platform
from aionoah.host.peers import peer_uid
from aionoah.instances import InstanceError
from aionoah.instances.place import Place, holder
from aionoah.instances.protocol import PROTOCOL, Assembler, Message, ProtocolError, receive, send
from aionoah.instances.state import State, parse_state, read_state, settled

_PATIENCE: Final = 5.0  # seconds for an instance to open its socket
_QUICK: Final = 2.0  # seconds for an answer that needs no work
_PAUSE: Final = 0.01  # seconds, where nobody tells of a change


class Connection:
    """To an instance that runs. InstanceError with a sentence."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._socket = _connect(place)
        self._assembler = Assembler()
        self._messages: deque[Message] = deque()

    def ask(self, op: str, fds: Sequence[int] = (), **fields: Any) -> None:  # noqa: ANN401 - JSON
        self.send({"protocol": PROTOCOL, "op": op, **fields}, fds)

    def send(self, fields: dict[str, Any], fds: Sequence[int] = ()) -> None:
        try:
            send(self._socket, fields, fds)
        except OSError as error:
            raise InstanceError(f"{self.place.name} has gone: {error.strerror}") from None

    def answer(self, timeout: float | None = None) -> dict[str, Any] | None:
        """The next message, None if the instance has ended. InstanceError for its complaints, or if it is late."""
        self._socket.settimeout(timeout)
        try:
            while not self._messages:
                self._messages.extend(receive(self._socket, self._assembler))
        except (EOFError, ConnectionError):
            return None
        except TimeoutError:
            raise InstanceError(f"{self.place.name} does not answer") from None
        except (ProtocolError, OSError) as error:
            raise InstanceError(f"{self.place.name} answers nonsense: {error}") from None
        message = self._messages.popleft()
        message.close()
        if "error" in message.fields:
            raise ComplaintError(str(message.fields["error"]), message.fields.get("status"))
        return message.fields

    def close(self) -> None:
        self._assembler.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ComplaintError(InstanceError):
    """The instance says what is wrong."""

    def __init__(self, sentence: str, status: object = None) -> None:
        super().__init__(sentence)
        self.status = status if isinstance(status, int) else None


def _connect(place: Place) -> socket.socket:
    """Whoever holds the lock opens a socket soon, and again if it has been removed: of both nobody tells, and mostly
    it is there already.
    """
    place.check_exists()
    end = time.monotonic() + _PATIENCE
    has_asked = False
    while (pid := holder(place)) is not None:
        state = read_state(place)
        if pid and state.pid == pid:
            try:
                return _connected(place, state.socket)
            except BlockingIOError:
                pass  # it has no time for anybody
            except OSError:
                if state.is_detached and not has_asked:
                    has_asked = True
                    _signal(pid, signal.SIGUSR1)
        if time.monotonic() > end:
            raise _unreachable(place, pid)
        time.sleep(_PAUSE)
    raise InstanceError(f"{place.name} is not running: `aionoah start {place.name}`")


def _unreachable(place: Place, pid: int) -> InstanceError:
    """`pid`: 0 if whoever holds the lock does not say who he is, as another version might; he is not killed on the word
    of a record.
    """
    name = place.name
    if pid:
        return InstanceError(f"{name} runs as process {pid}, but cannot be reached: `aionoah restart {name}`")
    state = read_state(place)
    return InstanceError(
        f"{name} is run by another version of aionoah ({state.version or 'unknown'}) that cannot be reached: "
        f"`kill {state.pid or 'PID'}`, and then `aionoah start {name}`"
    )


def _connected(place: Place, path: str) -> socket.socket:
    """InstanceError if somebody else listens there: he would be given our descriptors. OSError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_QUICK)
        connection.connect(path)
        _check_peer(connection, place)
    except BaseException:
        connection.close()
        raise
    connection.settimeout(None)
    return connection


def _check_peer(connection: socket.socket, place: Place) -> None:
    if peer_uid(connection) not in (os.geteuid(), 0, place.directory.stat().st_uid):
        raise InstanceError(f"another user listens at {place.name}'s socket, {connection.getpeername()}")


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        os.kill(pid, number)


def current_state(place: Place) -> State:
    """What the instance says of itself; what its record says if it does not."""
    if holder(place) is None:
        return settled(read_state(place), is_held=False)
    with contextlib.suppress(InstanceError), Connection(place) as connection:
        connection.ask("info")
        answer = connection.answer(_QUICK)
        if answer is not None and isinstance(answer.get("state"), dict):
            return parse_state(answer["state"])
    return settled(read_state(place), is_held=holder(place) is not None)


def wait_until_free(place: Place, timeout: float) -> bool:
    """Whether nobody runs the instance any more, or soon."""
    end = time.monotonic() + timeout
    while (pid := holder(place)) is not None:
        left = end - time.monotonic()
        if left <= 0:
            return False
        if not pid or not platform.wait_for_end(pid, left):  # another container's process, perhaps
            time.sleep(_PAUSE)
    return True


def stop(place: Place, timeout: float | None, *, kills: bool = False) -> None:
    """Returns when the instance has ended. InstanceError if it does not; `kills`: then its process is killed."""
    pid = holder(place)
    if pid is None:
        place.check_exists()
        return
    patience = _PATIENCE
    try:
        with Connection(place) as connection:
            given: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
            connection.ask("stop", **given)
            connection.answer(_PATIENCE)
            while connection.answer() is not None:
                pass
    except InstanceError:  # another version, or it cannot be reached: any of them hears this
        current = holder(place)
        if pid and current == pid:
            _signal(pid, signal.SIGTERM)
            patience += _PATIENCE + (timeout or 0)
        elif current == 0:
            raise
    is_free = wait_until_free(place, patience)
    if not is_free and kills and pid and holder(place) == pid:
        _signal(pid, signal.SIGKILL)
        is_free = wait_until_free(place, _PATIENCE)
    left = None if is_free else holder(place)
    if left == 0:
        raise _unreachable(place, left)
    if left is not None:
        raise InstanceError(f"{place.name} does not end: `kill -9 {left}`")


def news(connection: Connection) -> Iterator[None]:
    """Each time the log has grown, until the instance has ended."""
    connection.ask("follow")
    while connection.answer() is not None:
        yield
