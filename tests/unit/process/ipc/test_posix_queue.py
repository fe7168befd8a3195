"""POSIX message queues, stepped by hand."""

from typing import Any

from fakes.expect import fails
from fakes.threads import Call
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.errno import Errno
from aionoah.abi.poll import Poll
from aionoah.process.futex import Deadline
from aionoah.process.ipc.posix_queue import Message, PosixQueue
from aionoah.process.scheduling import Scheduling

PAST = Deadline(1, is_realtime=True)


class _Task:
    """As much of a task as a queue wants."""

    def __init__(self, priority: int = 0) -> None:
        self.has_exited = False
        self.scheduling = Scheduling(2)
        self.scheduling.priority = priority


class _Notification:
    kind, signal = 0, 10

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        self.events: list[str] = []

    def send(self, sender: Any) -> None:
        self.events.append("sent")

    def cancel(self) -> None:
        self.events.append("cancelled")


class _Process:
    pid = 12


def send(
    queue: PosixQueue, text: bytes, priority: int = 0, task: Any = None, deadline: Deadline | None = None
) -> Call:
    return Call(queue.send(task or _Task(), Message(priority, text), deadline))


def receive(queue: PosixQueue, task: Any = None, deadline: Deadline | None = None) -> Call:
    return Call(queue.receive(task or _Task(), deadline))


@given(st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=2)), max_size=10))
def test_the_highest_priority_first_and_of_one_the_oldest(messages: list[tuple[int, bytes]]) -> None:
    queue = PosixQueue(10, 2)
    for priority, text in messages:
        send(queue, text, priority)
    assert queue.size == sum(len(text) for _, text in messages)
    taken = [tuple(queue.receive_nowait()) for _ in messages]
    assert taken == sorted(messages, key=lambda message: -message[0])
    assert (len(queue), queue.size) == (0, 0)


def test_a_waiting_receiver_gets_it() -> None:
    queue = PosixQueue(1, 9)
    first, second, urgent = receive(queue), receive(queue), receive(queue, _Task(priority=5))
    for text in (b"1", b"2"):
        send(queue, text)
    assert (urgent.run(), first.interrupt()) == (Message(0, b"1"), Message(0, b"2"))
    assert len(queue) == 0
    assert second.interrupt() == Errno.ERESTARTSYS
    send(queue, b"3")
    assert len(queue) == 1


def test_a_waiting_senders_message_takes_the_place() -> None:
    queue = PosixQueue(1, 9)
    send(queue, b"1")
    sender = send(queue, b"2", 7)
    assert queue.poll() == Poll.IN | Poll.RDNORM
    assert receive(queue).outcome == Message(0, b"1")
    assert (sender.run(), len(queue)) == (0, 1)
    dying = _Task()
    send(queue, b"3", task=dying)
    dying.has_exited = True
    assert receive(queue).outcome == Message(7, b"2")
    assert queue.poll() == Poll.OUT | Poll.WRNORM


def test_deadlines() -> None:
    queue = PosixQueue(1, 9)
    assert receive(queue, deadline=PAST).outcome == Errno.ETIMEDOUT
    assert send(queue, b"1", deadline=PAST).outcome == 0
    assert send(queue, b"1", deadline=PAST).outcome == Errno.ETIMEDOUT


def test_notification() -> None:
    queue, owner = PosixQueue(9, 9), _Process()
    wanted: Any = _Notification(owner)
    queue.notify(wanted)
    fails(Errno.EBUSY, queue.notify, wanted)
    assert queue.status() == b"QSIZE:0          NOTIFY:0     SIGNO:10    NOTIFY_PID:12    \n"
    waits = receive(queue)
    send(queue, b"goes to who waits")
    assert (waits.run().priority, wanted.events) == (0, [])
    send(queue, b"1")
    send(queue, b"2")
    assert (wanted.events, queue.notification) == (["sent"], None)
    queue.notify(wanted)
    queue.forget_notification(_Process())  # type: ignore[arg-type] - another one
    assert queue.notification is wanted
    queue.forget_notification(owner)  # type: ignore[arg-type]
    assert wanted.events == ["sent", "cancelled"]
