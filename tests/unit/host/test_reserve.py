"""Guests cannot take the last descriptors of the host process."""

import errno
import os
import resource
import socket
from collections.abc import Callable, Iterator, Sequence

import pytest

from aionoah.abi.socket import AF, SOCK
from aionoah.host import reserve, sockets

ROOM = 100  # descriptors that are free, more than are kept


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + ROOM, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def new_client() -> list[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(b"")
        listener.listen(1)
        return [sockets.new_client(listener.getsockname())]


@pytest.mark.usefixtures("few_descriptors")
@pytest.mark.parametrize(
    "make", [lambda: [sockets.new_socket(AF.INET, SOCK.STREAM, 0)], sockets.new_pair, new_client]
)
def test_sockets_end_before_descriptors_do(make: Callable[[], Sequence[socket.socket]]) -> None:
    made: list[socket.socket] = []
    with pytest.raises(OSError, match="Too many open files in system") as caught:
        made.extend(each for _ in range(ROOM) for each in make())
    assert caught.value.errno == errno.ENFILE
    assert 0 < len(made) < ROOM
    free = [os.dup(0) for _ in range(50)]  # for us
    for fd in free:
        os.close(fd)
    for each in made:
        each.close()


@pytest.mark.usefixtures("few_descriptors")
def test_a_connection_waits_until_there_is_a_descriptor_for_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        client.connect(listener.getsockname())
        taken: list[int] = []
        with pytest.raises(OSError, match="Too many"):
            taken.extend(reserve.require_more(os.dup(0)) for _ in range(ROOM))
        with pytest.raises(OSError, match="Too many"):
            sockets.accept(listener)
        for fd in taken:
            os.close(fd)
        accepted, address = sockets.accept(listener)
        assert address == client.getsockname()
        assert not accepted.getblocking()
        accepted.close()
