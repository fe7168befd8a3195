"""/sys/class/net: an interface's directory (Documentation/ABI/testing/sysfs-class-net)."""

import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import LinuxError
from aionoah.abi.ioctl import IOCTL
from aionoah.fs.synthetic import Bound, Directory, Link, Node
from aionoah.fs.sys.attribute import attribute, empty
from aionoah.net.inet import interfaces
from aionoah.net.links import IFF_LOOPBACK, IFF_UP
from aionoah.net.links import Link as Interface

if TYPE_CHECKING:
    from aionoah.process.kernel import Kernel

_REQUEST_NAME: Final = 16
_STATISTICS: Final = tuple(
    f"{direction}_{what}".encode()
    for direction in ("rx", "tx")
    for what in ("bytes", "compressed", "dropped", "errors", "fifo_errors", "packets")
)


def found_interfaces(kernel: "Kernel") -> list[Interface]:
    links = kernel.network.links
    if links is not None:
        return list(links)
    found = []
    for number, name in socket.if_nameindex():
        try:
            found.append(_host_interface(kernel, number, name.encode()))
        except LinuxError:
            continue  # it has just gone
    return found


def _host_interface(kernel: "Kernel", number: int, name: bytes) -> Interface:
    request = name.ljust(interfaces.IFREQ_SIZE, b"\0")

    def ask(what: int) -> bytes:
        return interfaces.ask(kernel.network, what, request)[_REQUEST_NAME:]

    hardware = ask(IOCTL.SIOCGIFHWADDR)
    return Interface(
        number,
        name,
        int.from_bytes(hardware[:2], "little"),
        int.from_bytes(ask(IOCTL.SIOCGIFFLAGS)[:2], "little"),
        int.from_bytes(ask(IOCTL.SIOCGIFMTU)[:4], "little"),
        hardware[2:8],
    )


def directory_of(link: Interface) -> Directory["Kernel"]:
    is_loopback = bool(link.flags & IFF_LOOPBACK)
    state = b"unknown" if is_loopback else b"up" if link.is_up else b"down"
    nodes: dict[bytes, Node[Kernel]] = {
        b"addr_assign_type": attribute(0),
        b"addr_len": attribute(6),
        b"address": attribute(_colons(link.hardware_address)),
        b"broadcast": attribute(_colons(link.broadcast_hardware)),
        b"carrier": attribute(1 if link.flags & IFF_UP else 0),
        b"dev_id": attribute(b"0x0"),
        b"dormant": attribute(0),
        b"flags": attribute(hex(link.flags)),
        b"ifalias": empty(),
        b"ifindex": attribute(link.number),
        b"iflink": attribute(link.number),
        b"link_mode": attribute(0),
        b"mtu": attribute(link.mtu),
        b"operstate": attribute(state),
        b"statistics": Directory({name: attribute(0) for name in _STATISTICS}),
        b"subsystem": Link(b"../../../../class/net"),
        b"tx_queue_len": attribute(1000),
        b"type": attribute(link.kind),
        b"uevent": attribute(b"INTERFACE=%s\nIFINDEX=%d" % (link.name, link.number)),
    }
    return Directory(nodes)


def _colons(address: bytes) -> bytes:
    return address.hex(":").encode()


def _names(kernel: "Kernel") -> Iterable[bytes]:
    return [link.name for link in found_interfaces(kernel)]


def _find_device(kernel: "Kernel", name: bytes) -> Bound | None:
    for link in found_interfaces(kernel):
        if link.name == name:
            return Bound(directory_of(link), kernel)
    return None


def _find_link(kernel: "Kernel", name: bytes) -> Bound | None:
    if name not in _names(kernel):
        return None
    target: Link[Kernel] = Link(b"../../devices/virtual/net/" + name)
    return Bound(target, kernel)


DEVICES: Final[Directory["Kernel"]] = Directory(names=_names, find=_find_device)
CLASS: Final[Directory["Kernel"]] = Directory(names=_names, find=_find_link)
