"""SIOCGIFCONF, the one request about interfaces whose argument points elsewhere (netdevice(7))."""

from typing import TYPE_CHECKING, Final

from aionoah.abi.cstruct import I32, U64, Struct
from aionoah.abi.errno import Errno, LinuxError
from aionoah.net.inet.interfaces import IFREQ_SIZE, configuration

if TYPE_CHECKING:
    from aionoah.net.socket import Socket
    from aionoah.process.task import Task

_MOST: Final = 1024  # interfaces


class Ifconf(Struct):
    ifc_len: I32
    ifc_buf: U64


def tell_interfaces(task: "Task", socket: "Socket", address: int) -> None:
    """Interfaces with their IPv4 addresses, as many as there is room for; without a buffer, how much is needed."""
    wanted = task.memory.get(Ifconf, address)
    if wanted.ifc_len < 0 and wanted.ifc_buf:
        raise LinuxError(Errno.EINVAL)
    found = configuration(socket.network, _MOST * IFREQ_SIZE)
    if wanted.ifc_buf:
        found = found[: wanted.ifc_len // IFREQ_SIZE * IFREQ_SIZE]
        task.memory.write(wanted.ifc_buf, found)
    wanted.ifc_len = len(found)
    task.memory.put(address, wanted)
