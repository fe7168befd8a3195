"""Host sockets, spoken to in Linux's numbers: families, types, flags, options and addresses by name.

Where a name means nothing to the host, LinuxError says what Linux says of a kernel built without it.
Everything else raises OSError; callers stand inside `host_errors()`.
"""

import contextlib
import errno
import os
import socket
import struct
import sys
from collections.abc import Sequence
from typing import Any, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.flags import Choice
from aionoah.abi.inet import ICMP6, IP, IPPROTO, IPV6, RAW, TCP, UDP
from aionoah.abi.socket import AF, MSG, SHUT, SO, SOCK, SOL
from aionoah.host import platform, reserve

_IN: Final = struct.Struct(">H4s")
_IN6: Final = struct.Struct(">HI16s")
_IN_SIZE: Final = 16
_IN6_SIZE: Final = 28
_FAMILIES: Final = {AF.INET: socket.AF_INET, AF.INET6: socket.AF_INET6}
_KINDS: Final = {
    SOCK.STREAM: socket.SOCK_STREAM,
    SOCK.DGRAM: socket.SOCK_DGRAM,
    SOCK.RAW: socket.SOCK_RAW,
}
_HOWS: Final = {SHUT.RD: socket.SHUT_RD, SHUT.WR: socket.SHUT_WR, SHUT.RDWR: socket.SHUT_RDWR}
_PROTOCOLS: Final = {
    value: getattr(socket, f"IPPROTO_{name}")
    for value, name in IPPROTO.members().items()
    if hasattr(socket, f"IPPROTO_{name}")
}
_NO_SIGNAL: Final = int(getattr(socket, "MSG_NOSIGNAL", 0))  # Darwin: Python ignores SIGPIPE anyway

Address = tuple[Any, ...]


# -- sockets ------------------------------------------------------------------------------------------------


def new_socket(family: int, kind: int, protocol: int) -> socket.socket:
    """A non-blocking socket. EPROTONOSUPPORT for a protocol that the host has no name for; of raw sockets, it is
    the number in their packets.
    """
    if protocol and protocol not in _PROTOCOLS and kind != SOCK.RAW:
        raise LinuxError(Errno.EPROTONOSUPPORT)
    made = socket.socket(_FAMILIES[AF(family)], _KINDS[SOCK(kind)], _PROTOCOLS.get(protocol, protocol))
    require_free(made)
    made.setblocking(False)
    return made


def new_pair() -> tuple[socket.socket, socket.socket]:
    """A stream within the host, both ends of it non-blocking."""
    one, other = socket.socketpair()
    require_free(one, other)
    one.setblocking(False)
    other.setblocking(False)
    return one, other


def new_client(path: bytes) -> socket.socket:
    """A non-blocking stream to a server of the host's UNIX sockets."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    require_free(made)
    made.setblocking(False)
    try:
        made.connect(path)
    except OSError:
        made.close()
        raise
    return made


def require_free(*made: socket.socket) -> None:
    """Sockets for guests have no descriptors that are kept from them: OSError ENFILE, and they are closed."""
    if any(reserve.is_kept(each.fileno()) for each in made):
        for each in made:
            each.close()
        raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))


def accept(listener: socket.socket) -> tuple[socket.socket, Address]:
    """The next connection, not blocking. It stays in the queue if there is no descriptor for it."""
    reserve.require_another(listener.fileno())
    made, address = listener.accept()
    made.setblocking(False)
    return made, address


def is_internet(made: socket.socket) -> bool:
    return made.family in _FAMILIES.values()


def shut_down(made: socket.socket, how: int) -> None:
    """EINVAL for what is none of SHUT."""
    if how not in _HOWS:
        raise LinuxError(Errno.EINVAL)
    made.shutdown(_HOWS[SHUT(how)])


def connect(made: socket.socket, address: Address, *, goes_on: bool) -> bool:
    """Begin to connect, or see how it goes with `goes_on`; whether it has ended well. OSError if it has not.

    Linux tells by connect again; Darwin would say EISCONN, and keep the failure in SO_ERROR.
    """
    if (
        goes_on
        and sys.platform != "linux"
        and (failure := made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
    ):
        raise OSError(failure, "connect")
    try:
        made.connect(address)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno == errno.EALREADY:
            return False
        if not (goes_on and error.errno == errno.EISCONN):
            raise
    return True


def is_connected_or_listens(made: socket.socket) -> bool:
    if made.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return True
    try:
        made.getpeername()
    except OSError:
        return False
    return True


def disconnect(made: socket.socket) -> None:
    """What connecting to AF_UNSPEC does."""
    platform.disconnect(made.fileno())


# -- addresses ----------------------------------------------------------------------------------------------


def parse_address(family: int, address: bytes) -> Address:
    """What Python's calls take, from a sockaddr of at least the family's size and of the right family."""
    if family == AF.INET:
        port, host = _IN.unpack_from(address, 2)
        return socket.inet_ntop(socket.AF_INET, host), port
    port, flow, host6 = _IN6.unpack_from(address, 2)
    scope = int.from_bytes(address[24:28], "little")
    return socket.inet_ntop(socket.AF_INET6, host6), port, flow & 0xFFFFF, scope


def unparse_address(family: int, address: Address | None) -> bytes:
    """The sockaddr of what Python's calls give; nothing of nothing."""
    if not address:
        return b""
    head = family.to_bytes(2, "little")
    if family == AF.INET:
        return head + _IN.pack(address[1], socket.inet_pton(socket.AF_INET, address[0])) + bytes(8)
    host = address[0].partition("%")[0]
    return (
        head
        + _IN6.pack(address[1], address[2], socket.inet_pton(socket.AF_INET6, host))
        + int(address[3]).to_bytes(4, "little")
    )


def address_size(family: int) -> int:
    """The bytes that a sockaddr must have: the scope of an IPv6 address may be left out (RFC 2133)."""
    return _IN_SIZE if family == AF.INET else _IN6_SIZE - 4


# -- messages -----------------------------------------------------------------------------------------------

_SEND_FLAGS: Final = ("OOB", "DONTROUTE", "CONFIRM", "MORE", "EOR")
_RECEIVE_FLAGS: Final = ("OOB", "PEEK", "TRUNC", "ERRQUEUE")
_REPORTED: Final = ("OOB", "TRUNC", "CTRUNC", "EOR", "ERRQUEUE")


def _named_flags(names: Sequence[str]) -> list[tuple[int, int]]:
    return [
        (getattr(MSG, name), int(getattr(socket, f"MSG_{name}")))  # as an enum it would be slow
        for name in names
        if hasattr(socket, f"MSG_{name}")
    ]


_TO_SEND: Final = _named_flags(_SEND_FLAGS)
_TO_RECEIVE: Final = _named_flags(_RECEIVE_FLAGS)
_FROM_HOST: Final = _named_flags(_REPORTED)


def send(
    made: socket.socket,
    segments: Sequence[memoryview],
    flags: int,
    address: Address | None,
    control: Sequence[tuple[int, int, bytes]] = (),
) -> int:
    """`control` is of the host's numbers."""
    host_flags = sum(host for linux, host in _TO_SEND if flags & linux) if flags else 0
    if address is None:
        return made.sendmsg(segments, control, host_flags | _NO_SIGNAL)
    return made.sendmsg(segments, control, host_flags | _NO_SIGNAL, address)


def receive(
    made: socket.socket, segments: Sequence[memoryview], flags: int, control_room: int
) -> tuple[int, list[tuple[int, int, bytes]], int, Any]:
    """Count, control messages of the host's numbers, Linux's flags, address."""
    host_flags = sum(host for linux, host in _TO_RECEIVE if flags & linux) if flags else 0
    count, control, reported, address = made.recvmsg_into(segments, control_room, host_flags)
    if reported:
        reported = sum(linux for linux, host in _FROM_HOST if reported & host)
    return count, control, reported, address


def control_to_host(level: int, kind: int) -> tuple[int, int] | None:
    """The host's numbers of a control message that guests may send."""
    if (level, kind) not in _SENT_CONTROL:
        return None
    return host_option(level, kind)


def control_from_host(level: int, kind: int) -> tuple[int, int] | None:
    """Linux's numbers of a control message of the host; None for one that is nobody's business."""
    return _CONTROL_FROM_HOST.get((level, kind))


# -- options ------------------------------------------------------------------------------------------------

_LEVELS: Final[dict[int, tuple[int, type[Choice], str]]] = {
    SOL.SOCKET: (socket.SOL_SOCKET, SO, "SO_"),
    SOL.IP: (socket.IPPROTO_IP, IP, "IP_"),
    SOL.TCP: (socket.IPPROTO_TCP, TCP, "TCP_"),
    SOL.UDP: (socket.IPPROTO_UDP, UDP, "UDP_"),
    SOL.IPV6: (socket.IPPROTO_IPV6, IPV6, "IPV6_"),
    SOL.ICMPV6: (socket.IPPROTO_ICMPV6, ICMP6, "ICMP6_"),
    SOL.RAW: (socket.IPPROTO_RAW, RAW, ""),
}


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What guests may do to the host's sockets. The rest would give them pointers into our memory (filters), other
# devices and name spaces, or nothing that a program depends on.
_ALLOWED: Final = {
    SOL.SOCKET: _names(
        """
        DEBUG REUSEADDR TYPE ERROR DONTROUTE BROADCAST SNDBUF RCVBUF KEEPALIVE OOBINLINE NO_CHECK PRIORITY
        LINGER REUSEPORT RCVLOWAT SNDLOWAT TIMESTAMP ACCEPTCONN TIMESTAMPNS TIMESTAMPING PROTOCOL DOMAIN
        RXQ_OVFL BUSY_POLL MAX_PACING_RATE INCOMING_CPU INCOMING_NAPI_ID COOKIE ZEROCOPY TIMESTAMP_NEW
        TIMESTAMPNS_NEW TIMESTAMPING_NEW PREFER_BUSY_POLL BUF_LOCK TXREHASH SNDBUFFORCE RCVBUFFORCE PEEK_OFF
        MEMINFO BPF_EXTENSIONS SELECT_ERR_QUEUE NOFCS
        """
    ),
    SOL.IP: _names(
        """
        TOS TTL HDRINCL OPTIONS ROUTER_ALERT RECVOPTS RETOPTS PKTINFO MTU_DISCOVER RECVERR RECVTTL RECVTOS
        MTU FREEBIND RECVORIGDSTADDR ORIGDSTADDR MINTTL NODEFRAG CHECKSUM BIND_ADDRESS_NO_PORT RECVFRAGSIZE
        RECVERR_RFC4884 MULTICAST_IF MULTICAST_TTL MULTICAST_LOOP ADD_MEMBERSHIP DROP_MEMBERSHIP
        UNBLOCK_SOURCE BLOCK_SOURCE ADD_SOURCE_MEMBERSHIP DROP_SOURCE_MEMBERSHIP MULTICAST_ALL UNICAST_IF
        LOCAL_PORT_RANGE PROTOCOL
        """
    ),
    SOL.TCP: _names(
        """
        NODELAY MAXSEG CORK KEEPIDLE KEEPINTVL KEEPCNT SYNCNT LINGER2 DEFER_ACCEPT WINDOW_CLAMP INFO
        QUICKACK CONGESTION THIN_LINEAR_TIMEOUTS THIN_DUPACK USER_TIMEOUT FASTOPEN TIMESTAMP NOTSENT_LOWAT
        CC_INFO SAVE_SYN SAVED_SYN FASTOPEN_CONNECT FASTOPEN_NO_COOKIE INQ TX_DELAY
        """
    ),
    SOL.ICMPV6: _names("FILTER"),
    SOL.RAW: _names("ICMP_FILTER IPV6_CHECKSUM"),
    SOL.UDP: _names("CORK SEGMENT GRO NO_CHECK6_TX NO_CHECK6_RX"),
    SOL.IPV6: _names(
        """
        RFC2292PKTINFO CHECKSUM RFC2292HOPLIMIT NEXTHOP FLOWINFO UNICAST_HOPS MULTICAST_IF MULTICAST_HOPS
        MULTICAST_LOOP ADD_MEMBERSHIP DROP_MEMBERSHIP ROUTER_ALERT MTU_DISCOVER MTU RECVERR V6ONLY
        JOIN_ANYCAST LEAVE_ANYCAST MULTICAST_ALL RECVERR_RFC4884 FLOWINFO_SEND HDRINCL RECVPKTINFO PKTINFO
        RECVHOPLIMIT HOPLIMIT RECVHOPOPTS RECVRTHDR RECVDSTOPTS RECVPATHMTU PATHMTU DONTFRAG RECVTCLASS
        TCLASS AUTOFLOWLABEL MINHOPCOUNT UNICAST_IF RECVFRAGSIZE FREEBIND
        """
    ),
}


def host_option(level: int, option: int) -> tuple[int, int]:
    """The host's numbers of an option that guests may use; ENOPROTOOPT."""
    known = _LEVELS.get(level)
    if known is None:
        raise LinuxError(Errno.ENOPROTOOPT)
    host_level, names, prefix = known
    name = names.members().get(option)
    if name is None or name not in _ALLOWED[level]:
        raise LinuxError(Errno.ENOPROTOOPT)
    number = platform.socket_option(prefix + name, option)
    if number is None:
        raise LinuxError(Errno.ENOPROTOOPT)
    return host_level, number


def attach_filter(made: socket.socket, program: bytes) -> None:
    """Classic BPF, an array of struct sock_filter. ENOPROTOOPT where the host has nothing like it."""
    platform.attach_filter(made.fileno(), program)


def detach_filter(made: socket.socket) -> None:
    platform.detach_filter(made.fileno())


_SENT_CONTROL: Final = frozenset(
    {
        *((SOL.IP, kind) for kind in (IP.PKTINFO, IP.TTL, IP.TOS, IP.RETOPTS)),
        *((SOL.IPV6, kind) for kind in (IPV6.PKTINFO, IPV6.HOPLIMIT, IPV6.TCLASS, IPV6.DONTFRAG)),
        (SOL.UDP, UDP.SEGMENT),
        *((SOL.SOCKET, kind) for kind in (SO.TIMESTAMPING, SO.PRIORITY)),
    }
)
_RECEIVED_CONTROL: Final = (
    *(
        (SOL.IP, kind)
        for kind in (IP.PKTINFO, IP.TTL, IP.TOS, IP.RECVERR, IP.RECVOPTS, IP.RETOPTS, IP.ORIGDSTADDR)
    ),
    *(
        (SOL.IPV6, kind)
        for kind in (IPV6.PKTINFO, IPV6.HOPLIMIT, IPV6.TCLASS, IPV6.RECVERR, IPV6.PATHMTU, IPV6.FLOWINFO)
    ),
    (SOL.UDP, UDP.GRO),
    (SOL.TCP, TCP.INQ),
    *((SOL.SOCKET, kind) for kind in (SO.TIMESTAMP, SO.TIMESTAMPNS, SO.TIMESTAMPING, SO.RXQ_OVFL)),
    *((SOL.SOCKET, kind) for kind in (SO.TIMESTAMP_NEW, SO.TIMESTAMPNS_NEW, SO.TIMESTAMPING_NEW)),
)


def _by_host_control() -> dict[tuple[int, int], tuple[int, int]]:
    table: dict[tuple[int, int], tuple[int, int]] = {}
    for level, kind in _RECEIVED_CONTROL:
        with contextlib.suppress(LinuxError):
            table[host_option(level, kind)] = level, kind
    return table


_CONTROL_FROM_HOST: Final = _by_host_control()
