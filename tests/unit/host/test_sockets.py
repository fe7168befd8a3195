"""Host sockets in Linux's numbers."""

import socket

import pytest
from fakes.expect import fails
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.errno import Errno
from aionoah.abi.inet import IP, IPV6, TCP
from aionoah.abi.socket import AF, SO, SOCK, SOL
from aionoah.host import darwin, linux, sockets

PORTS = st.integers(0, 65535)


@given(st.binary(min_size=4, max_size=4), PORTS)
def test_addresses_of_version_4(host: bytes, port: int) -> None:
    address = b"\2\0" + port.to_bytes(2, "big") + host + bytes(8)
    parsed = sockets.parse_address(AF.INET, address)
    assert parsed == (socket.inet_ntoa(host), port)
    assert sockets.unparse_address(AF.INET, parsed) == address


@given(st.binary(min_size=16, max_size=16), PORTS, st.integers(0, 0xFFFFF), st.integers(0, 0xFFFF_FFFF))
def test_addresses_of_version_6(host: bytes, port: int, flow: int, scope: int) -> None:
    address = (
        b"\x0a\0" + port.to_bytes(2, "big") + flow.to_bytes(4, "big") + host + scope.to_bytes(4, "little")
    )
    parsed = sockets.parse_address(AF.INET6, address)
    assert parsed[1:] == (port, flow, scope)
    assert sockets.unparse_address(AF.INET6, parsed) == address
    assert sockets.parse_address(AF.INET6, address[:24])[3] == 0


def test_no_address() -> None:
    assert sockets.unparse_address(AF.INET, None) == b""
    assert sockets.address_size(AF.INET) == 16
    assert sockets.address_size(AF.INET6) == 24


def test_new_ones_do_not_block() -> None:
    with sockets.new_socket(AF.INET, SOCK.STREAM, 0) as made:
        assert made.gettimeout() == 0.0
    fails(Errno.EPROTONOSUPPORT, sockets.new_socket, AF.INET, SOCK.STREAM, 254)


def test_shutting_down_in_no_known_way() -> None:
    with sockets.new_socket(AF.INET, SOCK.STREAM, 0) as made:
        fails(Errno.EINVAL, sockets.shut_down, made, 5)


@pytest.mark.parametrize(
    ("level", "option", "expected"),
    [
        (SOL.SOCKET, SO.REUSEADDR, (socket.SOL_SOCKET, socket.SO_REUSEADDR)),
        (SOL.TCP, TCP.NODELAY, (socket.IPPROTO_TCP, socket.TCP_NODELAY)),
        (SOL.IP, IP.TTL, (socket.IPPROTO_IP, socket.IP_TTL)),
        (SOL.IPV6, IPV6.V6ONLY, (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)),
    ],
)
def test_options_go_by_name(level: int, option: int, expected: tuple[int, int]) -> None:
    assert sockets.host_option(level, option) == expected


@pytest.mark.parametrize(
    ("level", "option"),
    [
        (SOL.SOCKET, SO.ATTACH_FILTER),
        (SOL.SOCKET, SO.BINDTODEVICE),
        (SOL.SOCKET, 12345),
        (SOL.TCP, TCP.REPAIR),
        (SOL.IP, IP.TRANSPARENT),
        (SOL.ALG, 1),
        (-1, 1),
    ],
)
def test_what_guests_may_not_do(level: int, option: int) -> None:
    fails(Errno.ENOPROTOOPT, sockets.host_option, level, option)


def test_control_messages() -> None:
    assert sockets.control_to_host(SOL.SOCKET, 1) is None  # files of the host
    assert sockets.control_to_host(SOL.IP, IP.TTL) == (socket.IPPROTO_IP, socket.IP_TTL)
    assert sockets.control_from_host(socket.IPPROTO_IP, socket.IP_TTL) == (SOL.IP, IP.TTL)
    assert sockets.control_from_host(socket.SOL_SOCKET, 1) is None


def test_darwin_goes_by_names() -> None:
    assert darwin.socket_option("SO_REUSEADDR", 999) == socket.SO_REUSEADDR
    assert darwin.socket_option("SO_NOBODY_KNOWS", 1) is None
    assert linux.socket_option("whatever", 17) == 17
    with pytest.raises(OSError, match="device"):
        darwin.interface_request(0, 0, b"")
    assert darwin.interface_configuration(0, 40) == b""
    assert not darwin.HAS_NETLINK
    with pytest.raises(OSError, match="support"):
        darwin.RouteSocket().ask(b"")
