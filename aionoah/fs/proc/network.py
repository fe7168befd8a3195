"""/proc/PID/net: interfaces, routes and sockets (proc_pid_net(5)).

Sockets are those of this instance's programs. Interfaces are the host's where guests use the host's network, and
else those of the instance.
"""

import struct
from collections.abc import Callable, Iterator
from ipaddress import IPv4Interface, IPv6Interface
from typing import TYPE_CHECKING, Final

from aionoah.abi.socket import AF, SO, SOCK, SOL
from aionoah.fs.proc.subject import Subject, process_of
from aionoah.fs.synthetic import Directory, Node, Text
from aionoah.host import facts
from aionoah.net import census
from aionoah.net.census import open_sockets
from aionoah.net.links import IFF_LOOPBACK, Link
from aionoah.net.socket import Socket
from aionoah.net.unix.socket import UnixSocket

if TYPE_CHECKING:
    from aionoah.process.kernel import Kernel

_ROUTE_WIDTH: Final = 127
_DEV_HEAD: Final = (
    b"Inter-|   Receive                                                |  Transmit\n"
    b" face |bytes    packets errs drop fifo frame compressed multicast"
    b"|bytes    packets errs drop fifo colls carrier compressed\n"
)
_ROUTE_HEAD: Final = b"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT"
_ARP_HEAD: Final = b"IP address       HW type     Flags       HW address            Mask     Device\n"
_IGMP_HEAD: Final = b"Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"
_INET_HEAD: Final = (
    b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
)
_INET6_HEAD: Final = (
    b"  sl  local_address                         remote_address                        st tx_queue rx_queue"
    b" tr tm->when retrnsmt   uid  timeout inode"
)
_DATAGRAM_TAIL: Final = b" ref pointer drops"
_RTF_UP, _RTF_GATEWAY = 1, 2


def kernel_of(subject: Subject) -> "Kernel":
    return process_of(subject).kernel


# -- sockets ------------------------------------------------------------------------------------------------


def _hexadecimal(address: bytes) -> bytes:
    """Words as a little-endian machine has them in memory, then the port."""
    port = int.from_bytes(address[2:4], "big")
    ip = address[4:8] if struct.unpack("<H", address[:2])[0] == AF.INET else address[8:24]
    words = struct.unpack(f"<{len(ip) // 4}I", ip)
    return b"".join(b"%08X" % word for word in words) + b":%04X" % port


def _row(number: int, socket: Socket, uid: int) -> bytes:
    local, remote, state = census.ends(socket)
    ends = _hexadecimal(local), _hexadecimal(remote)
    counts = b"%02X 00000000:00000000 00:00000000 00000000 %5d %8d %d" % (state, uid, 0, _number(socket))
    return b"%4d: %s %s %s" % (number, *ends, counts)


def _number(socket: Socket) -> int:
    return socket.inode.attributes().ino


def _inet(family: int, kind: int) -> Callable[[Subject], bytes]:
    head = _INET_HEAD if family == AF.INET else _INET6_HEAD
    is_stream = kind == SOCK.STREAM
    tail = b" 1 0000000000000000 100 0 0 10 0" if is_stream else b" 2 0000000000000000 0"

    def read(subject: Subject) -> bytes:
        rows = [head if is_stream else head + _DATAGRAM_TAIL]
        chosen = [entry for entry in open_sockets(kernel_of(subject)) if _is_of(entry[0], family, kind)]
        rows += [_row(number, *entry) + tail for number, entry in enumerate(chosen)]
        width = 149 if family == AF.INET and is_stream else 0
        return b"".join(row.ljust(width) + b"\n" for row in rows)

    return read


def _is_of(socket: Socket, family: int, kind: int) -> bool:
    """Named ones: a socket that was never bound nor connected is in no table of the kernel's."""
    return socket.family == family and socket.kind == kind and census.has_name(socket)


_UNIX_UNCONNECTED, _UNIX_CONNECTED, _ACCEPTING = 1, 3, 0x10000


def unix(subject: Subject) -> bytes:
    lines = [b"Num       RefCount Protocol Flags    Type St Inode Path\n"]
    for socket, _ in open_sockets(kernel_of(subject)):
        if not isinstance(socket, UnixSocket):
            continue
        listens = any(socket.get_option(SOL.SOCKET, SO.ACCEPTCONN, 4))
        state = _UNIX_CONNECTED if socket.peer is not None else _UNIX_UNCONNECTED
        name = socket.path.rstrip(b"\0") if socket.path[:1] != b"\0" else b"@" + socket.path[1:]
        fields = (0, 2, 0, _ACCEPTING if listens else 0, socket.kind, state, _number(socket))
        line = b"%016x: %08X %08X %08X %04X %02X %5d" % fields
        lines.append(line + (b" " + name.replace(b"\0", b"@") if name else b"") + b"\n")
    return b"".join(lines)


def netlink(subject: Subject) -> bytes:
    lines = [b"sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n"]
    for socket, _ in open_sockets(kernel_of(subject)):
        if socket.family == AF.NETLINK:
            port = struct.unpack_from("<I", socket.name(), 4)[0]
            fields = (0, socket.protocol, port, 0, 0, 0, 0, 2, 0, _number(socket))
            lines.append(b"%016x %-3d %-10d %08x %-8d %-8d %-5d %-8d %-8d %-8d\n" % fields)
    return b"".join(lines)


def _sockstat(subject: Subject) -> bytes:
    sockets = [socket for socket, _ in open_sockets(kernel_of(subject))]
    tcp, udp = (
        sum(_is_of(socket, AF.INET, kind) for socket in sockets) for kind in (SOCK.STREAM, SOCK.DGRAM)
    )
    return (
        b"sockets: used %d\nTCP: inuse %d orphan 0 tw 0 alloc %d mem 0\nUDP: inuse %d mem 0\n"
        b"UDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n" % (len(sockets), tcp, tcp, udp)
    )


def _sockstat6(subject: Subject) -> bytes:
    sockets = [socket for socket, _ in open_sockets(kernel_of(subject))]
    counts = tuple(
        sum(_is_of(socket, AF.INET6, kind) for socket in sockets) for kind in (SOCK.STREAM, SOCK.DGRAM)
    )
    return (
        b"TCP6: inuse %d\nUDP6: inuse %d\nUDPLITE6: inuse 0\nRAW6: inuse 0\nFRAG6: inuse 0 memory 0\n"
        % counts
    )


# -- interfaces and routes ----------------------------------------------------------------------------------


def _host_or(name: str, own: Callable[[tuple[Link, ...]], bytes]) -> Text[Subject]:
    """The host's own file where guests see the host's interfaces."""

    def read(subject: Subject) -> bytes:
        links = kernel_of(subject).network.links
        if links is None:
            return facts.network_text(name) or own(())
        return own(links)

    return Text(read)


def _devices(links: tuple[Link, ...]) -> bytes:
    zeros = b"%8d %7d %4d %4d %4d %5d %10d %9d %8d %7d %4d %4d %4d %5d %7d %10d\n" % ((0,) * 16)
    return _DEV_HEAD + b"".join(b"%6s: %s" % (link.name, zeros) for link in links)


def _routes(links: tuple[Link, ...]) -> bytes:
    lines = [_ROUTE_HEAD]
    for link in links:
        if link.is_up and not link.flags & IFF_LOOPBACK:
            lines += _routes_of(link)
    return b"".join(line.ljust(_ROUTE_WIDTH) + b"\n" for line in lines)


def _routes_of(link: Link) -> Iterator[bytes]:
    row = b"%s\t%08X\t%08X\t%04X\t0\t0\t0\t%08X\t0\t0\t0"
    if link.gateway is not None:
        gateway = int.from_bytes(bytes(map(int, link.gateway.split("."))), "little")
        yield row % (link.name, 0, gateway, _RTF_UP | _RTF_GATEWAY, 0)
    for address in link.addresses:
        if isinstance(address, IPv4Interface):
            network, mask = address.network.network_address.packed, address.netmask.packed
            words = (int.from_bytes(network, "little"), 0, _RTF_UP, int.from_bytes(mask, "little"))
            yield row % (link.name, *words)


def _addresses6(links: tuple[Link, ...]) -> bytes:
    lines = []
    for link in links:
        for address in link.addresses:
            if isinstance(address, IPv6Interface):
                scope = 0x10 if address.ip.is_loopback else 0x20 if address.ip.is_link_local else 0
                fields = (address.network.prefixlen, scope, 0x80, link.name)
                lines.append(
                    address.ip.packed.hex().encode()
                    + b" %02x" % link.number
                    + b" %02x %02x %02x %8s\n" % fields
                )
    return b"".join(lines)


def _groups(links: tuple[Link, ...]) -> bytes:
    """Links that are up are members of the group of all hosts, 224.0.0.1."""
    rows = (
        b"%d\t%-10s:     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n" % (link.number, link.name)
        for link in links
        if link.is_up
    )
    return _IGMP_HEAD + b"".join(rows)


def _groups6(links: tuple[Link, ...]) -> bytes:
    """The groups of all nodes, on the link and on the interface."""
    groups = ((b"ff02", 0xC), (b"ff01", 0x8))
    row = b"%-4d %-15s %s0000000000000000000000000001 %5d %08X 0\n"
    return b"".join(
        row % (link.number, link.name, group, 1, flags) for link in links for group, flags in groups
    )


def _counters(**groups: str) -> Callable[[tuple[Link, ...]], bytes]:
    """Names over zeros, as in snmp and netstat: nothing is counted."""
    lines = []
    for group, names in groups.items():
        zeros = " ".join("0" for _ in names.split())
        lines.append(f"{group}: {names}\n{group}: {zeros}\n")
    text = "".join(lines).encode()
    return lambda _links: text


_snmp = _counters(
    Ip="Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams InUnknownProtos InDiscards"
    " InDelivers OutRequests OutDiscards OutNoRoutes ReasmTimeout ReasmReqds ReasmOKs ReasmFails FragOKs FragFails"
    " FragCreates OutTransmits",
    Icmp="InMsgs InErrors InCsumErrors InDestUnreachs InTimeExcds InParmProbs InSrcQuenchs InRedirects InEchos"
    " InEchoReps OutMsgs OutErrors OutDestUnreachs OutEchos OutEchoReps",
    Tcp="RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs"
    " OutSegs RetransSegs InErrs OutRsts InCsumErrors",
    Udp="InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors",
    UdpLite="InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors",
)
_netstat = _counters(
    TcpExt="SyncookiesSent SyncookiesRecv SyncookiesFailed TW TWRecycled TWKilled DelayedACKs ListenOverflows"
    " ListenDrops TCPHPHits TCPTimeouts TCPAbortOnData TCPAbortOnClose TCPMemoryPressures",
    IpExt="InNoRoutes InTruncatedPkts InMcastPkts OutMcastPkts InBcastPkts OutBcastPkts InOctets OutOctets",
)


def _nothing(_links: tuple[Link, ...]) -> bytes:
    return b""


def protocols(subject: Subject) -> bytes:  # noqa: ARG001
    head = b"protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs se re bi br ha uh gp em\n"
    row = b"%-9s 1024      0      -1   NI       0   no   kernel      %s\n"
    flags = b"  ".join([b"n"] * 19)
    return head + b"".join(
        row % (name, flags) for name in (b"UNIX", b"UDPv6", b"TCPv6", b"UDP", b"TCP", b"NETLINK")
    )


_FILES: Final[dict[bytes, Node[Subject]]] = {
    b"arp": _host_or("arp", lambda _links: _ARP_HEAD),
    b"dev": _host_or("dev", _devices),
    b"if_inet6": _host_or("if_inet6", _addresses6),
    b"igmp": _host_or("igmp", _groups),
    b"igmp6": _host_or("igmp6", _groups6),
    b"ipv6_route": _host_or("ipv6_route", _nothing),
    b"netlink": Text(netlink),
    b"netstat": _host_or("netstat", _netstat),
    b"packet": Text(lambda _subject: b"sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n"),
    b"protocols": Text(protocols),
    b"raw": Text(_inet(AF.INET, SOCK.RAW)),
    b"raw6": Text(_inet(AF.INET6, SOCK.RAW)),
    b"route": _host_or("route", _routes),
    b"snmp": _host_or("snmp", _snmp),
    b"snmp6": _host_or("snmp6", _nothing),
    b"sockstat": Text(_sockstat),
    b"sockstat6": Text(_sockstat6),
    b"tcp": Text(_inet(AF.INET, SOCK.STREAM)),
    b"tcp6": Text(_inet(AF.INET6, SOCK.STREAM)),
    b"udp": Text(_inet(AF.INET, SOCK.DGRAM)),
    b"udp6": Text(_inet(AF.INET6, SOCK.DGRAM)),
    b"unix": Text(unix),
}

NET: Final[Directory[Subject]] = Directory(_FILES)
