"""Files in messages: who holds them, and the collection of what nobody can reach."""

import pytest
from fakes.sockets import SEQUENCED, data, pair, receive, send
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.fcntl import O
from aionoah.abi.socket import MSG, SOCK
from aionoah.fs.context import FsContext
from aionoah.fs.file import File
from aionoah.fs.mount_namespace import MountNamespace
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.memory.buffer import KernelBuffer
from aionoah.net.network import Network
from aionoah.net.unix import rights
from aionoah.net.unix.connection import ConnectionSocket
from aionoah.net.unix.creation import new_unix_socket
from aionoah.process.credentials import Credentials

KINDS = pytest.mark.parametrize("kind", [SOCK.STREAM, SOCK.DGRAM, SEQUENCED])


class Watched(File):
    """A file that says when it is gone."""

    is_gone = False

    def __init__(self) -> None:
        super().__init__(O(O.RDWR))

    def release(self) -> None:
        assert not self.is_gone
        self.is_gone = True


@KINDS
def test_a_file_lives_in_the_queue(kind: int) -> None:
    one, other = pair(kind)
    file = Watched()
    send(one, b"x", file)
    file.drop()
    assert not file.is_gone
    _, received = receive(other)
    assert received.files == (file,)
    file.drop()
    assert file.is_gone


@KINDS
def test_what_is_never_received_is_dropped(kind: int) -> None:
    one, other = pair(kind)
    file = Watched()
    send(one, b"x", file)
    file.drop()
    one.drop()
    assert not file.is_gone
    other.drop()
    assert file.is_gone


@KINDS
def test_peeking_gives_references_of_its_own(kind: int) -> None:
    one, other = pair(kind)
    file = Watched()
    send(one, b"x", file)
    file.drop()
    for flags in (MSG.PEEK, MSG.PEEK, 0):
        _, received = receive(other, 5, flags)
        received.files[0].drop()
    assert file.is_gone


def test_read_has_nowhere_to_put_them() -> None:
    one, other = pair()
    file = Watched()
    send(one, b"x", file)
    file.drop()
    other.read_nowait(KernelBuffer(bytearray(5)))
    assert file.is_gone


def test_files_keep_parts_of_a_stream_apart() -> None:
    one, other = pair()
    files = Watched(), Watched()
    send(one, b"ab")
    send(one, b"cd", files[0])
    send(one, b"ef", files[1])
    assert receive(other)[0] == b"abcd"
    content, received = receive(other)
    assert content == b"ef"
    assert received.files == (files[1],)


def test_a_stream_of_nothing_carries_nothing() -> None:
    one, other = pair()
    file = Watched()
    assert send(one, b"", file) == 0
    file.drop()
    assert file.is_gone
    assert data(other) is None


def test_files_of_an_urgent_byte_that_nobody_reads() -> None:
    one, other = pair()
    file = Watched()
    send(one, b"!", file, flags=MSG.OOB)
    file.drop()
    send(one, b"x")
    assert data(other) == b"x"
    assert file.is_gone


# -- collection -----------------------------------------------------------------------------------------


def test_a_socket_in_its_own_queue() -> None:
    one, other = pair()
    file = Watched()
    send(one, b"x", one, other, file)
    file.drop()
    one.drop()
    assert not file.is_gone  # `other` can still receive it
    other.drop()
    assert file.is_gone
    assert not rights._in_flight


def test_a_pair_in_each_others_queues() -> None:
    one, other = pair()
    file = Watched()
    send(one, b"x", one)
    send(other, b"x", other, file)
    for socket in (one, other, file):
        socket.drop()
    assert file.is_gone
    assert not rights._in_flight


def test_what_can_still_be_received_is_kept() -> None:
    carrier, receiver = pair(SOCK.DGRAM)
    one, other = pair()
    file = Watched()
    send(one, b"x", file)
    send(other, b"x", other)
    send(carrier, b"x", one, other)
    for socket in (file, one, other):
        socket.drop()
    assert not file.is_gone
    _, received = receive(receiver)
    assert received.files == (one, other)
    _, inner = receive(other)
    assert inner.files == (file,)
    for dropped in (*inner.files, *received.files, carrier, receiver):
        dropped.drop()
    assert file.is_gone
    assert not rights._in_flight


def test_circles_behind_an_unaccepted_connection() -> None:
    fs = FsContext(MountNamespace.of(TmpFileSystem()).root, Credentials())
    network = Network()
    listener, client = (new_unix_socket(network, SOCK.STREAM, 0, 0) for _ in range(2))
    assert isinstance(listener, ConnectionSocket)
    assert isinstance(client, ConnectionSocket)
    listener.bind(b"\1\0\0a", fs)
    listener.listen(1)
    with pytest.raises(StopIteration):
        client.connect(b"\1\0\0a", fs).send(None)
    file = Watched()
    send(client, b"x", listener, client, file)
    for dropped in (file, client, listener):
        dropped.drop()
    assert file.is_gone
    assert not network.abstract
    assert not rights._in_flight


INDEX = st.integers(0, 7)


@given(
    st.lists(st.sampled_from([SOCK.STREAM, SOCK.DGRAM, SEQUENCED]), min_size=4, max_size=4),
    st.lists(st.tuples(INDEX, st.lists(INDEX, min_size=1, max_size=4)), max_size=8),
    st.permutations(range(8)),
)
def test_whatever_is_sent_where_all_is_collected(
    kinds: list[int], messages: list[tuple[int, list[int]]], order: list[int]
) -> None:
    sockets = [socket for kind in kinds for socket in pair(kind)]
    file = Watched()
    for sender, carried in messages:
        send(sockets[sender], b"x", file, *(sockets[number] for number in carried))
    file.drop()
    for index in order:
        sockets[index].drop()
    assert file.is_gone
    assert not rights._in_flight
    assert all(socket.is_dead for socket in sockets)


def test_sockets_within_sockets_may_be_deep() -> None:
    """More than Python's stack would hold, and in a time that does not grow with the cube."""
    first, sender = pair()
    file = Watched()
    for _ in range(1000):
        one, other = pair()
        send(sender, b"x", one)
        sender.drop()
        one.drop()
        sender = other
    send(sender, b"x", file)
    for dropped in (sender, file):
        dropped.drop()
    assert not file.is_gone
    first.drop()
    assert file.is_gone
    assert not rights._in_flight


def test_one_deep_circle() -> None:
    first, sender = pair()
    last, file = sender, Watched()
    for _ in range(300):
        one, other = pair()
        send(last, b"x", one)
        one.drop()
        last = other
    send(last, b"x", first, file)
    for dropped in (file, first):
        dropped.drop()
    assert file.is_gone
    assert first.is_dead
    assert not rights._in_flight
