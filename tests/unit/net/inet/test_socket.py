"""Internet sockets over the host's loopback, and those that reach nothing."""

import contextlib
import select
import socket
from collections.abc import Iterator

import pytest
from fakes.expect import fails
from fakes.sockets import begin, data, flood, receive, send

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.inet import IP, IPPROTO, IPV6, TCP
from aionoah.abi.ioctl import IOCTL
from aionoah.abi.poll import Poll
from aionoah.abi.socket import AF, MSG, SHUT, SO, SOCK, SOL, Linger
from aionoah.fs.context import FsContext
from aionoah.fs.file import BrokenPipe, WouldBlock
from aionoah.fs.mount_namespace import MountNamespace
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.host.waiting import Waiter
from aionoah.memory.buffer import KernelBuffer
from aionoah.net.inet.isolated import IsolatedSocket
from aionoah.net.inet.socket import InetSocket
from aionoah.net.network import Network
from aionoah.net.options import from_int
from aionoah.net.policy import NoNetwork, Policy
from aionoah.net.socket import Control, Outgoing
from aionoah.process.credentials import Credentials

LOOPBACK = b"\2\0\0\0\x7f\0\0\1" + bytes(8)


@pytest.fixture
def fs() -> FsContext:
    return FsContext(MountNamespace.of(TmpFileSystem()).root, Credentials())


@pytest.fixture
def opened() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


class Refusing(Policy):
    """Notes what is asked, and allows nothing."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def require_bind(self, host: str, port: int) -> None:
        self.asked.append((host, port))
        raise LinuxError(Errno.EACCES)

    require_connect = require_bind


def new(
    opened: contextlib.ExitStack,
    kind: int = SOCK.STREAM,
    *,
    family: int = AF.INET,
    flags: int = 0,
    policy: Policy | None = None,
) -> InetSocket:
    made = InetSocket(Network(policy), family, kind, 0, flags)
    opened.callback(made.drop)
    return made


def at(port: int) -> bytes:
    return LOOPBACK[:2] + port.to_bytes(2, "big") + LOOPBACK[4:]


def listening(opened: contextlib.ExitStack, fs: FsContext) -> InetSocket:
    listener = new(opened)
    listener.bind(LOOPBACK, fs)
    listener.listen(5)
    return listener


def connected(opened: contextlib.ExitStack, fs: FsContext) -> tuple[InetSocket, InetSocket]:
    listener, client = listening(opened, fs), new(opened)
    connecting = client.connect(listener.name(), fs)
    while isinstance(begin(connecting), Waiter):
        wait_for(client, Poll.OUT)
    wait_for(listener, Poll.IN)
    server, address = listener.accept_nowait()
    opened.callback(server.drop)
    assert address == client.name()
    return client, server


def wait_for(made: InetSocket, events: int) -> None:
    poller = select.poll()
    poller.register(made.fd, events)
    poller.poll()


# -- streams --------------------------------------------------------------------------------------------


def test_a_conversation(opened: contextlib.ExitStack, fs: FsContext) -> None:
    client, server = connected(opened, fs)
    assert client.peer_name() == server.name()
    with pytest.raises(WouldBlock):
        receive(server)
    assert not server.poll() & Poll.IN
    send(client, b"hello")
    wait_for(server, Poll.IN)
    assert server.poll() & (Poll.IN | Poll.OUT) == Poll.IN | Poll.OUT
    assert server.ioctl(IOCTL.FIONREAD, b"") == b"\5\0\0\0"
    assert data(server, 3, MSG.PEEK) == b"hel"
    assert data(server) == b"hello"
    client.shutdown(SHUT.WR)
    wait_for(server, Poll.IN)
    assert data(server) == b""
    with pytest.raises(BrokenPipe):
        send(client, b"x")


def test_what_to_wait_for(opened: contextlib.ExitStack, fs: FsContext) -> None:
    client, _ = connected(opened, fs)
    assert client.source(Poll(Poll.IN)).readable == (client.fd,)
    assert client.source(Poll(Poll.IN)).writable == ()
    assert client.source(Poll(Poll.OUT)).writable == (client.fd,)
    assert client.source(Poll(Poll.IN | Poll.OUT)).queues == ()


def test_a_full_buffer(opened: contextlib.ExitStack, fs: FsContext) -> None:
    client, _ = connected(opened, fs)
    assert flood(client, bytes(1 << 16)) > 1000
    while client.poll() & Poll.OUT:  # what was on its way has arrived
        flood(client, bytes(1 << 16))


def test_connecting_without_waiting(opened: contextlib.ExitStack, fs: FsContext) -> None:
    listener, client = listening(opened, fs), new(opened, flags=O.NONBLOCK)
    with pytest.raises(LinuxError) as caught:
        begin(client.connect(listener.name(), fs))
    assert caught.value.errno is Errno.EINPROGRESS
    wait_for(client, Poll.OUT)
    assert client.get_option(SOL.SOCKET, SO.ERROR, 4) == bytes(4)
    assert begin(client.connect(listener.name(), fs)) is None  # the first one tells that it is done
    with pytest.raises(LinuxError) as caught:
        begin(client.connect(listener.name(), fs))
    assert caught.value.errno is Errno.EISCONN


def test_nobody_listens(opened: contextlib.ExitStack, fs: FsContext) -> None:
    closed = listening(opened, fs)
    name = closed.name()
    closed.host.close()
    client = new(opened)

    def connect() -> None:
        connecting = client.connect(name, fs)
        while isinstance(begin(connecting), Waiter):
            wait_for(client, Poll.OUT)

    fails(Errno.ECONNREFUSED, connect)


def test_a_signal_during_connect(opened: contextlib.ExitStack, fs: FsContext) -> None:
    """The call comes again and finds the attempt under way, or done."""
    listener, client = listening(opened, fs), new(opened)
    connecting = client.connect(listener.name(), fs)
    if isinstance(begin(connecting), Waiter):
        with pytest.raises(LinuxError) as caught:
            connecting.throw(LinuxError(Errno.ERESTARTSYS))
        assert caught.value.errno is Errno.ERESTARTSYS
        again = client.connect(listener.name(), fs)
        while isinstance(begin(again), Waiter):
            wait_for(client, Poll.OUT)
    assert client.peer_name() == listener.name()


def test_accepting_nobody(opened: contextlib.ExitStack, fs: FsContext) -> None:
    with pytest.raises(WouldBlock):
        listening(opened, fs).accept_nowait()
    fails(Errno.EINVAL, new(opened).accept_nowait)
    fails(Errno.EOPNOTSUPP, new(opened, SOCK.DGRAM).accept_nowait)


def test_accepted_sockets_do_not_block_either(opened: contextlib.ExitStack, fs: FsContext) -> None:
    _, server = connected(opened, fs)
    assert server.host.gettimeout() == 0.0
    assert not server.is_nonblocking  # for the guest they do


# -- addresses ------------------------------------------------------------------------------------------


def test_bad_addresses(opened: contextlib.ExitStack, fs: FsContext) -> None:
    made = new(opened)
    for address, errno in (
        (LOOPBACK[:15], Errno.EINVAL),
        (b"\x0a\0" + LOOPBACK[2:], Errno.EAFNOSUPPORT),
        (b"\0\0\0\0\x7f\0\0\1" + bytes(8), Errno.EAFNOSUPPORT),
        (b"", Errno.EINVAL),
    ):
        fails(errno, made.bind, address, fs)
    made.bind(bytes(16), fs)  # AF_UNSPEC and the wildcard
    assert made.name()[:2] == b"\2\0"
    fails(Errno.ENOTCONN, made.peer_name)


def test_the_policy_is_asked_first(opened: contextlib.ExitStack, fs: FsContext) -> None:
    policy = Refusing()
    stream, datagram = new(opened, policy=policy), new(opened, SOCK.DGRAM, policy=policy)
    fails(Errno.EACCES, stream.bind, at(80), fs)
    fails(Errno.EACCES, begin, stream.connect(at(81), fs))
    fails(Errno.EACCES, lambda: send(datagram, b"x", address=at(82)))
    assert policy.asked == [("127.0.0.1", port) for port in (80, 81, 82)]


def test_datagrams(opened: contextlib.ExitStack, fs: FsContext) -> None:
    one, other = new(opened, SOCK.DGRAM), new(opened, SOCK.DGRAM)
    for made in (one, other):
        made.bind(LOOPBACK, fs)
    fails(Errno.EDESTADDRREQ, send, one, b"x")
    send(one, b"hello", address=other.name())
    wait_for(other, Poll.IN)
    content, received = receive(other, 3)
    assert content == b"hel"
    assert received.flags == MSG.TRUNC
    assert received.address == one.name()
    begin(one.connect(other.name(), fs))
    assert one.peer_name() == other.name()
    begin(one.connect(bytes(16), fs))
    fails(Errno.ENOTCONN, one.peer_name)
    fails(Errno.EAGAIN, lambda: receive(one, 1, MSG.ERRQUEUE))


def test_control_messages(opened: contextlib.ExitStack, fs: FsContext) -> None:
    one, other = new(opened, SOCK.DGRAM), new(opened, SOCK.DGRAM)
    other.bind(LOOPBACK, fs)
    other.set_option(SOL.IP, IP.RECVTTL, b"\1\0\0\0")
    ttl = Control(SOL.IP, IP.TTL, (42).to_bytes(4, "little"))
    one.send_nowait(Outgoing(KernelBuffer(b"x"), MSG(0), other.name(), (ttl,)))
    wait_for(other, Poll.IN)
    assert receive(other)[1].control == (ttl,)
    strange = Control(SOL.IP, IP.ADD_MEMBERSHIP, b"")
    fails(Errno.EINVAL, one.send_nowait, Outgoing(KernelBuffer(b"x"), MSG(0), other.name(), (strange,)))


# -- options --------------------------------------------------------------------------------------------


def test_options(opened: contextlib.ExitStack) -> None:
    made = new(opened)
    made.set_option(SOL.TCP, TCP.NODELAY, b"\1\0\0\0")
    assert made.get_option(SOL.TCP, TCP.NODELAY, 4) == b"\1\0\0\0"
    assert made.get_option(SOL.TCP, TCP.NODELAY, 0) == b""
    assert made.get_option(SOL.SOCKET, SO.PROTOCOL, 4) == b"\6\0\0\0"
    assert made.get_option(SOL.SOCKET, SO.PEERCRED, 12) == bytes(4) + b"\xff" * 8
    for level, option in ((SOL.SOCKET, 9999), (SOL.TCP, 999), (SOL.SOCKET, SO.ATTACH_FILTER)):
        fails(Errno.ENOPROTOOPT, made.get_option, level, option, 4)
        fails(Errno.ENOPROTOOPT, made.set_option, level, option, bytes(16))
    fails(Errno.EOPNOTSUPP, made.require_level, 12345)
    fails(Errno.ENOPROTOOPT, made.get_option, 12345, 1, 4)
    fails(Errno.ENOPROTOOPT, made.set_option, 12345, 1, bytes(4))
    fails(Errno.EPERM, made.set_option, SOL.SOCKET, SO.BINDTODEVICE, b"lo\0")


def test_a_close_never_lingers(opened: contextlib.ExitStack) -> None:
    made = new(opened)
    made.set_option(SOL.SOCKET, SO.LINGER, Linger(1, 30).pack())
    assert Linger.unpack(made.get_option(SOL.SOCKET, SO.LINGER, 8)) == Linger(1, 30)
    assert Linger.unpack(made.host.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)) == Linger(0, 0)
    made.set_option(SOL.SOCKET, SO.LINGER, Linger(1, 0).pack())
    assert Linger.unpack(made.host.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)).l_onoff
    fails(Errno.EINVAL, made.set_option, SOL.SOCKET, SO.LINGER, b"\1")


def test_interfaces(opened: contextlib.ExitStack) -> None:
    lo = b"lo".ljust(40, b"\0")
    isolated = InetSocket(Network(NoNetwork()), AF.INET, SOCK.DGRAM, 0)
    opened.callback(isolated.drop)
    assert isolated.ioctl(IOCTL.SIOCGIFINDEX, lo)[16:20] == b"\1\0\0\0"
    assert isolated.ioctl(IOCTL.SIOCGIFFLAGS, lo)[16:20] == b"\x08\0\0\0"  # not up
    assert isolated.ioctl(IOCTL.SIOCGIFNAME, bytes(16) + b"\1" + bytes(23))[:3] == b"lo\0"
    fails(Errno.ENODEV, isolated.ioctl, IOCTL.SIOCGIFNAME, bytes(16) + b"\2" + bytes(23))
    fails(Errno.ENODEV, isolated.ioctl, IOCTL.SIOCGIFINDEX, b"eth0".ljust(40, b"\0"))
    fails(Errno.EADDRNOTAVAIL, isolated.ioctl, IOCTL.SIOCGIFADDR, lo)


# -- without a network ----------------------------------------------------------------------------------


def isolated(opened: contextlib.ExitStack, kind: int = SOCK.STREAM, family: int = AF.INET) -> IsolatedSocket:
    made = IsolatedSocket(Network(NoNetwork()), family, kind, 0)
    opened.callback(made.drop)
    return made


def test_nothing_is_reached(opened: contextlib.ExitStack, fs: FsContext) -> None:
    made = isolated(opened)
    fails(Errno.ENETUNREACH, begin, made.connect(at(80), fs))
    fails(Errno.ENETUNREACH, lambda: send(isolated(opened, SOCK.DGRAM), b"x", address=at(80)))
    made.bind(at(8080), fs)
    assert made.name() == at(8080)
    fails(Errno.EINVAL, made.bind, at(8081), fs)
    fails(Errno.EINVAL, made.accept_nowait)
    made.listen(5)
    assert made.get_option(SOL.SOCKET, SO.ACCEPTCONN, 4) == b"\1\0\0\0"
    assert made.poll() == 0
    assert made.source(Poll(Poll.IN)).readable == ()
    with pytest.raises(WouldBlock):
        made.accept_nowait()
    assert made.host.getsockname()[1] == 0  # the host has heard of nothing


def test_ports_are_given_out(opened: contextlib.ExitStack, fs: FsContext) -> None:
    one, other = isolated(opened), isolated(opened, family=AF.INET6)
    one.bind(bytes(16), fs)
    other.listen(1)
    ports = [int.from_bytes(made.name()[2:4], "big") for made in (one, other)]
    assert all(port >= 32768 for port in ports)
    assert len(set(ports)) == 2
    fails(Errno.EOPNOTSUPP, isolated(opened, SOCK.DGRAM).listen, 1)
    fails(Errno.EADDRNOTAVAIL, isolated(opened).bind, b"\2\0\0\x50\xc0\0\2\1" + bytes(8), fs)


def test_raw_sockets_hear_nothing_of_the_host(opened: contextlib.ExitStack) -> None:
    try:
        made = IsolatedSocket(Network(NoNetwork()), AF.INET, SOCK.RAW, IPPROTO.UDP)
    except LinuxError:
        pytest.skip("raw sockets are not for everybody")
    opened.callback(made.drop)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as host:
        host.bind(("127.0.0.1", 0))
        host.sendto(b"secret", host.getsockname())
        assert host.recv(10) == b"secret"
    assert data(made, 100) is None
    assert made.get_option(SOL.SOCKET, SO.PROTOCOL, 4) == from_int(IPPROTO.UDP)


def test_nothing_reaches_into_the_hosts_network(opened: contextlib.ExitStack) -> None:
    """A router of the sender's choice, and groups that the host would have to join."""
    one, other = isolated(opened, SOCK.DGRAM), isolated(opened, SOCK.DGRAM, AF.INET6)
    group = bytes([239, 1, 2, 3]) + bytes(4)
    fails(Errno.ENODEV, one.set_option, SOL.IP, IP.ADD_MEMBERSHIP, group)
    fails(Errno.ENODEV, other.set_option, SOL.IPV6, IPV6.ADD_MEMBERSHIP, bytes([255, 2]) + bytes(18))
    fails(Errno.EPERM, one.set_option, SOL.IP, IP.OPTIONS, bytes([131, 7, 4, 127, 0, 0, 1, 0]))
    one.set_option(SOL.IP, IP.OPTIONS, b"")
