"""Ways around a network policy that guests might try: a server of the host hears of none of them."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

import aionoah

PYTHON = "/usr/bin/python3"
ATTEMPTS = """
import ctypes, socket, struct, sys, time
port, allowed = map(int, sys.argv[1:])
libc = ctypes.CDLL(None)
MSG_FASTOPEN = 0x20000000
FORMS = [("127.0.0.1", 2), ("0.0.0.0", 2), ("127.9.9.9", 2), ("::1", 10), ("::", 10), ("::ffff:127.0.0.1", 10),
         ("::127.0.0.1", 10), ("::ffff:0.0.0.0", 10), ("10.0.2.2", 2), ("::ffff:10.0.2.2", 10)]

def sockaddr(host, family, port, scope=0):
    packed = socket.inet_pton(family, host)
    if family == 2:
        return struct.pack("<H", 2) + struct.pack(">H", port) + packed + bytes(8)
    return struct.pack("<H", 10) + struct.pack(">HI", port, 0) + packed + struct.pack("<I", scope)

def connect(s, address):
    return libc.connect(s.fileno(), address, len(address))

def disconnect(s):
    return connect(s, bytes(16))

def send(s, flags, address):
    return libc.sendto(s.fileno(), b"hello", 5, flags, address, len(address))

def plain(s, target):
    connect(s, target)

def twice(s, target):
    connect(s, target)
    connect(s, target)

def by_sending(s, target):
    send(s, MSG_FASTOPEN, target)
    send(s, MSG_FASTOPEN, target)

def by_sending_without_haste(s, target):
    s.settimeout(5)
    send(s, MSG_FASTOPEN, target)

def after_another(s, target):
    s.setblocking(False)
    connect(s, sockaddr("10.0.2.2", 2, allowed) if s.family == 2 else sockaddr("::ffff:10.0.2.2", 10, allowed))
    disconnect(s)
    connect(s, target)

def while_another_goes_on(s, target):
    s.setblocking(False)
    connect(s, sockaddr("10.0.2.2", 2, allowed) if s.family == 2 else sockaddr("::ffff:10.0.2.2", 10, allowed))
    connect(s, target)

for attempt in (plain, twice, by_sending, by_sending_without_haste, after_another, while_another_goes_on):
    for host, family in FORMS:
        for scope in (0, 1) if family == 10 else (0,):
            with socket.socket(family) as s:
                s.settimeout(0.2)
                attempt(s, sockaddr(host, family, port, scope))
                try:
                    s.send(b"hello")
                except OSError:
                    pass
            with socket.socket(family, socket.SOCK_DGRAM) as s:
                s.setblocking(False)
                target = sockaddr(host, family, port, scope)
                attempt(s, target)
                send(s, 0, target)
print("done")
"""


@pytest.fixture
def services() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A TCP and a UDP server of the host on one port, of both families."""
    with ExitStack() as opened:
        while True:
            stream = opened.enter_context(socket.socket(socket.AF_INET6))
            stream.bind(("::", 0))
            datagram = opened.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
            try:
                datagram.bind(("::", stream.getsockname()[1]))
            except OSError:  # somebody else has the port for UDP
                continue
            break
        stream.listen(100)
        stream.setblocking(False)
        datagram.setblocking(False)
        yield stream, datagram


async def attempt_all(network: aionoah.Network | str, port: int, allowed: int) -> None:
    async with aionoah.Linux(network=network) as linux:
        done = await linux.run(
            [PYTHON, "-c", ATTEMPTS, str(port), str(allowed)], capture_output=True, timeout=200
        )
        assert done.stdout == b"done\n", done.stderr.decode()


@pytest.mark.parametrize("kind", ["none", "loopback", "with a way out"])
async def test_the_hosts_loopback(kind: str, services: tuple[socket.socket, socket.socket]) -> None:
    stream, datagram = services
    with closing(socket.create_server(("127.0.0.1", 0))) as given:
        allowed = given.getsockname()[1]
        way_out = aionoah.Network(allow=[f"host.internal:{allowed}", "0.0.0.0/0", "[::/0]"])
        await attempt_all(way_out if kind == "with a way out" else kind, stream.getsockname()[1], allowed)
    with pytest.raises(BlockingIOError):
        stream.accept()
    with pytest.raises(BlockingIOError):
        datagram.recv(1)
