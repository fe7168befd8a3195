"""Network interfaces of an instance that does not show the host's (netdevice(7), rtnetlink(7))."""

from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from typing import Final, NamedTuple

IFF_UP: Final = 0x1  # uapi linux/if.h
IFF_BROADCAST: Final = 0x2
IFF_LOOPBACK: Final = 0x8
IFF_RUNNING: Final = 0x40
IFF_MULTICAST: Final = 0x1000
IFF_LOWER_UP: Final = 0x10000
ARPHRD_ETHER: Final = 1
ARPHRD_LOOPBACK: Final = 772


class Link(NamedTuple):
    """One interface."""

    number: int  # its index
    name: bytes
    kind: int  # one of ARPHRD
    flags: int
    mtu: int
    hardware_address: bytes
    addresses: tuple[IPv4Interface | IPv6Interface, ...] = ()
    gateway: str | None = None  # of the default route

    @property
    def is_up(self) -> bool:
        return bool(self.flags & IFF_UP)

    @property
    def broadcast_hardware(self) -> bytes:
        return bytes(6) if self.flags & IFF_LOOPBACK else b"\xff" * 6


LOOPBACK_DOWN: Final = Link(1, b"lo", ARPHRD_LOOPBACK, IFF_LOOPBACK, 65536, bytes(6))
"""As it is when a name space begins."""

LOOPBACK: Final = LOOPBACK_DOWN._replace(
    flags=IFF_LOOPBACK | IFF_UP | IFF_RUNNING | IFF_LOWER_UP,
    addresses=(ip_interface("127.0.0.1/8"), ip_interface("::1/128")),
)

OUTWARD: Final = Link(
    2,
    b"eth0",
    ARPHRD_ETHER,
    IFF_UP | IFF_BROADCAST | IFF_RUNNING | IFF_MULTICAST | IFF_LOWER_UP,
    1500,
    b"\x02\x00\x0a\x00\x02\x0f",
    (ip_interface("10.0.2.15/24"),),
    gateway="10.0.2.2",
)
