"""Questions to the kernel about its network."""

import socket
import struct
import sys

import pytest
from fakes.expect import fails
from fakes.sockets import begin, data, receive, send
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.errno import Errno
from aionoah.abi.netlink import NETLINK, NETLINK_OPTION, NLM_F, NLMSG, Nlmsghdr, SockaddrNl
from aionoah.abi.poll import Poll
from aionoah.abi.socket import AF, MSG, SO, SOCK, SOL
from aionoah.fs.context import FsContext
from aionoah.fs.mount_namespace import MountNamespace
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.net.links import LOOPBACK, OUTWARD
from aionoah.net.netlink import socket as netlink_socket
from aionoah.net.netlink.route import LinkAnswerer, messages
from aionoah.net.netlink.socket import NetlinkSocket, new_netlink_socket
from aionoah.net.network import Network
from aionoah.net.policy import NoNetwork
from aionoah.process.credentials import Credentials

GETLINK, NEWLINK, GETADDR, GETROUTE = 18, 16, 22, 26
DUMP = NLM_F.REQUEST | NLM_F.DUMP
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="there is no netlink to ask")


@pytest.fixture
def fs() -> FsContext:
    return FsContext(MountNamespace.of(TmpFileSystem()).root, Credentials())


def request(kind: int, flags: int, body: bytes = bytes(16), sequence: int = 7) -> bytes:
    return Nlmsghdr(Nlmsghdr.SIZE + len(body), kind, flags, sequence, 0).pack() + body


def new(network: Network | None = None, protocol: int = NETLINK.ROUTE) -> NetlinkSocket:
    return new_netlink_socket(network or Network(NoNetwork()), SOCK.RAW, protocol, 0)


def answers(made: NetlinkSocket) -> list[tuple[Nlmsghdr, bytes]]:
    found: list[tuple[Nlmsghdr, bytes]] = []
    while (datagram := data(made, 1 << 16)) is not None:
        found += messages(datagram)
    return found


def error_of(message: bytes) -> int:
    return -int(struct.unpack_from("<i", message, Nlmsghdr.SIZE)[0])


# -- without a network ------------------------------------------------------------------------------------


def test_the_only_link_is_down() -> None:
    made = new()
    send(made, request(GETLINK, DUMP))
    (link, message), (done, _) = answers(made)
    assert (link.nlmsg_type, done.nlmsg_type) == (NEWLINK, NLMSG.DONE)
    assert link.nlmsg_seq == done.nlmsg_seq == 7
    assert link.nlmsg_pid == made.port
    assert b"lo\0" in message
    assert not struct.unpack_from("<I", message, 24)[0] & 1  # IFF_UP


@pytest.mark.parametrize("kind", [GETADDR, GETROUTE, 30])
def test_there_is_nothing_else(kind: int) -> None:
    made = new()
    send(made, request(kind, DUMP))
    assert [head.nlmsg_type for head, _ in answers(made)] == [NLMSG.DONE]


def test_one_link() -> None:
    made = new()
    for body, expected in (
        (struct.pack("<BxHi", 0, 0, 1), NEWLINK),
        (struct.pack("<BxHi", 0, 0, 9), NLMSG.ERROR),
    ):
        send(made, request(GETLINK, NLM_F.REQUEST, body + bytes(8)))
        assert [head.nlmsg_type for head, _ in answers(made)] == [expected]


@pytest.mark.parametrize("kind", [16, 17, 19, 20, 21, 24])
def test_nothing_can_be_changed(kind: int) -> None:
    made = new()
    send(made, request(kind, NLM_F.REQUEST | NLM_F.ACK))
    ((head, message),) = answers(made)
    assert head.nlmsg_type == NLMSG.ERROR
    assert error_of(message) == Errno.EPERM


def test_several_requests_in_one_message() -> None:
    made = new()
    send(made, request(GETADDR, DUMP) + request(999, NLM_F.REQUEST) + request(3, NLM_F.ACK, b""))
    heads = answers(made)
    assert [head.nlmsg_type for head, _ in heads] == [NLMSG.DONE, NLMSG.ERROR, NLMSG.ERROR]
    assert [error_of(message) for _, message in heads[1:]] == [Errno.EOPNOTSUPP, 0]


REQUESTS = st.builds(
    request,
    st.sampled_from([*range(10, 40), 123, 124, 0xFFFF]),
    st.integers(0, 0xFFFF).map(lambda flags: flags | NLM_F.REQUEST),
    st.binary(max_size=40),
)


@given(st.binary(max_size=200) | st.lists(REQUESTS, max_size=3).map(b"".join))
def test_any_bytes(junk: bytes) -> None:
    for replies in LinkAnswerer((LOOPBACK, OUTWARD)).answers(junk, 1):
        assert all(list(messages(reply)) for reply in replies)


def test_requests_without_a_body() -> None:
    made = new()
    send(made, request(GETLINK, DUMP, b""))
    assert answers(made) == []
    send(made, request(GETLINK, DUMP | NLM_F.ACK, b""))
    ((head, message),) = answers(made)
    assert (head.nlmsg_type, error_of(message)) == (NLMSG.ERROR, 0)


def test_answers_that_nobody_reads_are_lost() -> None:
    made, asked = new(), request(GETLINK, DUMP)
    made.set_option(SOL.SOCKET, SO.RCVBUF, struct.pack("<i", 10_000))
    for _ in range(3):
        send(made, asked * 1000)
    assert made.poll() & Poll.ERR
    fails(Errno.ENOBUFS, receive, made, 1 << 16)
    assert sum(head.nlmsg_type == NLMSG.DONE for head, _ in answers(made)) < 1000
    send(made, asked)
    assert len(answers(made)) == 2
    made.set_option(SOL.NETLINK, NETLINK_OPTION.NO_ENOBUFS, struct.pack("<i", 1))
    send(made, asked * 1000)
    assert made.get_option(SOL.SOCKET, SO.ERROR, 4) == bytes(4)


# -- the host's -------------------------------------------------------------------------------------------


@on_linux
def test_what_the_host_says() -> None:
    made = new(Network())
    send(made, request(GETLINK, DUMP))
    found = answers(made)
    names = {name for _, name in socket.if_nameindex()}
    assert sum(head.nlmsg_type == NEWLINK for head, _ in found) == len(names)
    assert {head.nlmsg_pid for head, _ in found} == {made.port}
    assert found[-1][0].nlmsg_type == NLMSG.DONE
    for name in names:
        assert any(name.encode() + b"\0" in message for _, message in found)
    made.drop()


@on_linux
def test_the_host_is_not_asked_to_change_anything() -> None:
    made = new(Network())
    for kind in range(16, 124):
        if kind & 3 != 2:
            send(made, request(kind, NLM_F.REQUEST | NLM_F.ACK))
            assert [error_of(message) for _, message in answers(made)] == [Errno.EPERM]
    assert made._answerer is not None
    made.drop()


# -- the socket -------------------------------------------------------------------------------------------


def test_ports(fs: FsContext) -> None:
    network = Network(NoNetwork())
    one, other, third = new(network), new(network), new(network)
    assert SockaddrNl.unpack(one.name()) == SockaddrNl(AF.NETLINK, 0, 0)
    one.bind(SockaddrNl(AF.NETLINK, 77, 0).pack(), fs)
    fails(Errno.EADDRINUSE, other.bind, SockaddrNl(AF.NETLINK, 77, 0).pack(), fs)
    fails(Errno.EINVAL, one.bind, SockaddrNl(AF.NETLINK, 0, 0).pack(), fs)
    fails(Errno.EINVAL, one.bind, SockaddrNl(AF.UNIX, 77, 0).pack(), fs)
    fails(Errno.EINVAL, one.bind, b"\x10\0", fs)
    for made in (other, third):
        made.bind(SockaddrNl(AF.NETLINK, 0, 0).pack(), fs)
    assert len({made.port for made in (one, other, third)}) == 3
    for made in (one, other, third):
        made.drop()
    assert not network.netlink_ports


def test_only_the_kernel_is_there(fs: FsContext) -> None:
    made = new()
    begin(made.connect(SockaddrNl(AF.NETLINK, 5, 0).pack(), fs))
    fails(Errno.ECONNREFUSED, send, made, b"x")
    fails(Errno.ECONNREFUSED, lambda: send(made, b"x", address=SockaddrNl(AF.NETLINK, 5, 0).pack()))
    fails(Errno.ENODATA, send, made, b"")
    fails(Errno.EOPNOTSUPP, made.listen, 1)
    begin(made.connect(SockaddrNl(AF.NETLINK, 0, 0).pack(), fs))
    assert made.peer_name() == SockaddrNl(AF.NETLINK, 0, 0).pack()
    begin(made.connect(bytes(16), fs))
    fails(Errno.ECONNREFUSED, send, new(protocol=NETLINK.AUDIT), b"x")
    fails(Errno.ECONNREFUSED, send, new(protocol=NETLINK.CONNECTOR), b"x")
    fails(Errno.EPERM, send, new(protocol=NETLINK.KOBJECT_UEVENT), b"x")


def test_everybody_may_only_hear_of_processes(fs: FsContext, monkeypatch: pytest.MonkeyPatch) -> None:
    made = new(protocol=NETLINK.CONNECTOR)
    made.bind(SockaddrNl(AF.NETLINK, 0, 2).pack(), fs)
    user = new(protocol=NETLINK.CONNECTOR)
    monkeypatch.setattr(netlink_socket, "caller_has", lambda _capability: False)
    fails(Errno.EPERM, user.bind, SockaddrNl(AF.NETLINK, 0, 2).pack(), fs)
    fails(Errno.EPERM, user.set_option, SOL.NETLINK, NETLINK_OPTION.ADD_MEMBERSHIP, b"\2\0\0\0")
    assert not user.port
    user.bind(SockaddrNl(AF.NETLINK, 0, 1).pack(), fs)
    assert (made.groups, user.groups) == (2, 1)


def test_datagrams_are_cut_and_can_be_looked_at() -> None:
    made = new()
    assert not made.poll() & Poll.IN
    send(made, request(GETADDR, DUMP))
    assert made.poll() & Poll.IN
    content, received = receive(made, 8, MSG.PEEK | MSG.TRUNC)
    assert received.length == 20
    assert received.flags == MSG.TRUNC
    assert receive(made, 8)[0] == content
    assert data(made) is None


def test_options() -> None:
    made = new()
    made.set_option(SOL.NETLINK, NETLINK_OPTION.EXT_ACK, b"\1\0\0\0")
    assert made.get_option(SOL.NETLINK, NETLINK_OPTION.EXT_ACK, 4) == b"\1\0\0\0"
    made.set_option(SOL.NETLINK, NETLINK_OPTION.ADD_MEMBERSHIP, b"\3\0\0\0")
    assert made.groups == 4
    made.set_option(SOL.NETLINK, NETLINK_OPTION.DROP_MEMBERSHIP, b"\3\0\0\0")
    assert made.groups == 0
    fails(Errno.EINVAL, made.set_option, SOL.NETLINK, NETLINK_OPTION.ADD_MEMBERSHIP, bytes(4))
    fails(Errno.ENOPROTOOPT, made.set_option, SOL.NETLINK, 99, bytes(4))
    fails(Errno.ENOPROTOOPT, made.get_option, SOL.NETLINK, 99, 4)
    fails(Errno.ENOPROTOOPT, made.get_option, SOL.TCP, 1, 4)
    made.set_option(SOL.SOCKET, SO.PASSCRED, b"\1\0\0\0")
    send(made, request(GETADDR, DUMP))
    assert len(receive(made)[1].control) == 1
    assert made.get_option(SOL.SOCKET, SO.TYPE, 4) == b"\3\0\0\0"


def test_the_kernel_can_deliver_by_itself() -> None:
    made = new()
    made.deliver(b"cookie")
    assert made.poll() & Poll.IN
    assert data(made) == b"cookie"
