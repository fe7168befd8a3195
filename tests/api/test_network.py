"""Networks of the guests' own: who reaches whom, and how the application takes part."""

import asyncio
import contextlib
import errno
import logging
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import closing

import pytest
from harness.resources import resources, warmed_up

import aionoah
from aionoah import PIPE

CLIENT = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 20) as s:
        s.sendall(b"question\\n")
        print(s.makefile().read(), s.getpeername()[1], end="")
except OSError as error:
    print(type(error).__name__, error.errno, end="")
"""
SERVER = """
import socket, sys
listener = socket.create_server(("", int(sys.argv[1])))
print("ready", flush=True)
while True:
    s, peer = listener.accept()
    s.sendall(b"guest got " + s.recv(99))
    s.close()
"""
CROWD = """
import errno, select, socket, threading
listener = socket.create_server(("127.0.0.1", 0), backlog=1)
address = listener.getsockname()

def applicant():
    s = socket.socket()
    s.setblocking(False)
    return s, errno.errorcode[s.connect_ex(address)]

def late():
    with socket.create_connection(address) as s:
        s.sendall(b"late")

first = [socket.create_connection(address) for _ in range(2)]
s, result = applicant()
print(result, errno.errorcode[s.connect_ex(address)], select.select([], [s], [], 0)[1])
poll = select.epoll()
poll.register(s, select.EPOLLOUT)
waiting = threading.Thread(target=late)
waiting.start()
accepted = [listener.accept()[0] for _ in range(4)]
waiting.join()
print(bool(poll.poll()), s.connect_ex(address), errno.errorcode[s.connect_ex(address)])
print([each.recv(9) for each in select.select(accepted, [], [])[0]])
more = [socket.create_connection(address) for _ in range(2)]
applicant()[0].close()
s, result = applicant()
listener.close()
select.select([], [s], [])
print(errno.errorcode[s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)])
"""
PYTHON = "/usr/bin/python3"


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    before = await warmed_up()
    yield
    assert not resources().more_than(before)


async def ask(linux: aionoah.Linux, host: str, port: int) -> str:
    done = await linux.run([PYTHON, "-c", CLIENT, host, str(port)], capture_output=True, timeout=200)
    return done.stdout.decode() + done.stderr.decode()


async def serve(linux: aionoah.Linux, port: int) -> aionoah.Process:
    server = await linux.create_subprocess_exec(PYTHON, "-c", SERVER, str(port), stdout=PIPE)
    assert server.stdout is not None
    assert await server.stdout.readline() == b"ready\n"
    return server


async def answer(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(b"python got " + await reader.readline())
    writer.close()


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as found:
        return int(found.getsockname()[1])


async def test_the_application_and_guests_reach_a_guest_and_the_host_does_not() -> None:
    port = free_port()
    async with aionoah.Linux(network="loopback") as linux:
        await serve(linux, port)
        reader, writer = await linux.connect(port)
        writer.write(b"hello")
        assert await reader.read() == b"guest got hello"
        writer.close()
        assert await ask(linux, "127.0.0.1", port) == f"guest got question\n {port}"
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


async def test_nobody_listens() -> None:
    async with aionoah.Linux(network="loopback") as linux:
        with pytest.raises(ConnectionRefusedError, match="no guest listens on port 99"):
            await linux.connect(99)
    async with aionoah.Linux(network="none") as linux:
        with pytest.raises(ConnectionRefusedError, match="there is no network"):
            await linux.connect(99)


@pytest.mark.parametrize("network", ["loopback", "host"])
async def test_who_finds_no_room_at_a_server_waits(network: str) -> None:
    async with aionoah.Linux(network=network) as linux:
        done = await linux.run([PYTHON, "-c", CROWD], capture_output=True, timeout=200)
    assert done.stderr == b""
    assert done.stdout.splitlines() == [
        b"EINPROGRESS EALREADY []",
        b"True 0 EISCONN",
        b"[b'late']",
        b"ECONNREFUSED",
    ]


async def test_the_loopback_is_not_the_hosts() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as service:
        port = service.getsockname()[1]
        async with aionoah.Linux(network="loopback") as linux:
            assert await ask(linux, "127.0.0.1", port) == "ConnectionRefusedError 111"
            assert await ask(linux, "10.0.2.2", port) == "OSError 101"
        async with aionoah.Linux(network=aionoah.Network(allow=["*", "0.0.0.0/0"])) as linux:
            assert await ask(linux, "host.internal", port) == "OSError 101"


async def test_the_hosts_loopback_can_be_given() -> None:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    network = aionoah.Network(allow=[f"host.internal:{port}"])
    async with server, aionoah.Linux(network=network) as linux:
        assert await ask(linux, "host.internal", port) == f"python got question\n {port}"


async def test_a_name_that_python_answers() -> None:
    network = aionoah.Network()
    network.serve("api.internal", 443, answer)
    async with aionoah.Linux(network=network) as linux:
        network.serve("later.internal", 80, answer)
        assert await ask(linux, "api.internal", 443) == "python got question\n 443"
        assert await ask(linux, "later.internal", 80) == "python got question\n 80"
        assert await ask(linux, "api.internal", 80) == "OSError 101"
    with pytest.raises(ValueError, match=r"api\.internal:443 is served already"):
        network.serve("api.internal", 443, answer)


async def test_a_handler_that_fails_ends_its_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readline()
        raise RuntimeError("of the application")

    network = aionoah.Network()
    network.serve("api.internal", 443, fail)
    async with aionoah.Linux(network=network) as linux:
        assert await ask(linux, "api.internal", 443) == " 443"
    assert "a handler of the network failed" in caplog.text


async def test_the_application_decides(caplog: pytest.LogCaptureFixture) -> None:
    asked: list[aionoah.Attempt] = []
    denied: list[aionoah.Attempt] = []

    async def decide(attempt: aionoah.Attempt) -> bool:
        asked.append(attempt)
        await asyncio.sleep(0)
        return attempt.host == "127.0.0.1"

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    network = aionoah.Network(
        deny=["192.0.2.9"], decide=decide, on_denied=denied.append, hosts={"db": "192.0.2.7"}
    )
    with caplog.at_level(logging.WARNING, "aionoah.network"):
        async with server, aionoah.Linux(network=network) as linux:
            assert await ask(linux, "host.internal", port) == f"python got question\n {port}"
            assert await ask(linux, "db", 5432) == "OSError 101"
            assert await ask(linux, "192.0.2.9", 1) == "OSError 101"
    assert [(each.host, each.port) for each in asked] == [("127.0.0.1", port), ("192.0.2.7", 5432)]
    assert [each.host for each in denied] == ["192.0.2.7", "192.0.2.9"]
    assert denied[0].program.startswith("python3")
    assert "was not let through to tcp 192.0.2.7:5432" in caplog.text


async def test_a_decision_that_fails_is_a_refusal() -> None:
    async def decide(attempt: aionoah.Attempt) -> bool:
        raise RuntimeError("of the application")

    async with aionoah.Linux(network=aionoah.Network(decide=decide)) as linux:
        assert await ask(linux, "192.0.2.7", 1) == "OSError 101"


async def test_a_guest_that_waits_for_a_decision_can_be_killed() -> None:
    began = asyncio.Event()

    async def decide(attempt: aionoah.Attempt) -> bool:
        began.set()
        await asyncio.Event().wait()
        return True

    async with aionoah.Linux(network=aionoah.Network(decide=decide)) as linux:
        process = await linux.create_subprocess_exec(PYTHON, "-c", CLIENT, "192.0.2.7", "1")
        await began.wait()
        process.kill()
        assert await process.wait() == -9


async def test_a_published_port() -> None:
    port = free_port()
    async with aionoah.Linux(network=aionoah.Network(publish={port: 80})) as linux:
        await serve(linux, 80)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello")
        assert await reader.read() == b"guest got hello"
        writer.close()


UDP_SERVER = """
import socket
made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
made.bind(("", 53))
print("ready", flush=True)
while True:
    data, sender = made.recvfrom(1000)
    made.sendto(data.upper() + str(sender[1]).encode(), sender)
"""


async def test_a_published_port_outlives_a_want_of_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    port, failures = free_port(), [OSError(errno.EMFILE, "none left")]

    def require_free(made: socket.socket) -> None:
        if failures:
            made.close()
            raise failures.pop()

    monkeypatch.setattr("aionoah.network._ACCEPT_PAUSE", 0)
    async with aionoah.Linux(network=aionoah.Network(publish={port: 80})) as linux:
        await serve(linux, 80)
        monkeypatch.setattr("aionoah.network.sockets.require_free", require_free)
        for expected in (b"", b"guest got hello"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello")
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == expected
            writer.close()
    assert not failures


async def test_a_rule_by_a_name_that_the_application_gives() -> None:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    network = aionoah.Network(allow=[f"db.example:{port}"], hosts={"db.example": "10.0.2.2"})
    async with server, aionoah.Linux(network=network) as linux:
        assert await ask(linux, "db.example", port) == f"python got question\n {port}"


async def test_a_published_udp_port_knows_who_has_asked() -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    loop = asyncio.get_running_loop()
    async with aionoah.Linux(network=aionoah.Network(publish_udp={port: 53})) as linux:
        server = await linux.create_subprocess_exec(PYTHON, "-c", UDP_SERVER, stdout=PIPE)
        assert server.stdout is not None
        assert await server.stdout.readline() == b"ready\n"
        clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
        for number, client in enumerate(clients):
            client.setblocking(False)
            client.connect(("127.0.0.1", port))
            client.send(b"name %d " % number)
        for number, client in enumerate(clients):
            answer = await loop.sock_recv(client, 100)
            assert answer == b"NAME %d %d" % (number, client.getsockname()[1])
            client.close()


async def test_a_port_that_is_taken_cannot_be_published() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        network = aionoah.Network(publish={port: 80})
        with pytest.raises(OSError, match=f"port {port} of 127.0.0.1 cannot be published: Address already"):
            async with aionoah.Linux(network=network):
                pass
    async with aionoah.Linux(network=network):
        with pytest.raises(RuntimeError, match="serves one Linux at a time"):
            async with aionoah.Linux(network=network):
                pass


async def test_names_by_dns() -> None:
    code = "import socket; print([a[4][0] for a in socket.getaddrinfo(__import__('sys').argv[1], 1, type=1)])"
    network = aionoah.Network(allow=["localhost.example"])
    network.serve("api.internal", 1, answer)
    async with aionoah.Linux(network=network) as linux:
        done = await linux.run([PYTHON, "-c", code, "api.internal"], capture_output=True)
        assert done.stdout == b"['198.18.0.1']\n"
        done = await linux.run([PYTHON, "-c", code, "elsewhere.example"], capture_output=True)
        assert b"Name or service not known" in done.stderr


@pytest.mark.parametrize("hostname", [None, "wonderland"])
async def test_guests_find_their_own_machine_by_its_name(hostname: str | None) -> None:
    async with aionoah.Linux(network="loopback", hostname=hostname) as linux:
        name = (await linux.run(["hostname"], capture_output=True)).stdout.decode().strip()
        assert name == (hostname or name)
        await serve(linux, 80)
        assert await ask(linux, name, 80) == "guest got question\n 80"
