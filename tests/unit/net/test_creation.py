"""Which sockets there are."""

import pytest
from fakes.expect import fails

from aionoah.abi.errno import Errno
from aionoah.abi.netlink import NETLINK
from aionoah.abi.socket import AF, SOCK
from aionoah.net.creation import new_socket, new_socket_pair
from aionoah.net.inet.isolated import IsolatedSocket
from aionoah.net.inet.socket import InetSocket
from aionoah.net.network import Network
from aionoah.net.policy import POLICIES, NoNetwork
from aionoah.process.credentials import Credentials

ROOT, USER = Credentials(), Credentials(1000, 1000)


@pytest.mark.parametrize(
    ("family", "kind", "protocol", "errno"),
    [
        (AF.APPLETALK, SOCK.DGRAM, 0, Errno.EAFNOSUPPORT),
        (AF.UNSPEC, SOCK.STREAM, 0, Errno.EAFNOSUPPORT),
        (AF.VSOCK, SOCK.STREAM, 0, Errno.EAFNOSUPPORT),
        (AF.PACKET, SOCK.RAW, 0, Errno.EPERM),
        (AF.INET, SOCK.PACKET, 0, Errno.EPERM),
        (AF.INET, SOCK.SEQPACKET, 0, Errno.ESOCKTNOSUPPORT),
        (AF.INET, SOCK.STREAM, 5000, Errno.EINVAL),
        (AF.INET, SOCK.STREAM, -1, Errno.EINVAL),
        (AF.INET6, SOCK.RAW, 1, Errno.EPERM),
        (AF.NETLINK, SOCK.STREAM, 0, Errno.ESOCKTNOSUPPORT),
        (AF.NETLINK, SOCK.RAW, NETLINK.XFRM, Errno.EPROTONOSUPPORT),
        (AF.UNIX, SOCK.STREAM, 3, Errno.EPROTONOSUPPORT),
    ],
)
def test_refused(family: int, kind: int, protocol: int, errno: Errno) -> None:
    fails(errno, new_socket, Network(), USER, family, kind, protocol, 0)


@pytest.mark.parametrize("kind", [SOCK.STREAM, SOCK.DGRAM])
@pytest.mark.parametrize(("policy", "expected"), [("host", InetSocket), ("none", IsolatedSocket)])
def test_the_policy_chooses(kind: int, policy: str, expected: type[InetSocket]) -> None:
    made = new_socket(Network(POLICIES[policy]()), ROOT, AF.INET, kind, 0, 0)
    assert type(made) is expected
    made.drop()


def test_pairs() -> None:
    network = Network()
    one, other = new_socket_pair(network, ROOT, AF.UNIX, SOCK.STREAM, 0, 0)
    assert one.family == other.family == AF.UNIX
    fails(Errno.EOPNOTSUPP, new_socket_pair, network, ROOT, AF.INET, SOCK.STREAM, 0, 0)
    fails(Errno.ESOCKTNOSUPPORT, new_socket_pair, network, ROOT, AF.INET, SOCK.SEQPACKET, 0, 0)
    fails(Errno.EAFNOSUPPORT, new_socket_pair, network, ROOT, AF.IPX, SOCK.STREAM, 0, 0)


def test_nothing_is_reached_without_a_network() -> None:
    policy = NoNetwork()
    for host in ("0.0.0.0", "::", "127.0.0.1", "127.1.2.3"):
        policy.require_bind(host, 80)
    for host in ("192.0.2.1", "::1", "fe80::1"):
        fails(Errno.EADDRNOTAVAIL, policy.require_bind, host, 80)
    fails(Errno.ENETUNREACH, policy.require_connect, "127.0.0.1", 80)
    fails(Errno.EADDRNOTAVAIL, policy.require_connect, "::1", 80)
