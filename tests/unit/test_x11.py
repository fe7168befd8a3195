"""Names of X servers, their secrets, and streams that go to a server of the host."""

import socket
import struct
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from fakes.sockets import data, flood, send

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.poll import Poll
from aionoah.abi.socket import AF, MSG, SHUT, SOCK
from aionoah.abi.stat import S
from aionoah.fs.context import FsContext
from aionoah.fs.mount_namespace import MountNamespace
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.net.network import Network
from aionoah.net.unix.creation import new_unix_socket
from aionoah.net.unix.host import HostSocket
from aionoah.net.unix.x11_answers import XConnection
from aionoah.process.credentials import Credentials
from aionoah.x11 import parse_display


def entry(family: int, *fields: bytes) -> bytes:
    return struct.pack(">H", family) + b"".join(struct.pack(">H", len(field)) + field for field in fields)


@pytest.mark.parametrize(
    ("name", "shown", "path"),
    [
        (":0", ":0", "/tmp/.X11-unix/X0"),
        ("unix:12.1", ":12.1", "/tmp/.X11-unix/X12"),
        ("/private/tmp/launch/org.xquartz:0", ":0", "/private/tmp/launch/org.xquartz:0"),
    ],
)
def test_names_of_servers(name: str, shown: str, path: str) -> None:
    display = parse_display(name, {"HOME": "/home/me"})
    assert (display.name, display.socket, display.authority) == (shown, path, "/home/me/.Xauthority")
    assert display.environment()["DISPLAY"] == shown


@pytest.mark.parametrize("name", ["", ":", ":x", ":1.", "far:0", "localhost:10.0", "0"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is "):
        parse_display(name, {})


def test_only_the_secret_of_this_server_is_shown_for_any_machine(tmp_path: Path) -> None:
    file = tmp_path / "authority"
    mine = (b"MIT-MAGIC-COOKIE-1", b"secret")
    file.write_bytes(entry(256, b"host", b"3", *mine) + entry(256, b"host", b"4", b"x", b"other") + b"\x01")
    display = parse_display(":3", {"XAUTHORITY": str(file)})
    assert display.secrets() == entry(0xFFFF, b"", b"3", *mine)
    file.unlink()
    assert display.secrets() == b""


# -- streams to a server of the host ------------------------------------------------------------------------


@pytest.fixture
def fs() -> FsContext:
    return FsContext(MountNamespace.of(TmpFileSystem(mode=0o777)).root, Credentials())


def network_with(fs: FsContext, server: HostSocket) -> Network:
    network, root = Network(), fs.cwd.inode
    made = root.mknod(b"server", S.IFSOCK | 0o777, 0, 0, 0)
    network.host_sockets[made.filesystem, made.attributes().ino] = server
    return network


async def refused(errno: Errno, call: Coroutine[Any, Any, None]) -> None:
    with pytest.raises(LinuxError) as caught:
        await call
    assert caught.value.errno is errno


def address(name: bytes) -> bytes:
    return AF.UNIX.to_bytes(2, "little") + name + b"\0"


async def test_a_stream_to_the_host(fs: FsContext, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        server = HostSocket(bytes(tmp_path / "s"), XConnection)
        client = new_unix_socket(network_with(fs, server), SOCK.STREAM, 0, 0)
        await client.connect(address(b"/server"), fs)
        peer, _ = listener.accept()
    assert client.peer_name() == address(b"/server")
    assert client.poll() & Poll.OUT
    await refused(Errno.EISCONN, client.connect(address(b"/server"), fs))
    assert data(client) is None
    setup = b"l\0" + bytes(10)
    assert send(client, setup) == 12
    query = struct.pack("<BxHHxx", 98, 4, 7) + b"MIT-SHM\0"
    assert send(client, query) == len(query)
    assert peer.recv(100) == setup + query.replace(b"MIT-SHM", b"MIT-SH!")
    peer.sendall(b"welcome\0")
    assert client.poll() & Poll.IN
    assert client.available() == 8
    assert data(client, 3, MSG.PEEK) == b"wel"
    assert data(client, 3) == b"wel"
    assert client.poll() & Poll.IN
    assert client.available() == 5
    assert data(client) == b"come\0"
    assert data(client) is None
    with pytest.raises(LinuxError) as caught:
        send(client, b"x", client)
    assert caught.value.errno is Errno.EOPNOTSUPP
    assert flood(client, bytes(4096))
    client.shutdown(SHUT.WR)
    peer.close()
    assert client.poll() & Poll.HUP
    client.drop()


async def test_a_server_that_is_gone(fs: FsContext, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
    network = network_with(fs, HostSocket(bytes(tmp_path / "s")))
    client = new_unix_socket(network, SOCK.STREAM, 0, 0)
    await refused(Errno.ECONNREFUSED, client.connect(address(b"/server"), fs))
    other = new_unix_socket(network, SOCK.DGRAM, 0, 0)
    await refused(Errno.ECONNREFUSED, other.connect(address(b"/server"), fs))


async def test_other_sockets_of_the_host_are_not_reached(fs: FsContext) -> None:
    fs.cwd.inode.mknod(b"server", S.IFSOCK | 0o777, 0, 0, 0)
    client = new_unix_socket(Network(), SOCK.STREAM, 0, 0)
    await refused(Errno.ECONNREFUSED, client.connect(address(b"/server"), fs))
