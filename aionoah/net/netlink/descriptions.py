"""What rtnetlink says of links of ours: bodies of messages (rtnetlink(7); uapi linux/rtnetlink.h, if_link.h)."""

import struct
from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv6Interface, ip_address
from typing import Final

from aionoah.abi.socket import AF
from aionoah.net.links import Link

RTM_NEWLINK: Final = 16
RTM_GETLINK: Final = 18
_RTM_NEWADDR: Final = 20
_RTM_GETADDR: Final = 22
_RTM_NEWROUTE: Final = 24
_RTM_GETROUTE: Final = 26
_IF_OPER_DOWN: Final = 2
_IF_OPER_UP: Final = 6
_IF_OPER_UNKNOWN: Final = 0
_IFA_F_PERMANENT: Final = 0x80
_RT_TABLE_MAIN: Final = 254
_RTPROT_KERNEL: Final = 2
_RTPROT_BOOT: Final = 3
_RTN_UNICAST: Final = 1
_SCOPE_UNIVERSE: Final = 0
_SCOPE_LINK: Final = 253
_SCOPE_HOST: Final = 254
_ADDRESS, _BROADCAST, _NAME, _MTU, _QDISC, _QLEN, _STATE, _GROUP = 1, 2, 3, 4, 6, 13, 16, 27  # IFLA_*
_IFA_ADDRESS, _IFA_LOCAL, _IFA_LABEL, _IFA_BROADCAST, _IFA_CACHEINFO, _IFA_FLAGS = 1, 2, 3, 4, 6, 8
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC, _RTA_TABLE = 1, 4, 5, 7, 15
_FOREVER: Final = 0xFFFF_FFFF

Interface = IPv4Interface | IPv6Interface


def descriptions(links: tuple[Link, ...], request: int, family: int) -> Iterator[tuple[int, bytes]]:
    """Types and bodies of the messages that answer a dump; `family` is one of AF, or 0 for all."""
    for link in links:
        if request == RTM_GETLINK:
            yield RTM_NEWLINK, link_description(link)
        for address in link.addresses:
            if family in (AF.UNSPEC, _family(address)):
                if request == _RTM_GETADDR:
                    yield _RTM_NEWADDR, _address_description(link, address)
                elif request == _RTM_GETROUTE and not address.is_loopback:
                    yield from ((_RTM_NEWROUTE, body) for body in _route_descriptions(link, address))


def _family(address: Interface) -> int:
    return AF.INET if address.version == 4 else AF.INET6


def pack_attributes(*attributes: tuple[int, bytes]) -> bytes:
    return b"".join(
        struct.pack("<HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
        for kind, value in attributes
    )


def _u32(value: int) -> bytes:
    return struct.pack("<I", value)


def link_description(link: Link) -> bytes:
    """Struct ifinfomsg and attributes."""
    up = _IF_OPER_UNKNOWN if link.addresses and link.addresses[0].is_loopback else _IF_OPER_UP
    return struct.pack("<BxHiII", AF.UNSPEC, link.kind, link.number, link.flags, 0) + pack_attributes(
        (_NAME, link.name + b"\0"),
        (_QLEN, _u32(1000)),
        (_STATE, bytes([up if link.is_up else _IF_OPER_DOWN])),
        (_MTU, _u32(link.mtu)),
        (_GROUP, bytes(4)),
        (_QDISC, b"noqueue\0" if link.is_up else b"noop\0"),
        (_ADDRESS, link.hardware_address),
        (_BROADCAST, link.broadcast_hardware),
    )


def _address_description(link: Link, address: Interface) -> bytes:
    """Struct ifaddrmsg and attributes."""
    packed = address.ip.packed
    scope = _SCOPE_HOST if address.is_loopback else _SCOPE_UNIVERSE
    head = struct.pack(
        "<BBBBI", _family(address), address.network.prefixlen, _IFA_F_PERMANENT, scope, link.number
    )
    lifetime = (
        (_IFA_FLAGS, _u32(_IFA_F_PERMANENT)),
        (_IFA_CACHEINFO, struct.pack("<IIII", _FOREVER, _FOREVER, 0, 0)),
    )
    if address.version == 6:
        return head + pack_attributes((_IFA_ADDRESS, packed), *lifetime)
    broadcast = () if address.is_loopback else ((_IFA_BROADCAST, address.network.broadcast_address.packed),)
    return head + pack_attributes(
        (_IFA_ADDRESS, packed), (_IFA_LOCAL, packed), *broadcast, (_IFA_LABEL, link.name + b"\0"), *lifetime
    )


def _route_descriptions(link: Link, address: Interface) -> Iterator[bytes]:
    """Struct rtmsg and attributes: the default route, and the one to the link's own network."""
    if link.gateway is not None:
        yield _route(link, address, 0, _RTPROT_BOOT, (_RTA_GATEWAY, ip_address(link.gateway).packed))
    network = address.network
    yield _route(link, address, network.prefixlen, _RTPROT_KERNEL, (_RTA_DST, network.network_address.packed))


def _route(link: Link, address: Interface, length: int, protocol: int, to: tuple[int, bytes]) -> bytes:
    scope = _SCOPE_LINK if length else _SCOPE_UNIVERSE
    head = struct.pack(
        "<BBBBBBBBI", _family(address), length, 0, 0, _RT_TABLE_MAIN, protocol, scope, _RTN_UNICAST, 0
    )
    source = ((_RTA_PREFSRC, address.ip.packed),) if length else ()
    return head + pack_attributes(
        (_RTA_TABLE, _u32(_RT_TABLE_MAIN)), to, *source, (_RTA_OIF, _u32(link.number))
    )
