"""What the sockets of one Linux instance share: names, and what they may reach."""

from typing import TYPE_CHECKING

from aionoah.net.policy import HostNetwork, Policy

if TYPE_CHECKING:
    from aionoah.fs.inode import FileSystem, Inode
    from aionoah.net.links import Link
    from aionoah.net.private.network import PrivateNetwork
    from aionoah.net.unix.host import HostSocket
    from aionoah.net.unix.socket import UnixSocket

Place = tuple["FileSystem", int]
"""A file system and an inode number in it. (A file system may make inode objects anew at each lookup.)"""


class Network:
    """One network name space."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = policy or HostNetwork()
        self.private: PrivateNetwork | None = None  # in place of the host's
        self.abstract: dict[tuple[int, bytes], UnixSocket] = {}  # by type and name
        self.places: dict[Place, UnixSocket] = {}  # UNIX sockets that are bound to a path
        self.host_sockets: dict[Place, HostSocket] = {}  # servers of the host that the application has given
        self.netlink_ports: dict[tuple[int, int], object] = {}  # by protocol and port
        self._last_automatic_name = 0

    @property
    def links(self) -> "tuple[Link, ...] | None":
        """The interfaces there are; None for the host's own."""
        from aionoah.net.links import LOOPBACK, LOOPBACK_DOWN, OUTWARD  # noqa: PLC0415 - slow to import, and few ask

        if self.private is not None:
            return (LOOPBACK, OUTWARD) if self.private.has_outside else (LOOPBACK,)
        return None if self.policy.has_host_network else (LOOPBACK_DOWN,)

    def at(self, inode: "Inode") -> "UnixSocket | None":
        """The socket behind a name in the file system."""
        return self.places.get((inode.filesystem, inode.attributes().ino))

    def automatic_name(self, kind: int) -> bytes:
        """A free abstract name, as autobind gives one: five hexadecimal digits (unix(7))."""
        while True:
            self._last_automatic_name = self._last_automatic_name + 1 & 0xFFFFF
            name = b"\0%05x" % self._last_automatic_name
            if (kind, name) not in self.abstract:
                return name
