"""System V message queues, stepped by hand."""

from typing import Any

import pytest
from fakes.threads import Call

from aionoah.abi.errno import Errno
from aionoah.abi.ipc import MSGRCV
from aionoah.process.credentials import Credentials
from aionoah.process.ipc.messages import Message, MessageQueue, Wanted


class _Task:
    def __init__(self) -> None:
        self.process = self
        self.pid = 3
        self.has_exited = False
        self.credentials = Credentials()


def new(*messages: tuple[int, bytes], capacity: int = 20) -> MessageQueue:
    made = MessageQueue(0, 0o600, capacity, Credentials())
    for message in messages:
        assert send(made, *message).outcome == 0
    return made


def send(queue: MessageQueue, kind: int, text: bytes, *, may_wait: bool = True) -> Call:
    return Call(queue.send(_Task(), Message(kind, text), may_wait=may_wait))  # type: ignore[arg-type]


def receive(queue: MessageQueue, number: int = 0, size: int = 9, flags: int = 0, task: Any = None) -> Call:
    wanted = Wanted.of(number, size, flags)
    return Call(queue.receive(task or _Task(), wanted, may_wait=not flags & MSGRCV.NOWAIT))


@pytest.mark.parametrize(
    ("number", "flags", "expected"),
    [
        (0, 0, b"a"),
        (2, 0, b"c"),
        (5, MSGRCV.EXCEPT, b"b"),
        (-4, 0, b"c"),
        (-1 << 63, 0, b"d"),
        (3, MSGRCV.COPY | MSGRCV.NOWAIT, b"d"),
    ],
)
def test_choosing(number: int, flags: int, expected: bytes) -> None:
    queue = new((5, b"a"), (3, b"b"), (2, b"c"), (1, b"d"))
    if number == -4:
        receive(queue, 1)
    assert receive(queue, number, flags=flags).outcome.text == expected


@pytest.mark.parametrize("flags", [0, MSGRCV.NOERROR])
def test_what_is_too_long(flags: int) -> None:
    queue = new((1, b"long"))
    outcome = receive(queue, size=2, flags=flags).outcome
    assert outcome == (Message(1, b"long") if flags else Errno.E2BIG)
    assert queue.size == (0 if flags else 4)


def test_a_message_is_handed_to_the_first_who_wants_it() -> None:
    queue = new()
    small, other, first, second = (
        receive(queue, size=1),
        receive(queue, 7),
        receive(queue),
        receive(queue),
    )
    send(queue, 1, b"xx")
    assert (small.run(), first.interrupt()) == (Errno.E2BIG, Message(1, b"xx"))
    assert not other.is_woken
    assert not second.is_woken
    assert queue.messages == []
    assert second.interrupt() == Errno.ERESTARTNOHAND
    other.kill()
    send(queue, 7, b"kept")
    assert len(queue.messages) == 1


def test_nobody_hands_a_message_to_who_has_ended() -> None:
    queue, dying = new(), _Task()
    receive(queue, task=dying)
    dying.has_exited = True
    send(queue, 1, b"x")
    assert len(queue.messages) == 1


def test_room() -> None:
    queue = new((1, b"x" * 20))
    assert send(queue, 1, b"y", may_wait=False).outcome == Errno.EAGAIN
    waits = send(queue, 1, b"y")
    receive(queue, size=20)
    assert waits.run() == 0
    assert queue.size == 1
    full = new(*[(1, b"")] * 20)
    assert send(full, 1, b"", may_wait=False).outcome == Errno.EAGAIN


def test_removal() -> None:
    queue = new((1, b"x" * 20))
    sender, receiver = send(queue, 1, b"y"), receive(queue, 5)
    queue.is_removed = True
    queue.remove()
    assert (sender.run(), receiver.run()) == (Errno.EIDRM, Errno.EIDRM)


def test_more_room_by_control() -> None:
    queue = new((1, b"x" * 20))
    wanted, waits, receiver = queue.status(), send(queue, 1, b"y"), receive(queue, 5)
    wanted.msg_qbytes = 21
    queue.change(wanted, Credentials(), 30)
    assert (waits.run(), receiver.run()) == (0, None)
