"""/proc/net: sockets of guests, and whose interfaces there are."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aionoah.abi.socket import AF, SOCK
from aionoah.fs.context import FsContext
from aionoah.host import facts
from aionoah.net.creation import new_socket
from aionoah.net.policy import NoNetwork
from aionoah.process.task import Task

if TYPE_CHECKING:
    from conftest import Linux

HOST = Path("/proc/net")
LOOPBACK = AF.INET.to_bytes(2, "little") + bytes(2) + bytes([127, 0, 0, 1]) + bytes(8)
LOOPBACK6 = AF.INET6.to_bytes(2, "little") + bytes(2) + bytes(4) + bytes(15) + b"\1" + bytes(4)


@pytest.fixture
def opened(linux: "Linux", task: Task) -> Any:
    """Make a socket of the task's."""

    def make(family: int, kind: int, address: bytes) -> Any:
        made = new_socket(linux.kernel.network, task.credentials, family, kind, 0, 0)
        made.bind(address, FsContext(linux.kernel.mounts.root, task.credentials))
        task.files.add(made, cloexec=False)
        return made

    return make


def rows(linux: "Linux", name: str) -> list[list[bytes]]:
    """The lines below the heading, which is the host's."""
    text = linux.read(b"/proc/net/" + name.encode())
    heading = (HOST / name).read_bytes().splitlines()[0]
    assert text.splitlines()[0].split() == heading.split()
    return [line.split() for line in text.splitlines()[1:]]


@pytest.mark.parametrize(
    ("name", "family", "kind", "address", "shown"),
    [
        ("tcp", AF.INET, SOCK.STREAM, LOOPBACK, b"0100007F"),
        ("udp", AF.INET, SOCK.DGRAM, LOOPBACK, b"0100007F"),
        ("tcp6", AF.INET6, SOCK.STREAM, LOOPBACK6, b"00000000000000000000000001000000"),
    ],
)
def test_internet_sockets(
    linux: "Linux", opened: Any, name: str, family: int, kind: int, address: bytes, shown: bytes
) -> None:
    assert rows(linux, name) == []
    socket = opened(family, kind, address)
    port = int.from_bytes(socket.name()[2:4], "big")
    (row,) = rows(linux, name)
    assert row[1] == shown + b":%04X" % port
    assert row[3] == b"07"
    assert int(row[9]) == socket.inode.attributes().ino
    if kind == SOCK.STREAM:
        socket.listen(1)
        assert rows(linux, name)[0][3] == b"0A"


def test_unix_sockets(linux: "Linux", opened: Any) -> None:
    socket = opened(AF.UNIX, SOCK.STREAM, AF.UNIX.to_bytes(2, "little") + b"\0name")
    (row,) = rows(linux, "unix")
    assert row[4:] == [b"0001", b"01", b"%d" % socket.inode.attributes().ino, b"@name"]


def test_the_hosts_interfaces(linux: "Linux", task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "network_text", lambda name: b"of the host: %s\n" % name.encode())
    assert linux.read(b"/proc/net/dev") == b"of the host: dev\n"


def test_no_network(linux: "Linux", task: Task) -> None:
    linux.kernel.network.policy = NoNetwork()
    devices = linux.read(b"/proc/net/dev").splitlines()
    assert devices[:2] == (HOST / "dev").read_bytes().splitlines()[:2]
    assert [line.split()[0] for line in devices[2:]] == [b"lo:"]
    assert linux.read(b"/proc/net/if_inet6") == b""
    for name in ("route", "arp", "igmp"):
        assert rows(linux, name) == []
    assert linux.read(b"/proc/net/igmp6") == (
        b"1    lo              ff020000000000000000000000000001     1 0000000C 0\n"
        b"1    lo              ff010000000000000000000000000001     1 00000008 0\n"
    )


def test_sums(linux: "Linux", opened: Any) -> None:
    opened(AF.INET, SOCK.STREAM, LOOPBACK)
    text = linux.read(b"/proc/net/sockstat")
    assert text.startswith(b"sockets: used 1\nTCP: inuse 1 ")
    assert b"TCP6: inuse 0\n" in linux.read(b"/proc/net/sockstat6")
    for name in ("protocols", "netlink", "packet", "raw"):
        rows(linux, name)
