"""SIOCGIFCONF and SIOCETHTOOL, the requests about interfaces whose arguments point elsewhere (netdevice(7))."""

from typing import TYPE_CHECKING, Annotated, Final

from aionoah.abi.cstruct import I32, U64, Struct
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.ethtool import ETHTOOL, MASK_WORDS, SIZES
from aionoah.net.inet.interfaces import IFREQ_SIZE, configuration, ethtool

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


class IfreqData(Struct):
    """The struct ifreq whose union has a pointer."""

    ifr_name: Annotated[bytes, "16s"]
    ifr_data: U64


def ask_ethtool(task: "Task", socket: "Socket", address: int) -> None:
    """EOPNOTSUPP for commands that change something, and for what an interface does not tell."""
    wanted = task.memory.get(IfreqData, address)
    command = task.memory.read_word(wanted.ifr_data, 4)
    if command not in SIZES:
        raise LinuxError(Errno.EOPNOTSUPP)
    question = task.memory.read(wanted.ifr_data, SIZES[ETHTOOL(command)])
    if command == ETHTOOL.GLINKSETTINGS and (words := question[MASK_WORDS]) < 0x80:
        question = task.memory.read(wanted.ifr_data, len(question) + 3 * 4 * words)
    task.memory.write(wanted.ifr_data, ethtool(socket.network, wanted.ifr_name, question))
