"""Questions about network interfaces that are asked by ioctl on any socket (netdevice(7))."""

import socket
from ipaddress import IPv4Interface
from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.ethtool import ETHTOOL
from aionoah.abi.ioctl import IOCTL
from aionoah.abi.socket import AF
from aionoah.fs.stdio import Exchange
from aionoah.host import platform
from aionoah.host.errors import host_errors
from aionoah.net.links import Link

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aionoah.net.network import Network

IFREQ_SIZE: Final = 40
_IFREQ: Final = Exchange(takes=IFREQ_SIZE, gives=IFREQ_SIZE)
DEVICE_EXCHANGES: Final = dict.fromkeys(
    (
        *(IOCTL.SIOCGIFNAME, IOCTL.SIOCGIFFLAGS, IOCTL.SIOCGIFMETRIC, IOCTL.SIOCGIFMTU),
        *(IOCTL.SIOCGIFHWADDR, IOCTL.SIOCGIFINDEX, IOCTL.SIOCGIFTXQLEN),
    ),
    _IFREQ,
)
"""What sockets of every family answer: the C library asks a UNIX socket first. All of them only ask."""

ADDRESS_EXCHANGES: Final = dict.fromkeys(
    (IOCTL.SIOCGIFADDR, IOCTL.SIOCGIFDSTADDR, IOCTL.SIOCGIFBRDADDR, IOCTL.SIOCGIFNETMASK), _IFREQ
)
"""What only internet sockets answer."""


def ask(network: "Network", number: int, data: bytes) -> bytes:
    """A struct ifreq with the answer; ENODEV where there is no such interface."""
    links = network.links
    if links is not None:
        return _ask_of(links, number, data)
    with host_errors(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        return platform.interface_request(asking.fileno(), number, data)


def configuration(network: "Network", room: int) -> bytes:
    """The array of struct ifreq of SIOCGIFCONF: interfaces that have IPv4 addresses."""
    links = network.links
    if links is not None:
        found = [(link, address) for link in links if (address := _ipv4(link)) is not None]
        entries = b"".join(_name(link) + _sockaddr(address.ip.packed) + bytes(8) for link, address in found)
        return entries[: room // IFREQ_SIZE * IFREQ_SIZE]
    with host_errors(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        return platform.interface_configuration(asking.fileno(), room)


def ethtool(network: "Network", name: bytes, question: bytes) -> bytes:
    """The structure of one of the ETHTOOL commands, filled in. EOPNOTSUPP for what an interface does not tell, ENODEV."""
    links = network.links
    if links is None:
        with host_errors(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            return platform.interface_details(asking.fileno(), name, question)
    link = _first(link for link in links if link.name == name.partition(b"\0")[0])
    if question[:4] != ETHTOOL.GLINK.to_bytes(4, "little"):
        raise LinuxError(Errno.EOPNOTSUPP)
    return question[:4] + link.is_up.to_bytes(4, "little")


def _ask_of(links: tuple[Link, ...], number: int, data: bytes) -> bytes:
    name, value = data[:16].partition(b"\0")[0], data[16:]
    if number == IOCTL.SIOCGIFNAME:
        index = int.from_bytes(value[:4], "little")
        return _name(_first(link for link in links if link.number == index)) + value
    link = _first(link for link in links if link.name == name.partition(b":")[0])
    if number == IOCTL.SIOCGIFHWADDR:
        answer = link.kind.to_bytes(2, "little") + link.hardware_address
    elif number in ADDRESS_EXCHANGES:
        answer = _address(link, number)
    else:
        answer = _numbers(link)[IOCTL(number)].to_bytes(4, "little")
    return data[:16] + answer.ljust(IFREQ_SIZE - 16, b"\0")


def _first(links: "Iterator[Link]") -> Link:
    for link in links:
        return link
    raise LinuxError(Errno.ENODEV)


def _numbers(link: Link) -> dict[int, int]:
    return {
        IOCTL.SIOCGIFFLAGS: link.flags & 0xFFFF,
        IOCTL.SIOCGIFINDEX: link.number,
        IOCTL.SIOCGIFMTU: link.mtu,
        IOCTL.SIOCGIFMETRIC: 0,
        IOCTL.SIOCGIFTXQLEN: 1000,
    }


def _address(link: Link, number: int) -> bytes:
    """A struct sockaddr_in; EADDRNOTAVAIL without an address."""
    address = _ipv4(link)
    if address is None:
        raise LinuxError(Errno.EADDRNOTAVAIL)
    match number:
        case IOCTL.SIOCGIFNETMASK:
            return _sockaddr(address.netmask.packed)
        case IOCTL.SIOCGIFBRDADDR:
            return _sockaddr(bytes(4) if address.is_loopback else address.network.broadcast_address.packed)
        case _:
            return _sockaddr(address.ip.packed)


def _ipv4(link: Link) -> IPv4Interface | None:
    return next((address for address in link.addresses if isinstance(address, IPv4Interface)), None)


def _name(link: Link) -> bytes:
    return link.name.ljust(16, b"\0")


def _sockaddr(address: bytes) -> bytes:
    return AF.INET.to_bytes(2, "little") + bytes(2) + address + bytes(8)
