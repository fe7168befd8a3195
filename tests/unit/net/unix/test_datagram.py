"""UNIX datagrams: peers, strangers, full queues."""

import pytest
from fakes.expect import fails
from fakes.sockets import begin, data, flood, pair, receive, send, watch

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.poll import Poll
from aionoah.abi.socket import SHUT, SO, SOCK, SOL
from aionoah.fs.context import FsContext
from aionoah.fs.file import WouldBlock
from aionoah.fs.mount_namespace import MountNamespace
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.memory.buffer import KernelBuffer
from aionoah.net.network import Network
from aionoah.net.socket import Outgoing
from aionoah.net.unix.creation import new_unix_socket
from aionoah.net.unix.datagram import DatagramSocket
from aionoah.process.credentials import Credentials

UNSPECIFIED = bytes(16)


@pytest.fixture
def fs() -> FsContext:
    return FsContext(MountNamespace.of(TmpFileSystem(mode=0o755)).root, Credentials())


def name(text: bytes) -> bytes:
    return b"\1\0\0" + text


def new(network: Network, text: bytes | None = None) -> DatagramSocket:
    made = new_unix_socket(network, SOCK.DGRAM, 0, 0)
    assert isinstance(made, DatagramSocket)
    if text is not None:
        made.bind(name(text), FsContext(MountNamespace.of(TmpFileSystem()).root, Credentials()))
    return made


def test_strangers_know_each_other_by_name() -> None:
    network = Network()
    one, other = new(network, b"one"), new(network, b"other")
    send(one, b"hello", address=name(b"other"))
    content, received = receive(other)
    assert content == b"hello"
    assert received.address == name(b"one")
    send(new(network), b"", address=name(b"other"))
    content, received = receive(other)
    assert content == received.address == b""


def test_a_path_is_a_name_too(fs: FsContext) -> None:
    network = Network()
    receiver, sender = new(network), new(network)
    receiver.bind(b"\1\0sock\0rest", fs)
    assert receiver.name() == b"\1\0sock\0"
    message = Outgoing(KernelBuffer(b"x"), address=b"\1\0/sock", fs=fs)
    assert sender.send_nowait(message) == 1
    assert data(receiver) == b"x"
    fails(Errno.ECONNREFUSED, sender.send_nowait, Outgoing(KernelBuffer(b"x"), address=b"\1\0sock"))


def test_nobody_there(fs: FsContext) -> None:
    network = Network()
    sender = new(network)
    fails(Errno.ENOTCONN, send, sender, b"x")
    fails(Errno.ECONNREFUSED, lambda: send(sender, b"x", address=name(b"nobody")))
    fails(Errno.EINVAL, lambda: send(sender, b"x", address=b"\1\0"))
    fails(Errno.EINVAL, lambda: send(sender, b"x", address=b"\2\0x"))
    gone = new(network, b"gone")
    begin(sender.connect(name(b"gone"), fs))
    gone.drop()
    fails(Errno.ECONNREFUSED, send, sender, b"x")
    fails(Errno.ENOTCONN, send, sender, b"x")


def test_a_connected_one_hears_its_peer_only(fs: FsContext) -> None:
    network = Network()
    one, other, stranger = new(network, b"one"), new(network, b"other"), new(network)
    begin(one.connect(name(b"other"), fs))
    fails(Errno.EPERM, lambda: send(stranger, b"x", address=name(b"one")))
    with pytest.raises(LinuxError) as caught:
        begin(stranger.connect(name(b"one"), fs))
    assert caught.value.errno is Errno.EPERM
    send(one, b"x")
    assert data(other) == b"x"
    assert one.peer_name() == name(b"other")
    begin(one.connect(UNSPECIFIED, fs))
    fails(Errno.ENOTCONN, one.peer_name)
    send(stranger, b"x", address=name(b"one"))


def test_leaving_a_peer_loses_what_he_sent(fs: FsContext) -> None:
    one, other = pair(SOCK.DGRAM)
    send(other, b"lost")
    begin(one.connect(UNSPECIFIED, fs))
    assert data(one) is None
    fails(Errno.ECONNRESET, data, other)
    assert other.used == 0


def test_a_full_queue(fs: FsContext) -> None:
    network = Network()
    receiver, sender = new(network, b"busy"), new(network)
    begin(sender.connect(name(b"busy"), fs))
    for _ in range(11):
        send(sender, b"x")
    with pytest.raises(WouldBlock):
        send(sender, b"x")
    assert not sender.poll() & Poll.OUT
    waiters = [
        watch(sender.source(Poll(Poll.OUT))),
        watch(sender.send_source(Outgoing(KernelBuffer(b"")))),
        watch(new(network).send_source(Outgoing(KernelBuffer(b""), address=name(b"busy")))),
    ]
    assert data(receiver) == b"x"
    assert all(waiter.is_woken for waiter in waiters)
    assert sender.poll() & Poll.OUT
    assert receiver.available() == 1


def test_two_that_are_connected_have_only_their_buffers() -> None:
    one, other = pair(SOCK.DGRAM)
    assert flood(one, b"x") == 212992 // 768 + 1 == len(other.packets)


def test_shutting_down() -> None:
    one, other = pair(SOCK.DGRAM)
    one.shutdown(SHUT.WR)
    fails(Errno.EPIPE, send, one, b"x")
    send(other, b"x")
    one.shutdown(SHUT.RD)
    fails(Errno.EPIPE, send, other, b"x")
    assert data(one) == b"x"
    assert data(one) == b""
    assert one.poll() & Poll.HUP
    assert not other.poll() & Poll.HUP


def test_what_datagrams_cannot() -> None:
    one, _ = pair(SOCK.DGRAM)
    fails(Errno.EOPNOTSUPP, one.listen, 1)
    fails(Errno.EOPNOTSUPP, one.accept_nowait)
    fails(Errno.EMSGSIZE, send, one, bytes(300_000))
    assert one.get_option(SOL.SOCKET, SO.ACCEPTCONN, 4) == bytes(4)


def test_credentials_need_a_name() -> None:
    network = Network()
    receiver, sender = new(network, b"careful"), new(network)
    sender.set_option(SOL.SOCKET, SO.PASSCRED, b"\1\0\0\0")
    send(sender, b"x", address=name(b"careful"))
    assert receive(receiver)[1].address == name(b"00001")
