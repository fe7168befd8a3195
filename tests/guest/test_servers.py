"""Servers run as guests, and clients outside talk to them."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from harness.guest import DYNAMIC, need_backend, need_tool
from harness.ports import reserved_port

import aionoah
from aionoah import PIPE

pytestmark = [pytest.mark.guest, pytest.mark.asyncio(loop_factories=["uvloop"])]
NGINX = """
daemon off; worker_processes 2; user root; pid {here}/pid; error_log {here}/error.log notice;
events {{ worker_connections 64; }}
http {{
    access_log {here}/access.log; sendfile on; default_type text/plain;
    client_body_temp_path {here}/1; proxy_temp_path {here}/2; fastcgi_temp_path {here}/3;
    uwsgi_temp_path {here}/4; scgi_temp_path {here}/5;
    server {{ listen 127.0.0.1:{port}; root {here}/www; add_header X-Version {version}; }}
}}
"""


REDIS = ("redis-server", "--appendonly", "yes", "--dir", "/tmp")


@pytest.fixture
def port() -> Iterator[int]:
    with reserved_port() as reserved:
        yield reserved


async def connect(port: int, server: aionoah.Process) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to a server that is coming up."""
    while True:
        try:
            return await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            assert server.returncode is None
            await asyncio.sleep(0.02)


async def ask(port: int, server: aionoah.Process, request: bytes) -> bytes:
    """All that comes in answer."""
    reader, writer = await connect(port, server)
    writer.write(request)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


@pytest.fixture
async def redis() -> AsyncIterator[tuple[aionoah.Linux, aionoah.Process]]:
    need_backend(DYNAMIC)
    need_tool("redis-server")
    async with aionoah.Linux(network="loopback") as linux:
        server = await linux.create_subprocess_exec(*REDIS, stdout=PIPE)
        await until(server, b"Ready to accept")
        yield linux, server


async def until(server: aionoah.Process, words: bytes) -> None:
    assert server.stdout is not None
    while words not in (line := await server.stdout.readline()):
        assert line


async def test_redis_answers_saves_by_fork_and_tells_subscribers(
    redis: tuple[aionoah.Linux, aionoah.Process],
) -> None:
    linux, server = redis
    reader, writer = await linux.connect(6379)
    writer.write(b"SET name aionoah\r\nINCR count\r\nINCR count\r\nGET name\r\n")
    assert await reader.readuntil(b"aionoah\r\n") == b"+OK\r\n:1\r\n:2\r\n$7\r\naionoah\r\n"
    subscriber, subscribing = await linux.connect(6379)
    subscribing.write(b"SUBSCRIBE news\r\n")
    await subscriber.readuntil(b":1\r\n")
    writer.write(b"PUBLISH news hello\r\nBGSAVE\r\n")
    assert await subscriber.readuntil(b"hello\r\n") == b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n"
    await until(server, b"Background saving terminated with success")
    dumped = await linux.run(["head", "-c5", "/tmp/dump.rdb"], capture_output=True)
    assert dumped.stdout == b"REDIS"
    writer.close()
    subscribing.close()
    server.kill()
    await server.wait()
    again = await linux.create_subprocess_exec(*REDIS, stdout=PIPE)
    await until(again, b"Ready to accept")
    reader, writer = await linux.connect(6379)
    writer.write(b"GET count\r\n")
    assert await reader.readexactly(7) == b"$1\r\n2\r\n"
    writer.close()


async def test_nginx_has_workers_that_are_replaced_when_it_reloads(tmp_path: Path, port: int) -> None:
    need_backend(DYNAMIC)
    need_tool("nginx")
    content = os.urandom(1_000_000)
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "file").write_bytes(content)

    def configure(version: str) -> None:
        (tmp_path / "conf").write_text(NGINX.format(here=tmp_path, port=port, version=version))

    async def get() -> tuple[str, bytes]:
        answer = await ask(port, server, b"GET /file HTTP/1.0\r\n\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        found = re.search(rb"X-Version: (\w+)", head)
        assert found is not None, head
        return found[1].decode(), body

    configure("first")
    async with aionoah.Linux(mounts={str(tmp_path): tmp_path}) as linux:
        server = await linux.create_subprocess_exec("nginx", "-c", str(tmp_path / "conf"), user=0)
        answers = await asyncio.gather(*(get() for _ in range(8)))
        assert answers == [("first", content)] * 8
        while len(workers := {each.pid for each in linux.processes()} - {server.pid}) < 2:
            assert server.returncode is None
            await asyncio.sleep(0.02)
        assert len(workers) == 2
        configure("second")
        server.send_signal(1)
        while (await get())[0] != "second" or workers & {each.pid for each in linux.processes()}:
            assert server.returncode is None
            await asyncio.sleep(0.02)
        server.send_signal(3)
        assert await server.wait() == 0
    assert (tmp_path / "access.log").read_text().count('"GET /file HTTP/1.0" 200 1000000') >= 9
    assert "exited with code 0" in (tmp_path / "error.log").read_text()


async def test_socat_forks_for_each_connection(port: int) -> None:
    need_backend(DYNAMIC)
    need_tool("socat")
    async with aionoah.Linux() as linux:
        patient = ("-t", "1000")  # for the answer, once the question has ended
        address = f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork"
        server = await linux.create_subprocess_exec("socat", *patient, address, "EXEC:tr a-z A-Z")
        answers = await asyncio.gather(*(ask(port, server, b"hello %d" % each) for each in range(6)))
        assert answers == [b"HELLO %d" % each for each in range(6)]
        done = await linux.run(["ss", "-Htlnp"], capture_output=True)
        assert re.search(rf'LISTEN .*127\.0\.0\.1:{port} .*"socat",pid={server.pid}', done.stdout.decode())
        assert not done.stderr


async def test_the_example_of_a_web_application_with_a_redis_of_its_own(port: int) -> None:
    need_backend(DYNAMIC)
    need_tool("redis-server")
    example = Path(__file__).parent.parent.parent / "examples" / "redis_behind_aiohttp.py"
    process = await asyncio.create_subprocess_exec(sys.executable, example, str(port))
    try:
        for count in (b"1\n", b"2\n"):
            while True:
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    break
                except OSError:
                    assert process.returncode is None
                    await asyncio.sleep(0.05)
            writer.write(b"GET /hits/front HTTP/1.0\r\n\r\n")
            assert (await reader.read()).endswith(b"\r\n\r\n" + count)
            writer.close()
        process.terminate()
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
