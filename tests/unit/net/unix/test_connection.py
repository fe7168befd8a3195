"""Streams and sequences of packets between UNIX sockets."""

import pytest
from fakes.expect import fails
from fakes.sockets import SEQUENCED, begin, data, flood, pair, receive, send, watch
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.poll import Poll
from aionoah.abi.socket import MSG, SHUT, SO, SOCK, SOL
from aionoah.fs.context import FsContext
from aionoah.fs.file import BrokenPipe, WouldBlock
from aionoah.fs.file import read as read_waiting
from aionoah.fs.mount_namespace import MountNamespace
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.host.waiting import Waiter
from aionoah.memory.buffer import KernelBuffer
from aionoah.net.network import Network
from aionoah.net.socket import Outgoing, accept
from aionoah.net.socket import receive as receive_waiting
from aionoah.net.socket import send as send_waiting
from aionoah.net.unix.connection import ConnectionSocket
from aionoah.net.unix.creation import new_unix_socket
from aionoah.process.credentials import Credentials

NAME = b"\1\0\0name"
BOTH_WAYS = pytest.mark.parametrize("kind", [SOCK.STREAM, SEQUENCED])
CANNOT = Poll.IN | Poll.RDNORM
CAN_WRITE = Poll.OUT | Poll.WRNORM | Poll.WRBAND


@pytest.fixture
def fs() -> FsContext:
    return FsContext(MountNamespace.of(TmpFileSystem(mode=0o755)).root, Credentials())


def new(network: Network, kind: int = SOCK.STREAM, flags: int = 0) -> ConnectionSocket:
    made = new_unix_socket(network, kind, 0, flags)
    assert isinstance(made, ConnectionSocket)
    return made


def listening(network: Network, fs: FsContext, backlog: int = 5, kind: int = SOCK.STREAM) -> ConnectionSocket:
    listener = new(network, kind)
    listener.bind(NAME, fs)
    listener.listen(backlog)
    return listener


def connected(network: Network, fs: FsContext, kind: int = SOCK.STREAM) -> ConnectionSocket:
    client = new(network, kind)
    assert begin(client.connect(NAME, fs)) is None
    return client


# -- bytes ----------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=300), max_size=20), st.lists(st.integers(1, 200), min_size=1))
def test_bytes_come_in_order_however_they_are_cut(parts: list[bytes], rooms: list[int]) -> None:
    one, other = pair()
    for part in parts:
        send(one, part)
    whole, got = b"".join(parts), b""
    while len(got) < len(whole):
        room = rooms[len(got) % len(rooms)]
        found = data(other, room)
        assert found is not None
        assert len(found) == min(room, len(whole) - len(got))
        got += found
    assert got == whole
    assert data(other) is None
    assert one.used == 0  # all room is back


@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(0, 200))
def test_packets_stay_whole_or_are_cut(packets: list[bytes], room: int) -> None:
    one, other = pair(SEQUENCED)
    for packet in packets:
        assert send(one, packet) == len(packet)
    for packet in packets:
        found, received = receive(other, room)
        assert found == packet[:room]
        assert bool(received.flags & MSG.TRUNC) is (len(packet) > room)
    assert data(other) is None


@given(st.binary(min_size=1, max_size=100), st.integers(1, 120))
def test_peeking_takes_nothing(content: bytes, room: int) -> None:
    one, other = pair()
    send(one, content[:3])
    send(one, content[3:])
    for _ in range(2):
        assert data(other, room, MSG.PEEK) == content[:room]
    assert data(other, 200) == content


@given(st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=20), st.integers(0, 30))
def test_peeking_with_an_offset_goes_on_where_it_was(reads: list[tuple[int, bool]], start: int) -> None:
    """The stream is one string; the offset counts from what is left of it."""
    one, other = pair()
    for part in (b"abcdef", b"ghi", b"jklmnop"):
        send(one, part)
    rest, offset = b"abcdefghijklmnop", start
    other.set_option(SOL.SOCKET, SO.PEEK_OFF, start.to_bytes(4, "little"))
    for room, is_peek in reads:
        at = offset if is_peek else 0
        expected = rest[at : at + room] or None
        assert data(other, room, MSG.PEEK if is_peek else 0) == expected
        count = len(expected or b"")
        rest, offset = (rest, offset + count) if is_peek else (rest[count:], max(offset - count, 0))
        assert other.get_option(SOL.SOCKET, SO.PEEK_OFF, 4) == offset.to_bytes(4, "little")


def test_peeking_with_an_offset_skips_packets() -> None:
    one, other = pair(SEQUENCED)
    for part in (b"abc", b"", b"de"):
        send(one, part)
    other.set_option(SOL.SOCKET, SO.PEEK_OFF, bytes(4))
    assert [data(other, 2, MSG.PEEK) for _ in range(5)] == [b"ab", b"c", b"", b"de", None]
    assert data(other) == b"abc"
    assert other.get_option(SOL.SOCKET, SO.PEEK_OFF, 4) == b"\2\0\0\0"


def test_the_length_of_a_packet_can_be_asked_for() -> None:
    one, other = pair(SEQUENCED)
    send(one, b"four")
    assert receive(other, 2, MSG.TRUNC | MSG.PEEK)[1].length == 4
    assert other.available() == 4
    assert receive(other, 2)[1].length == 2


def test_room_comes_back_when_it_has_been_read() -> None:
    one, other = pair()
    total = flood(one, bytes(30000))
    assert not one.poll() & Poll.OUT
    waiter = watch(one.source(Poll(Poll.OUT)))
    while not waiter.is_woken:
        assert data(other, 4096)
    assert one.poll() & Poll.OUT
    assert total > 100_000


def test_one_send_is_cut_at_the_end_of_the_buffer() -> None:
    one, other = pair()
    sent = send(one, bytes(1 << 20))
    assert 0 < sent < 1 << 20
    assert sum(len(data(other, 1 << 20) or b"") for _ in range(20)) == sent


def test_too_long_a_packet() -> None:
    one, _other = pair(SEQUENCED)
    fails(Errno.EMSGSIZE, send, one, bytes(212992 - 31))


class Unreadable(KernelBuffer):
    """Memory that is not there."""

    def fill(self, data: bytes | bytearray | memoryview) -> int:
        raise LinuxError(Errno.EFAULT)


def test_bad_memory_loses_a_packet_but_no_bytes() -> None:
    for kind, left in ((SOCK.STREAM, b"kept"), (SEQUENCED, None)):
        one, other = pair(kind)
        send(one, b"kept")
        fails(Errno.EFAULT, other.receive_nowait, Unreadable(bytearray(9)), MSG(0))
        assert data(other) == left


# -- ends -----------------------------------------------------------------------------------------------


@BOTH_WAYS
def test_closing_is_the_end_behind_what_was_sent(kind: int) -> None:
    one, other = pair(kind)
    send(one, b"last")
    waiter = watch(other.source(Poll(Poll.IN)))
    one.drop()
    assert waiter.is_woken
    assert data(other) == b"last"
    assert data(other) == b""
    assert other.poll() & (Poll.HUP | Poll.RDHUP | Poll.IN) == Poll.HUP | Poll.RDHUP | Poll.IN


@BOTH_WAYS
def test_closing_with_something_unread_is_a_reset(kind: int) -> None:
    one, other = pair(kind)
    send(other, b"never read")
    one.drop()
    assert other.poll() & Poll.ERR
    fails(Errno.ECONNRESET, data, other)
    assert data(other) == b""
    assert not other.poll() & Poll.ERR


def test_nobody_reads_any_more() -> None:
    one, other = pair()
    other.drop()
    with pytest.raises(BrokenPipe):
        send(one, b"x")
    packets, peer = pair(SEQUENCED)
    peer.drop()
    with pytest.raises(LinuxError) as caught:
        send(packets, b"x")
    assert caught.value.errno is Errno.EPIPE
    assert not isinstance(caught.value, BrokenPipe)  # no signal


@BOTH_WAYS
@pytest.mark.parametrize("how", [SHUT.RD, SHUT.WR, SHUT.RDWR])
def test_shutting_down(kind: int, how: int) -> None:
    one, other = pair(kind)
    send(other, b"before")
    one.shutdown(how)
    assert data(one) == b"before"
    if how != SHUT.WR:
        assert data(one) == b""
        fails(Errno.EPIPE, send, other, b"x")
    if how != SHUT.RD:
        assert data(other) == b""
        fails(Errno.EPIPE, send, one, b"x")
    assert bool(one.poll() & Poll.HUP) is (how == SHUT.RDWR)
    fails(Errno.EINVAL, one.shutdown, 3)


# -- connections ----------------------------------------------------------------------------------------


@BOTH_WAYS
def test_connecting(fs: FsContext, kind: int) -> None:
    network = Network()
    listener = listening(network, fs, kind=kind)
    assert listener.poll() == 0
    fails(
        Errno.EINVAL, listener.receive_nowait, KernelBuffer(bytearray(1)), MSG(0)
    ) if kind == SOCK.STREAM else None
    client = connected(network, fs, kind)
    assert listener.poll() == Poll.IN | Poll.RDNORM
    send(client, b"early")
    server, address = listener.accept_nowait()
    assert address == b"\1\0"
    assert data(server) == b"early"
    assert server.name() == client.peer_name() == NAME
    with pytest.raises(WouldBlock):
        listener.accept_nowait()
    with pytest.raises(LinuxError) as caught:
        begin(client.connect(NAME, fs))
    assert caught.value.errno is Errno.EISCONN


def test_who_may_listen_and_accept(fs: FsContext) -> None:
    network = Network()
    fresh = new(network)
    fails(Errno.EINVAL, fresh.listen, 1)
    fails(Errno.EINVAL, fresh.accept_nowait)
    fails(Errno.ENOTCONN, fresh.peer_name)
    fails(Errno.ENOTCONN, send, fresh, b"x")
    assert fresh.poll() == Poll.HUP | CAN_WRITE
    listening(network, fs).shutdown(SHUT.RD)
    with pytest.raises(LinuxError) as caught:
        connected(network, fs)
    assert caught.value.errno is Errno.ECONNREFUSED


def test_a_full_backlog_makes_wait(fs: FsContext) -> None:
    network = Network()
    listener = listening(network, fs, backlog=0)
    connected(network, fs)
    hasty = new(network, flags=O.NONBLOCK)
    with pytest.raises(LinuxError) as caught:
        begin(hasty.connect(NAME, fs))
    assert caught.value.errno is Errno.EAGAIN
    patient = new(network)
    attempt = patient.connect(NAME, fs)
    waiter = begin(attempt)
    assert isinstance(waiter, Waiter)
    assert not waiter.is_woken
    listener.accept_nowait()[0].drop()
    assert waiter.is_woken
    assert begin(attempt) is None
    assert patient.peer_name() == NAME


def test_an_interrupted_connect_with_a_limit_is_not_restarted(fs: FsContext) -> None:
    network = Network()
    listening(network, fs, backlog=0)
    connected(network, fs)
    for timeout_ns, errno in ((None, Errno.ERESTARTSYS), (1 << 40, Errno.EINTR)):
        client = new(network)
        client.write_timeout_ns = timeout_ns
        attempt = client.connect(NAME, fs)
        begin(attempt)
        with pytest.raises(LinuxError) as caught:
            attempt.throw(LinuxError(Errno.ERESTARTSYS))
        assert caught.value.errno is errno


def test_a_listener_that_goes_resets_who_waits(fs: FsContext) -> None:
    network = Network()
    listener = listening(network, fs)
    client = connected(network, fs)
    listener.drop()
    fails(Errno.ECONNRESET, data, client)
    assert data(client) == b""
    with pytest.raises(LinuxError) as caught:
        connected(network, fs)
    assert caught.value.errno is Errno.ECONNREFUSED


def test_accepting_waits(fs: FsContext) -> None:
    network = Network()
    listener = listening(network, fs)
    accepting = accept(listener)
    waiter = begin(accepting)
    client = connected(network, fs)
    assert waiter.is_woken
    server, _ = begin(accepting)
    assert server.peer is client


# -- waiting --------------------------------------------------------------------------------------------


def test_a_blocking_send_goes_on_until_all_is_gone() -> None:
    one, other = pair()
    whole = bytes(range(256)) * 4000
    sending = send_waiting(one, Outgoing(KernelBuffer(whole)))
    waiter, got = begin(sending), b""
    while isinstance(waiter, Waiter):
        while not waiter.is_woken:
            got += data(other, 50_000) or b""
        waiter = begin(sending)
    assert waiter == len(whole)
    while len(got) < len(whole):
        got += data(other, 1 << 20) or b""
    assert got == whole


def test_what_has_gone_counts_when_a_signal_comes() -> None:
    one, _other = pair()
    sending = send_waiting(one, Outgoing(KernelBuffer(bytes(1 << 20))))
    begin(sending)
    with pytest.raises(StopIteration) as stopped:
        sending.throw(LinuxError(Errno.ERESTARTSYS))
    assert 0 < stopped.value.value < 1 << 20


def test_waiting_for_all() -> None:
    one, other = pair()
    memory = bytearray(6)
    receiving = receive_waiting(other, KernelBuffer(memory), MSG(MSG.WAITALL))
    send(one, b"abc")
    first = begin(receiving)
    assert isinstance(first, Waiter)
    send(one, b"defgh")
    assert first.is_woken
    assert begin(receiving).length == 6
    assert memory == b"abcdef"
    assert begin(receive_waiting(other, KernelBuffer(memory), MSG(MSG.WAITALL | MSG.DONTWAIT))).length == 2


def test_waiting_for_enough() -> None:
    one, other = pair()
    other.set_option(SOL.SOCKET, SO.RCVLOWAT, (4).to_bytes(4, "little"))
    memory = bytearray(6)
    for receiving in (
        receive_waiting(other, KernelBuffer(memory), MSG(0)),
        read_waiting(other, KernelBuffer(memory)),
    ):
        send(one, b"abc")
        first = begin(receiving)
        assert isinstance(first, Waiter)
        send(one, b"de")
        assert first.is_woken
        done = begin(receiving)
        assert memory[:5] == b"abcde"
        assert (done if isinstance(done, int) else done.length) == 5
    send(one, b"ab")
    assert other.poll() & Poll.IN
    assert begin(read_waiting(other, KernelBuffer(bytearray(2)))) == 2  # no more were asked for
    assert begin(read_waiting(other, KernelBuffer(bytearray()))) == 0
    send(one, b"ab")
    assert begin(receive_waiting(other, KernelBuffer(memory), MSG(MSG.DONTWAIT))).length == 2


def test_waiting_for_all_ends_with_the_stream() -> None:
    one, other = pair()
    send(one, b"abc")
    one.drop()
    received = begin(receive_waiting(other, KernelBuffer(bytearray(6)), MSG(MSG.WAITALL)))
    assert received.length == 3


def test_not_waiting() -> None:
    _one, other = pair()
    for flags, status in ((MSG.DONTWAIT, 0), (0, O.NONBLOCK)):
        other.flags = O(O.RDWR | status)
        with pytest.raises(LinuxError) as caught:
            begin(receive_waiting(other, KernelBuffer(bytearray(6)), MSG(flags)))
        assert caught.value.errno is Errno.EAGAIN
    other.flags = O(O.RDWR)
    other.read_timeout_ns = 0
    with pytest.raises(LinuxError) as caught:
        begin(receive_waiting(other, KernelBuffer(bytearray(6)), MSG(0)))
    assert caught.value.errno is Errno.EAGAIN


def test_a_signal_restarts_a_call_without_a_limit_only() -> None:
    for timeout_ns, errno in ((None, Errno.ERESTARTSYS), (1 << 40, Errno.EINTR)):
        _one, other = pair()
        other.read_timeout_ns = timeout_ns
        receiving = receive_waiting(other, KernelBuffer(bytearray(6)), MSG(0))
        begin(receiving)
        with pytest.raises(LinuxError) as caught:
            receiving.throw(LinuxError(Errno.ERESTARTSYS))
        assert caught.value.errno is errno


# -- as a file ------------------------------------------------------------------------------------------


def test_reading_and_writing() -> None:
    one, other = pair()
    assert one.write_nowait(KernelBuffer(b"text")) == 4
    memory = bytearray(9)
    assert other.read_nowait(KernelBuffer(memory)) == 4
    assert other.read_nowait(KernelBuffer(b"")) == 0
    assert memory.startswith(b"text")
    assert one.describe() == b"socket:[%d]" % one.attributes().ino
    assert one.attributes().ino != other.attributes().ino
    fails(Errno.ESPIPE, one.seek, 0, 0)


def test_options_of_the_connection(fs: FsContext) -> None:
    listener = listening(Network(), fs)
    for option, value in ((SO.ACCEPTCONN, 1), (SO.TYPE, SOCK.STREAM), (SO.DOMAIN, 1), (SO.ERROR, 0)):
        assert listener.get_option(SOL.SOCKET, option, 4) == value.to_bytes(4, "little")
        fails(Errno.ENOPROTOOPT, listener.set_option, SOL.SOCKET, option, bytes(4))
    fails(Errno.EOPNOTSUPP, listener.get_option, SOL.TCP, 1, 4)
    fails(Errno.EOPNOTSUPP, listener.set_option, SOL.TCP, 1, bytes(4))
