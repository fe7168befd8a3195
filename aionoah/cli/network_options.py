"""What the options of the commands for networks mean."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, TypeVar

import click

from aionoah.cli.numbers import parse_number

if TYPE_CHECKING:
    from aionoah.network import Network

_MAX_PORT: Final = 65535
T = TypeVar("T")


def parse_network(
    name: str | None,
    publish: tuple[str, ...],
    allow: tuple[str, ...],
    deny: tuple[str, ...],
    add_host: tuple[str, ...],
) -> "str | Network":
    """A name, or a network as the further options describe it; these mean a private one if nothing is named.

    A private one without any --allow lets everything through but the host's own loopback.
    """
    further = publish or allow or deny or add_host
    if name in ("host", "none") and further:
        raise click.UsageError(
            "-p, --allow, --deny and --add-host need --net private, or loopback; host and none have no such thing."
        )
    if name == "loopback" and (allow or deny):
        raise click.UsageError("--allow and --deny need --net private: loopback reaches nothing outside.")
    if name != "private" and not further:
        return name or "host"
    from aionoah.network import Network  # noqa: PLC0415

    published = {
        kind: _publications(text for text in publish if _protocol(text) == kind) for kind in ("tcp", "udp")
    }
    try:
        return Network(
            allow=() if name == "loopback" else allow or ("*",),
            deny=deny,
            publish=published["tcp"],
            publish_udp=published["udp"],
            hosts=dict(map(_parse_host, add_host)),
        )
    except ValueError as error:
        raise click.UsageError(f"{error}.") from None


def _protocol(publication: str) -> str:
    """What docker writes behind a slash."""
    _, separator, protocol = publication.rpartition("/")
    if separator and protocol not in ("tcp", "udp"):
        raise click.UsageError(f"-p {publication}: the protocol is tcp or udp.")
    return protocol if separator else "tcp"


def _publications(texts: Iterable[str]) -> dict[int | tuple[str, int], int]:
    published = [_parsed(_parse_publication, text) for text in texts]
    for (address, port), _ in published:
        if sum(known == (address, port) for known, _ in published) > 1:
            raise click.UsageError(f"-p: port {port} of {address} cannot lead to two ports.")
    return dict(published)


def _parsed(parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise click.UsageError(f"{error}.") from None


def _parse_publication(text: str) -> tuple[tuple[str, int], int]:
    rest, _, guest = text.partition("/")[0].rpartition(":")
    address, _, host = rest.rpartition(":")
    ports = [parse_number(word) or 0 for word in (host, guest)]
    if not all(0 < port <= _MAX_PORT for port in ports):
        raise ValueError(f"-p {text}: write [ADDRESS:]HOST:GUEST[/udp], with ports from 1 to {_MAX_PORT}")
    return (address.strip("[]") or "127.0.0.1", ports[0]), ports[1]


def _parse_host(text: str) -> tuple[str, str]:
    name, separator, address = text.partition(":")
    if not name or not separator or not address:
        raise ValueError(f"--add-host {text}: write NAME:ADDRESS")
    return name, address.strip("[]")
