"""What a rule of a network policy says, and whether it speaks of an attempt.

A rule is HOST or HOST:PORTS. HOST is an address, a CIDR block, a name, *.domain or * alone; IPv6 stands in
brackets. PORTS is a number or FIRST-LAST.
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple

Ip = IPv4Address | IPv6Address
_RULE: Final = re.compile(
    r"(?:\[(?P<v6>[^]]+)\]|(?P<host>[^:\[\]]+))(?::(?P<first>\d+)(?:-(?P<last>\d+))?)?", re.ASCII
)
_NAME: Final = re.compile(r"\*|(?:\*\.)?[a-z0-9_](?:[a-z0-9_-]*\.?)*", re.ASCII)
_MAX_PORT: Final = 0xFFFF


class Attempt(NamedTuple):
    """Something that a guest wants to reach."""

    protocol: str  # "tcp" or "udp"
    host: str  # the address, as inet_ntop(3) writes it
    port: int
    names: tuple[str, ...]  # by which guests have looked the address up
    pid: int
    program: str  # what ps shows as its command


class Rule(NamedTuple):
    """One entry of `allow` or `deny`."""

    name: str | None
    block: IPv4Network | IPv6Network | None
    ports: range

    def matches(self, attempt: Attempt) -> bool:
        """The host's own loopback is meant by those only that name it: neither by * nor by 0.0.0.0/0."""
        if attempt.port not in self.ports:
            return False
        ip = ip_address(attempt.host)
        if self.block is not None:
            return ip in self.block and (self.block.is_loopback or not ip.is_loopback)
        if self.name == "*":
            return not ip.is_loopback
        return any(self.matches_name(name) for name in attempt.names)

    def matches_name(self, name: str) -> bool:
        if self.name is None:
            return False
        if self.name.startswith("*"):
            return name.endswith(self.name[1:])
        return name == self.name


def parse_rule(text: str) -> Rule:
    """ValueError with a sentence for what is no rule."""
    parts = _RULE.fullmatch(text.strip().lower())
    if parts is None:
        raise ValueError(f"{text!r} is no rule: write HOST, HOST:PORT or HOST:FIRST-LAST, IPv6 in brackets")
    ports = range(_MAX_PORT + 1)
    if parts["first"] is not None:
        ports = range(int(parts["first"]), int(parts["last"] or parts["first"]) + 1)
        if not ports or ports[-1] > _MAX_PORT:
            raise ValueError(f"{text!r} is no rule: ports go from 0 to {_MAX_PORT}")
    host = parts["v6"] or parts["host"]
    try:
        return Rule(None, ip_network(host), ports)
    except ValueError:
        if parts["v6"] or not _NAME.fullmatch(host) or host.replace(".", "").replace("/", "").isdecimal():
            raise ValueError(
                f"{text!r} is no rule: {host} is no address, no block of addresses and no name"
            ) from None
    return Rule(host, None, ports)


class Rules:
    """`deny` goes first, then `allow`; what neither speaks of is undecided."""

    def __init__(self, allow: Iterable[str] = (), deny: Iterable[str] = ()) -> None:
        """ValueError with a sentence for what is no rule."""
        self._allow = [parse_rule(text) for text in allow]
        self._deny = [parse_rule(text) for text in deny]

    def verdict(self, attempt: Attempt) -> bool | None:
        if any(rule.matches(attempt) for rule in self._deny):
            return False
        if any(rule.matches(attempt) for rule in self._allow):
            return True
        return None

    def may_resolve(self, name: str) -> bool:
        """Whether knowing the addresses of a name could be of any use: a look-up, too, tells others something."""
        return any(rule.block is not None or rule.matches_name(name) for rule in self._allow)


def canonical(host: str) -> Ip:
    """An address without its scope; an IPv4 one if it stands for one."""
    ip = ip_address(host.partition("%")[0])
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip
