"""Making UNIX sockets."""

from typing import Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.socket import AF, SOCK
from aionoah.net.network import Network
from aionoah.net.socket import caller_identity
from aionoah.net.unix.connection import SequencedPacketSocket
from aionoah.net.unix.datagram import DatagramSocket
from aionoah.net.unix.stream import StreamSocket

UnixKind = StreamSocket | SequencedPacketSocket | DatagramSocket

_KINDS: Final[dict[int, type[UnixKind]]] = {
    SOCK.STREAM: StreamSocket,
    SOCK.DGRAM: DatagramSocket,
    SOCK.RAW: DatagramSocket,  # as Linux has it
    SOCK.SEQPACKET: SequencedPacketSocket,
}


def new_unix_socket(network: Network, kind: int, protocol: int, flags: int) -> UnixKind:
    """EPROTONOSUPPORT, ESOCKTNOSUPPORT."""
    if protocol not in (0, AF.UNIX):
        raise LinuxError(Errno.EPROTONOSUPPORT)
    if kind not in _KINDS:
        raise LinuxError(Errno.ESOCKTNOSUPPORT)
    shown = SOCK.DGRAM if kind == SOCK.RAW else kind
    return _KINDS[kind](network, AF.UNIX, shown, protocol, flags)


def new_unix_pair(network: Network, kind: int, protocol: int, flags: int) -> tuple[UnixKind, UnixKind]:
    """Two that are connected to each other, as socketpair makes them."""
    one = new_unix_socket(network, kind, protocol, flags)
    other = new_unix_socket(network, kind, protocol, flags)
    one.pair_with(other)  # type: ignore[arg-type] # both are of one kind
    one.peer_identity = other.peer_identity = caller_identity()
    return one, other
