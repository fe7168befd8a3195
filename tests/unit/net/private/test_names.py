"""The name server of a network of the guests' own."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any, cast

import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.host.application import Workers
from aionoah.net.private.names import Resolver
from aionoah.net.private.network import HOST, Outside, PrivateNetwork
from aionoah.net.private.rules import Attempt, Rules, canonical


class Deciding:
    decides = True


@pytest.fixture
def network() -> PrivateNetwork:
    return PrivateNetwork(cast("Outside", Deciding()), Rules(["*.example:1-9"]))


@pytest.fixture
def resolver(network: PrivateNetwork) -> Iterator[Resolver]:
    workers = Workers()
    yield Resolver(network, workers)
    workers.close()


@pytest.fixture
def resolve_to(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def choose(*addresses: str) -> None:
        found = [(0, 0, 0, "", (address, 0)) for address in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: found)

    return choose


async def ask(resolver: Resolver, name: str, kind: str = "A") -> list[str]:
    reply = await resolver.answer(dns.message.make_query(name, kind).to_wire())
    assert reply is not None
    return [str(found) for found in dns.message.from_wire(reply).answer[0]]


async def test_a_name_by_the_host(
    resolver: Resolver, network: PrivateNetwork, resolve_to: Callable[..., None]
) -> None:
    resolve_to("192.0.2.1", "2001:db8::1")
    assert await ask(resolver, "a.example") == ["192.0.2.1"]
    assert await ask(resolver, "a.example", "AAAA") == ["2001:db8::1"]
    assert list(network.names[canonical("192.0.2.1")]) == ["a.example"]


async def test_nobody_else_names_the_hosts_loopback(
    resolver: Resolver, network: PrivateNetwork, resolve_to: Callable[..., None]
) -> None:
    resolve_to(str(HOST))
    assert await ask(resolver, "evil.example") == [str(HOST)]
    assert network.rules is not None
    names = tuple(network.names[HOST])
    assert not network.rules.verdict(Attempt("tcp", "127.0.0.1", 5, names, 2, "sh"))


async def test_only_so_many_names_are_remembered(
    network: PrivateNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aionoah.net.private.network._MOST_NAMES", 3)
    for number in range(10):
        network.remember(f"{number}.example", canonical("192.0.2.200"))
    assert list(network.names[canonical("192.0.2.200")]) == ["7.example", "8.example", "9.example"]
    for number in range(10):
        network.remember("one.example", canonical(f"192.0.2.{number}"))
    assert len(network.names) == 3
    assert HOST in network.names


@given(
    st.binary(max_size=80)
    | st.binary(max_size=60).map(lambda rest: bytes([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]) + rest)
)
def test_any_bytes(query: bytes) -> None:
    """Never an exception, and never a name that is looked up against the rules."""
    network = PrivateNetwork(
        cast("Outside", type("Silent", (), {"decides": False})()), Rules(["192.0.2.1"], [])
    )
    network.rules = None
    resolver = Resolver(network, cast("Any", None))
    reply = asyncio.run(resolver.answer(query))
    if reply is not None:
        assert dns.message.from_wire(reply).rcode() in (
            dns.rcode.REFUSED,
            dns.rcode.NXDOMAIN,
            dns.rcode.NOERROR,
        )
