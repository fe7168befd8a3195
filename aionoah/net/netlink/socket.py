"""AF_NETLINK: questions to the kernel about its network (netlink(7), rtnetlink(7); Linux net/netlink/af_netlink.c).

A socket sends requests and finds the answers in its queue at once. Nothing ever comes unasked: groups can be
joined, and stay silent.
"""

from collections import deque
from typing import TYPE_CHECKING, Final

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.netlink import NETLINK, NETLINK_OPTION, SockaddrNl
from aionoah.abi.poll import Poll
from aionoah.abi.socket import AF, MSG, SCM, SO, SOCK, SOL, Ucred
from aionoah.fs.file import WouldBlock
from aionoah.host.waiting import Source, WaitQueue
from aionoah.net.inet import interfaces
from aionoah.net.netlink.route import Answerer, new_answerer
from aionoah.net.options import LocalOptions, as_int, from_int, get_common, set_common
from aionoah.net.socket import (
    Control,
    Outgoing,
    Received,
    Socket,
    caller_credentials,
    caller_has,
    family_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aionoah.fs.context import FsContext
    from aionoah.fs.stdio import Exchange
    from aionoah.memory.buffer import Buffer
    from aionoah.net.network import Network

_KERNEL: Final = SockaddrNl(AF.NETLINK, 0, 0).pack()
_ANSWERED: Final = (NETLINK.ROUTE, NETLINK.SOCK_DIAG)
_REFUSED: Final = (NETLINK.AUDIT, NETLINK.CONNECTOR)  # nobody listens outside the host's own name space
_SILENT: Final = (NETLINK.USERSOCK, NETLINK.KOBJECT_UEVENT, *_REFUSED)
_BOOLEANS: Final = (
    *(NETLINK_OPTION.PKTINFO, NETLINK_OPTION.BROADCAST_ERROR, NETLINK_OPTION.NO_ENOBUFS),
    *(NETLINK_OPTION.CAP_ACK, NETLINK_OPTION.EXT_ACK, NETLINK_OPTION.GET_STRICT_CHK),
)
_MEMBERSHIPS: Final = (NETLINK_OPTION.ADD_MEMBERSHIP, NETLINK_OPTION.DROP_MEMBERSHIP)
_OPTION_SIZE: Final = 4  # bytes
_GROUPS: Final = 32


def new_netlink_socket(network: "Network", kind: int, protocol: int, flags: int) -> "NetlinkSocket":
    """ESOCKTNOSUPPORT, EPROTONOSUPPORT for what we cannot answer, as of a kernel built without it."""
    if kind not in (SOCK.RAW, SOCK.DGRAM):
        raise LinuxError(Errno.ESOCKTNOSUPPORT)
    if protocol not in _ANSWERED and protocol not in _SILENT:
        raise LinuxError(Errno.EPROTONOSUPPORT)
    return NetlinkSocket(network, AF.NETLINK, kind, protocol, flags)


def _new_diag_answerer() -> Answerer:
    from aionoah.net.netlink.diag import DiagAnswerer  # noqa: PLC0415 - it knows every family, and few ask

    return DiagAnswerer()


class NetlinkSocket(Socket):
    """One port of a netlink protocol."""

    def __init__(self, network: "Network", family: int, kind: int, protocol: int, flags: int = 0) -> None:
        super().__init__(network, family, kind, protocol, flags)
        self.port = 0  # 0 as long as there is none
        self.groups = 0
        self.target: SockaddrNl | None = None  # of connect
        self._options = LocalOptions()
        self._netlink_options: dict[int, int] = {}
        self._passes_credentials = False
        self._answerer: Answerer | None = None
        self._packets: deque[bytes] = deque()
        self._used = 0  # bytes of them
        self._has_overrun = False  # something was lost, which is reported once
        self._readable = WaitQueue()

    def release(self) -> None:
        if self.port:
            del self.network.netlink_ports[self.protocol, self.port]
        if self._answerer is not None:
            self._answerer.close()

    # -- addresses --------------------------------------------------------------------------------------

    @staticmethod
    def _parse(address: bytes) -> SockaddrNl:
        if len(address) < SockaddrNl.SIZE or family_of(address) != AF.NETLINK:
            raise LinuxError(Errno.EINVAL)
        return SockaddrNl.unpack(address)

    def bind(self, address: bytes, fs: "FsContext") -> None:  # noqa: ARG002 - not a path
        wanted = self._parse(address)
        if self.port and wanted.nl_pid != self.port:
            raise LinuxError(Errno.EINVAL)
        self._require_may_join(wanted.nl_groups)
        if not self.port:
            self._take_port(wanted.nl_pid)
        self.groups = wanted.nl_groups

    def _require_may_join(self, groups: int) -> None:
        """EPERM: of the connector, everybody may only hear of processes, the first group (cn_bind)."""
        if self.protocol == NETLINK.CONNECTOR and groups & ~1 and not caller_has(CAP.NET_ADMIN):
            raise LinuxError(Errno.EPERM)

    def _take_port(self, port: int = 0) -> None:
        """The wanted one (EADDRINUSE), or the process's number if that is free."""
        ports = self.network.netlink_ports
        if not port:
            port = caller_credentials().pid or 1
            while (self.protocol, port) in ports:
                port = port - 4097 & 0xFFFF_FFFF or 0xFFFF_F000
        elif (self.protocol, port) in ports:
            raise LinuxError(Errno.EADDRINUSE)
        ports[self.protocol, port] = self
        self.port = port

    def name(self) -> bytes:
        return SockaddrNl(AF.NETLINK, self.port, self.groups).pack()

    def peer_name(self) -> bytes:
        """The kernel, unless connect has said otherwise."""
        return self.target.pack() if self.target is not None else _KERNEL

    async def connect(self, address: bytes, fs: "FsContext") -> None:  # noqa: ARG002 - not a path
        if family_of(address) == AF.UNSPEC:
            self.target = None
            return
        target = self._parse(address)
        if (target.nl_pid or target.nl_groups) and not caller_has(CAP.NET_ADMIN):
            raise LinuxError(Errno.EPERM)
        if not self.port:
            self._take_port()
        self.target = target

    @staticmethod
    def _require_kernel(target: SockaddrNl) -> None:
        """Nobody but the kernel listens: EPERM, and ECONNREFUSED for the privileged."""
        if target.nl_pid or target.nl_groups:
            raise LinuxError(Errno.ECONNREFUSED if caller_has(CAP.NET_ADMIN) else Errno.EPERM)

    # -- messages ---------------------------------------------------------------------------------------

    def send_nowait(self, message: Outgoing) -> int:
        if MSG.OOB in message.flags:
            raise LinuxError(Errno.EOPNOTSUPP)
        length = message.src.length
        if not length:
            raise LinuxError(Errno.ENODATA)
        target = self._parse(message.address) if message.address else self.target
        if target is not None:
            self._require_kernel(target)
        if not self.port:
            self._take_port()
        if length > self._options.send_buffer - 32:
            raise LinuxError(Errno.EMSGSIZE)
        if self.protocol not in _ANSWERED:
            raise LinuxError(Errno.ECONNREFUSED if self.protocol in _REFUSED else Errno.EPERM)
        request = message.src.take()
        if len(request) < length:
            raise LinuxError(Errno.EFAULT)
        self._ask(request)
        return length

    def _ask(self, request: bytes) -> None:
        """The answers to each message go into the queue, however long they are, until it is full."""
        for packets in self._kernel_side().answers(request, self.port):
            if self._is_full:
                self._overrun()
                return
            for packet in packets:
                self._put(packet)

    def _kernel_side(self) -> Answerer:
        if self._answerer is None:
            is_route = self.protocol == NETLINK.ROUTE
            self._answerer = new_answerer(self.network) if is_route else _new_diag_answerer()
            for option, value in self._netlink_options.items():
                self._answerer.set_option(option, value)
        return self._answerer

    @property
    def _is_full(self) -> bool:
        return self._used >= self._options.receive_buffer

    def _overrun(self) -> None:
        """ENOBUFS for the next that looks, unless it does not want to know."""
        self._has_overrun = not self._netlink_options.get(NETLINK_OPTION.NO_ENOBUFS)
        self._readable.wake()

    def deliver(self, packet: bytes) -> None:
        """A message of the kernel's own: mq_notify sends them through any netlink socket."""
        if self._is_full:
            self._overrun()
        else:
            self._put(packet)

    def _put(self, packet: bytes) -> None:
        if (passed := self.filtered(packet)) is not None:
            self._packets.append(passed)
            self._used += len(passed)
            self._readable.wake()

    def receive_nowait(self, dst: "Buffer", flags: MSG) -> Received:
        if MSG.OOB in flags:
            raise LinuxError(Errno.EOPNOTSUPP)
        if self._has_overrun:
            self._has_overrun = False
            raise LinuxError(Errno.ENOBUFS)
        if not self._packets:
            raise WouldBlock
        data = self._packets[0]
        count = dst.fill(data) if dst.length else 0
        if MSG.PEEK not in flags:
            self._used -= len(self._packets.popleft())
        control: tuple[Control, ...] = ()
        if self._passes_credentials:
            control = (Control(SOL.SOCKET, SCM.CREDENTIALS, Ucred(0, 0, 0).pack()),)
        is_cut = count < len(data)
        shown = len(data) if MSG.TRUNC in flags else count
        return Received(shown, _KERNEL, control, (), MSG.TRUNC if is_cut else 0)

    def poll(self) -> Poll:
        mask = Poll.OUT | Poll.WRNORM | Poll.WRBAND | (Poll.ERR if self._has_overrun else 0)
        return Poll(mask | Poll.IN | Poll.RDNORM if self._packets else mask)

    def source(self, events: Poll) -> Source:  # noqa: ARG002 - there is always room
        return Source(self._readable)

    # -- options ----------------------------------------------------------------------------------------

    def require_level(self, level: int) -> None:
        if level not in (SOL.SOCKET, SOL.NETLINK):
            raise LinuxError(Errno.ENOPROTOOPT)

    def get_option(self, level: int, option: int, length: int) -> bytes:
        if level == SOL.NETLINK:
            if length < _OPTION_SIZE:
                raise LinuxError(Errno.EINVAL)
            return from_int(self._netlink_option(option))[:length]
        if level != SOL.SOCKET:
            raise LinuxError(Errno.ENOPROTOOPT)
        if option == SO.ERROR:
            error, self._has_overrun = Errno.ENOBUFS if self._has_overrun else 0, False
            return from_int(error)[:length]
        own = {SO.ACCEPTCONN: 0, SO.PASSCRED: int(self._passes_credentials)}
        if option in own:
            return from_int(own[SO(option)])[:length]
        return (get_common(self, option) or self._options.get(option))[:length]

    def _netlink_option(self, option: int) -> int:
        if option not in _BOOLEANS:
            raise LinuxError(Errno.ENOPROTOOPT)
        return self._netlink_options.get(option, 0)

    def set_option(self, level: int, option: int, value: bytes) -> None:
        if level == SOL.NETLINK:
            self._set_netlink_option(option, as_int(value) if len(value) >= _OPTION_SIZE else 0)
        elif level != SOL.SOCKET:
            raise LinuxError(Errno.ENOPROTOOPT)
        elif option == SO.PASSCRED:
            self._passes_credentials = as_int(value) != 0
        elif not set_common(self, option, value):
            self._options.set(option, value, is_admin=caller_has(CAP.NET_ADMIN))

    def _set_netlink_option(self, option: int, number: int) -> None:
        if option in _MEMBERSHIPS:
            if not 1 <= number <= _GROUPS:
                raise LinuxError(Errno.EINVAL)
            bit = 1 << number - 1
            is_joining = option == NETLINK_OPTION.ADD_MEMBERSHIP
            if is_joining:
                self._require_may_join(bit)
            self.groups = self.groups | bit if is_joining else self.groups & ~bit
            return
        if option not in _BOOLEANS:
            raise LinuxError(Errno.ENOPROTOOPT)
        self._netlink_options[option] = int(number != 0)
        if self._answerer is not None:
            self._answerer.set_option(option, int(number != 0))

    @property
    def exchanges(self) -> "Mapping[int, Exchange]":
        return interfaces.DEVICE_EXCHANGES

    def ioctl(self, request: int, argument: bytes | int) -> bytes:
        return interfaces.ask(self.network, request, bytes(argument))
