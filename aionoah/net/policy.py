"""What guests may reach through the host's network."""

from typing import Final

from aionoah.abi.errno import Errno, LinuxError


class Policy:
    """Asked before anything leaves the instance. Refusals are LinuxErrors: what a program then sees.

    Hosts are numeric IPv4 or IPv6 addresses, as inet_ntop(3) writes them.
    """

    has_host_network = True  # whether sockets may be host sockets, and the host's interfaces are shown

    def require_bind(self, host: str, port: int) -> None:
        """May a socket have this address? EADDRNOTAVAIL, EACCES."""

    def require_connect(self, host: str, port: int) -> None:
        """May something be sent there? ENETUNREACH, ECONNREFUSED."""


class HostNetwork(Policy):
    """Everything that the application itself may reach."""


class NoNetwork(Policy):
    """A name space of its own whose only interface, the loopback, is down."""

    has_host_network = False

    def require_bind(self, host: str, port: int) -> None:  # noqa: ARG002 - no port either
        if host not in ("0.0.0.0", "::") and not host.startswith("127."):  # noqa: S104 - nothing is bound
            raise LinuxError(Errno.EADDRNOTAVAIL)

    def require_connect(self, host: str, port: int) -> None:  # noqa: ARG002
        """There is no IPv6 address to send from, and no route for IPv4."""
        raise LinuxError(Errno.EADDRNOTAVAIL if ":" in host else Errno.ENETUNREACH)


POLICIES: Final = {"host": HostNetwork, "none": NoNetwork}
"""By the names that users give."""
