"""The servers of bench.soak: how each is started, and one question of a client on the host."""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

_HERE: Final = Path(__file__).parent
_NGINX: Final = """
daemon off; worker_processes 2; user root; pid {0}/pid; error_log {0}/error.log notice;
events {{ worker_connections 64; }}
http {{
    access_log {0}/access.log; sendfile on;
    client_body_temp_path {0}/1; proxy_temp_path {0}/2; fastcgi_temp_path {0}/3;
    uwsgi_temp_path {0}/4; scgi_temp_path {0}/5;
    server {{ listen 127.0.0.1:{1}; root {0}/www; }}
}}
"""
_SSHD: Final = """
Port {1}
ListenAddress 127.0.0.1
HostKey {0}/host_key
AuthorizedKeysFile {0}/key.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
"""
_GO: Final = """
package main

import ("fmt"; "net/http"; "os")

func main() {
	http.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, r.RemoteAddr) })
	panic(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
"""
# Listens at a path, and is its own client: one connection after the other, each with some bytes and an end.
_UNIX: Final = """
import os, socket, sys, threading, time
path = sys.argv[1] + "/socket"
server = socket.socket(socket.AF_UNIX); server.bind(path); server.listen()

def answer(made):
    with made:
        while data := made.recv(4096):
            made.sendall(data)

def serve():
    while True:
        threading.Thread(target=answer, args=server.accept()[:1]).start()

threading.Thread(target=serve, daemon=True).start()
outside = socket.create_server(("127.0.0.1", int(sys.argv[2])))
while True:
    asked, _ = outside.accept()
    with asked, socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        for _ in range(8):
            client.sendall(b"hello"); client.recv(100)
        first, second = socket.socketpair()
        socket.send_fds(client, [b"x"], [first.fileno()]); client.recv(1); first.close(); second.close()
        asked.sendall(b"done")
"""


class Server(NamedTuple):
    """`command` and `ask` are given the server's own directory, the same inside and outside, and its port."""

    name: str
    prepare: Callable[[Path, int], None]
    command: Callable[[Path, int], Sequence[str]]
    ask: Callable[[Path, int], Awaitable[None]]
    user: str = "root"
    pause: float = 0.2  # seconds between two questions


def _nothing(_directory: Path, _port: int) -> None:
    pass


def _file(directory: Path, _port: int) -> None:
    (directory / "www").mkdir()
    (directory / "www" / "file").write_bytes(bytes(4096))


def _nginx(directory: Path, port: int) -> None:
    _file(directory, port)
    (directory / "conf").write_text(_NGINX.format(directory, port))


def _sshd(directory: Path, port: int) -> None:
    (directory / "conf").write_text(_SSHD.format(directory, port))
    for name in ("host_key", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / name], check=True)


def _postgres(directory: Path, _port: int) -> None:
    data = directory / "data"
    subprocess.run(["chown", "postgres", directory], check=True)
    tool = next(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    subprocess.run(
        [*as_postgres, tool, "-A", "trust", "-D", data], check=True, stdout=subprocess.DEVNULL, cwd="/"
    )


def _postgres_command(directory: Path, port: int) -> Sequence[str]:
    tool = next(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return (str(tool), "-D", f"{directory}/data", "-p", str(port), "-h", "127.0.0.1", "-k", str(directory))


def _go(directory: Path, _port: int) -> None:
    (directory / "main.go").write_text(_GO)
    subprocess.run(["go", "build", "-o", directory / "server", directory / "main.go"], check=True)


def _unix(directory: Path, _port: int) -> None:
    (directory / "echo.py").write_text(_UNIX)


async def _http(_directory: Path, port: int) -> None:
    answer = await _exchange(port, b"GET /file HTTP/1.0\r\n\r\n")
    if b"200 OK" not in answer:
        raise RuntimeError(f"the answer is {answer[:200]!r}")


async def _redis(_directory: Path, port: int) -> None:
    await _exchange(port, b"INCR count\r\nLPUSH list 1\r\nLTRIM list 0 9\r\nPING\r\nQUIT\r\n", b"+PONG")


async def _memcached(_directory: Path, port: int) -> None:
    await _exchange(port, b"set name 0 0 3\r\nabc\r\nget name\r\nquit\r\n", b"VALUE name")


async def _echo(_directory: Path, port: int) -> None:
    await _exchange(port, b"", b"done")


async def _psql(_directory: Path, port: int) -> None:
    statements = (
        "create temporary table a as select generate_series(1, 1000) as n; select 'sum', sum(n) from a"
    )
    command = ("psql", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-Atc", statements, "postgres")
    await _command(command, b"500500")


async def _ssh(directory: Path, port: int) -> None:
    options = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR")
    command = (
        "ssh",
        *options,
        "-i",
        f"{directory}/key",
        "-p",
        str(port),
        "root@127.0.0.1",
        "echo $((6 * 7))",
    )
    await _command(command, b"42")


async def _exchange(port: int, request: bytes, wanted: bytes = b"") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        answer = await reader.read()
        if wanted not in answer:
            raise RuntimeError(f"the answer is {answer[:200]!r}")
        return answer
    finally:
        writer.close()


async def _command(command: Sequence[str], wanted: bytes) -> None:
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        answer, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if wanted not in answer:
        raise RuntimeError(f"the answer is {answer[:200]!r}")


_LIST: Final = (
    Server("nginx", _nginx, lambda d, _: ("/usr/sbin/nginx", "-c", f"{d}/conf", "-e", "stderr"), _http),
    Server(
        "redis",
        _nothing,
        lambda d, p: ("redis-server", "--port", str(p), "--appendonly", "yes", "--dir", str(d)),
        _redis,
    ),
    Server("postgres", _postgres, _postgres_command, _psql, user="postgres", pause=3),
    Server(
        "memcached",
        _nothing,
        lambda _, p: ("memcached", "-u", "root", "-l", "127.0.0.1", "-p", str(p)),
        _memcached,
    ),
    Server(
        "sshd",
        _sshd,
        lambda d, _: ("sh", "-c", f"mkdir -p /run/sshd; exec /usr/sbin/sshd -D -e -f {d}/conf"),
        _ssh,
        pause=5,
    ),
    Server(
        "python",
        _file,
        lambda d, p: ("python3", "-m", "http.server", "-b", "127.0.0.1", "-d", f"{d}/www", str(p)),
        _http,
    ),
    Server("go", _go, lambda d, p: (f"{d}/server", str(p)), _http),
    Server("unix", _unix, lambda d, p: ("python3", f"{d}/echo.py", str(d), str(p)), _echo),
)
SERVERS: Final = {server.name: server for server in _LIST}
