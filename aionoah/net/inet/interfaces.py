"""Questions about network interfaces that are asked by ioctl on any socket (netdevice(7))."""

import socket
from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.ioctl import IOCTL
from aionoah.fs.stdio import Exchange
from aionoah.host import platform
from aionoah.host.errors import host_errors

if TYPE_CHECKING:
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
    if not network.policy.has_host_network:
        return _loopback_that_is_down(number, data)
    with host_errors(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        return platform.interface_request(asking.fileno(), number, data)


def configuration(network: "Network", room: int) -> bytes:
    """The array of struct ifreq of SIOCGIFCONF: interfaces that have IPv4 addresses."""
    if not network.policy.has_host_network:
        return b""
    with host_errors(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        return platform.interface_configuration(asking.fileno(), room)


def _loopback_that_is_down(number: int, data: bytes) -> bytes:
    """The only interface of a new network name space."""
    name, value = data[:16].partition(b"\0")[0], data[16:]
    if number == IOCTL.SIOCGIFNAME:
        if value[:4] != (1).to_bytes(4, "little"):
            raise LinuxError(Errno.ENODEV)
        return b"lo".ljust(16, b"\0") + value
    if name != b"lo":
        raise LinuxError(Errno.ENODEV)
    answers = {
        IOCTL.SIOCGIFFLAGS: 0x8,  # IFF_LOOPBACK
        IOCTL.SIOCGIFINDEX: 1,
        IOCTL.SIOCGIFMTU: 65536,
        IOCTL.SIOCGIFMETRIC: 0,
        IOCTL.SIOCGIFTXQLEN: 1000,
        IOCTL.SIOCGIFHWADDR: 772,  # ARPHRD_LOOPBACK, and an address of zeros
    }
    if number not in answers:
        raise LinuxError(Errno.EADDRNOTAVAIL)
    return data[:16] + answers[IOCTL(number)].to_bytes(4, "little") + bytes(20)
