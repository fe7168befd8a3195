"""Socket calls, side by side with the host's kernel."""

import importlib
from collections.abc import Iterator
from struct import pack, unpack
from typing import Any

import pytest

from aionoah.abi.errno import Errno
from aionoah.abi.socket import AF, MSG, SCM, SO, SOCK, SOL, Cmsghdr, Mmsghdr, Msghdr
from aionoah.syscalls.results import Suspended

for _module in ("socket", "socket_connection", "socket_messages", "socket_options"):
    importlib.import_module(f"aionoah.syscalls.{_module}")

WILD = 8
KINDS = (SOCK.STREAM, SOCK.DGRAM, SOCK.SEQPACKET)


def pair(k: Any, kind: int = SOCK.STREAM, flags: int = 0) -> tuple[int, int]:
    fds = k.space(8)
    assert k.call("socketpair", AF.UNIX, kind | flags, 0, fds) == 0
    return unpack("<ii", k.get(fds, 8))


def vector(k: Any, *buffers: tuple[int, int]) -> int:
    return int(k.put(b"".join(pack("<QQ", *buffer) for buffer in buffers)))


def message(
    k: Any, *buffers: tuple[int, int], name: int = 0, namelen: int = 0, control: bytes | int = b""
) -> int:
    """A struct msghdr; `control` is what it says, or so much room."""
    length = control if isinstance(control, int) else len(control)
    space = k.space(length) if isinstance(control, int) else k.put(control)
    header = Msghdr(name, namelen, vector(k, *buffers), len(buffers), space if length else 0, length, 0)
    return int(k.put(header.pack()))


def rights(*fds: int) -> bytes:
    data = pack(f"<{len(fds)}i", *fds)
    return (Cmsghdr(Cmsghdr.SIZE + len(data), SOL.SOCKET, SCM.RIGHTS).pack() + data).ljust(24, b"\0")


def header_of(k: Any, address: int) -> tuple[int, int, int]:
    header = Msghdr.unpack(k.get(address, Msghdr.SIZE))
    return header.msg_namelen, header.msg_controllen, header.msg_flags


def test_making_sockets(same: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        for family in (0, AF.APPLETALK, AF.INET, 46, -1):
            for kind in (0, SOCK.RDM, 11, 15, SOCK.STREAM | 0x10, 1 << 20):
                yield family, kind, k.call("socket", family, kind, 0)
        yield k.call("socketpair", AF.UNIX, SOCK.STREAM, 0, WILD)
        yield k.call("socketpair", AF.UNIX, SOCK.STREAM, 9, k.space(8))
        yield k.call("socketpair", AF.INET, SOCK.STREAM, 0, k.space(8))

    same(script)


@pytest.mark.parametrize("kind", KINDS)
def test_sending_and_receiving(same: Any, kind: int) -> None:
    def script(k: Any) -> Iterator[Any]:
        one, other = pair(k, kind)
        room = k.space(64)
        for flags in (0, MSG.DONTWAIT, MSG.EOR, MSG.OOB | MSG.DONTWAIT)[: 3 if kind == SOCK.STREAM else 4]:
            yield k.call("sendto", one, k.put(b"hello"), 5, flags | MSG.NOSIGNAL, None, 0)
        for flags in (MSG.PEEK, MSG.TRUNC, 0, MSG.DONTWAIT):
            yield k.call("recvfrom", other, room, 3, flags | MSG.DONTWAIT, None, None), k.get(room, 8)
        length = k.put(pack("<i", 50))
        k.call("sendto", one, k.put(b"x"), 1, 0, None, 0)
        yield k.call("recvfrom", other, room, 64, MSG.DONTWAIT, k.space(64), length), k.get(length, 4)
        yield k.call("sendto", one, k.put(b"x"), 1, 0, k.space(4), -1)
        yield k.call("sendto", one, k.put(b"x"), 1, 0, k.space(200), 129)
        yield k.call("sendto", one, k.put(b"x"), 1, 0, WILD, 10)
        yield k.call("sendto", one, WILD, 1, 0, None, 0)
        yield k.call("sendto", 999, room, 1, 0, None, 0), k.call("recvfrom", 999, room, 1, 0, None, None)
        pipe = k.space(8)
        k.call("pipe2", pipe, 0)
        end = unpack("<i", k.get(pipe, 4))[0]
        yield k.call("sendto", end, room, 1, 0, None, 0), k.call("recvfrom", end, room, 1, 0, None, None)

    same(script)


@pytest.mark.parametrize("kind", KINDS)
def test_messages(same: Any, kind: int) -> None:
    def script(k: Any) -> Iterator[Any]:
        one, other = pair(k, kind)
        first, second = k.space(8), k.space(8)
        out = message(k, (k.put(b"abc"), 3), (WILD, 0), (k.put(b"defgh"), 5))
        yield k.call("sendmsg", one, out, 0)
        into = message(k, (first, 4), (second, 2), name=k.space(20), namelen=20, control=32)
        yield k.call("recvmsg", other, into, 0), k.get(first, 4), k.get(second, 2), header_of(k, into)
        for broken in (
            Msghdr(0, -1, vector(k, (first, 1)), 1, 0, 0, 0),
            Msghdr(0, 0, vector(k, (first, 1)), 1025, 0, 0, 0),
            Msghdr(0, 0, WILD, 1, 0, 0, 0),
        ):
            address = k.put(broken.pack())
            yield (
                k.call("sendmsg", one, address, MSG.DONTWAIT),
                k.call("recvmsg", other, address, MSG.DONTWAIT),
            )
        yield k.call("sendmsg", one, WILD, 0), k.call("recvmsg", other, WILD, 0)

    same(script)


@pytest.mark.parametrize("kind", KINDS)
def test_files(same: Any, kind: int) -> None:
    def script(k: Any) -> Iterator[Any]:
        one, other = pair(k, kind)
        room = k.space(8)
        for control in (
            rights(one, other),
            rights(999),
            rights()[:15],
            rights(*[one] * 254),
            bytes(16),
            bytes(3),
        ):
            yield k.call("sendmsg", one, message(k, (k.put(b"x"), 1), control=control), MSG.DONTWAIT)
        while (got := k.call("recvfrom", other, room, 8, MSG.DONTWAIT, None, None)) is not Errno.EAGAIN:
            yield got
        for size in (24, 20, 19, 16, 15, 0, 64):
            k.call("sendmsg", one, message(k, (k.put(b"x"), 1), control=rights(one, other)), 0)
            into = message(k, (room, 8), control=size)
            yield size, k.call("recvmsg", other, into, 0), header_of(k, into)

    same(script)


def test_files_are_descriptors_again(guest: Any) -> None:
    one, other = pair(guest, SOCK.SEQPACKET)
    near, far = pair(guest)
    guest.call("sendmsg", one, message(guest, (guest.put(b"x"), 1), control=rights(far)), 0)
    guest.call("close", far)
    into = message(guest, (guest.space(8), 8), control=24)
    assert guest.call("recvmsg", other, into, MSG.CMSG_CLOEXEC) == 1
    control = Msghdr.unpack(guest.get(into, Msghdr.SIZE)).msg_control
    (received,) = unpack("<i", guest.get(control + 16, 4))
    assert guest.call("fcntl", received, 1) == 1  # close-on-exec
    room = guest.space(8)
    guest.call("sendto", near, guest.put(b"through"), 7, 0, None, 0)
    assert guest.call("recvfrom", received, room, 8, 0, None, None) == 7


def test_several_messages(same: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        one, other = pair(k, SOCK.DGRAM)
        rooms = [k.space(8) for _ in range(3)]

        def headers(*buffers: tuple[int, int]) -> int:
            return int(
                k.put(
                    b"".join(
                        Mmsghdr(Msghdr(0, 0, vector(k, buffer), 1, 0, 0, 0), 0xFFFF).pack()
                        for buffer in buffers
                    )
                )
            )

        def lengths(address: int) -> list[int]:
            return [Mmsghdr.unpack(k.get(address + i * Mmsghdr.SIZE, Mmsghdr.SIZE)).msg_len for i in range(3)]

        out = headers((k.put(b"one"), 3), (k.put(b""), 0), (k.put(b"three"), 5))
        yield k.call("sendmmsg", one, out, 3, 0), lengths(out)
        into = headers(*((room, 8) for room in rooms))
        yield k.call("recvmmsg", other, into, 2, 0, None), lengths(into)
        zero = k.put(pack("<qq", 0, 0))
        yield k.call("recvmmsg", other, into, 3, MSG.WAITFORONE, None), [k.get(room, 8) for room in rooms]
        yield k.call("recvmmsg", other, into, 3, MSG.DONTWAIT, zero)
        yield k.call("recvmmsg", other, into, 3, 0, k.put(pack("<qq", 0, -1)))
        partly = headers((k.put(b"good"), 4), (WILD, 4), (k.put(b"never"), 5))
        yield k.call("sendmmsg", one, partly, 3, 0), k.call("sendmmsg", one, WILD, 1, 0)
        yield k.call("recvmmsg", other, into, 3, MSG.DONTWAIT, None), lengths(into)
        yield k.call("sendmmsg", one, out, 0, 0)

    same(script)


def test_connections(same: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        listener, client = (k.call("socket", AF.UNIX, SOCK.STREAM, 0) for _ in range(2))
        name, length = k.put(b"\1\0sock\0"), k.put(pack("<i", 4))
        yield k.call("listen", listener, 1), k.call("accept4", listener, None, None, 0)
        yield (
            k.call("bind", listener, name, 200),
            k.call("bind", listener, name, 1),
            k.call("bind", listener, WILD, 9),
        )
        yield k.call("bind", listener, name, 7), k.call("bind", listener, name, 7)
        yield k.call("listen", listener, 0), k.call("listen", listener, -1)
        peer = k.space(32)
        yield k.call("getsockname", listener, peer, length), k.get(peer, 8), k.get(length, 4)
        yield k.call("getpeername", listener, peer, length), k.call("getsockname", listener, WILD, length)
        yield (
            k.call("getsockname", listener, peer, WILD),
            k.call("getsockname", listener, peer, k.put(b"\xff" * 4)),
        )
        yield k.call("connect", client, name, 7), k.call("connect", client, name, 7)
        yield k.call("accept4", listener, None, None, 1), k.call("accept4", listener, WILD, length, 0)
        yield k.call("shutdown", client, 3), k.call("shutdown", client, 2), k.call("shutdown", 999, 2)
        yield k.call("connect", client, name, -1), k.call("connect", 999, name, 7)

    same(script)


def test_accepting_waits_for_somebody(guest: Any) -> None:
    listener, client = (guest.call("socket", AF.UNIX, SOCK.STREAM, 0) for _ in range(2))
    name = guest.put(b"\1\0\0abstract")
    guest.call("bind", listener, name, 11)
    guest.call("listen", listener, 5)
    accepting = guest.start("accept", listener, None, None)
    assert isinstance(accepting, Suspended)
    assert guest.call("connect", client, name, 11) == 0
    assert accepting.waiter.is_woken
    server = guest.resume(accepting)
    room = guest.space(8)
    guest.call("sendto", server, guest.put(b"hi"), 2, 0, None, 0)
    assert guest.call("recvfrom", client, room, 8, 0, None, None) == 2


def test_an_accept_that_is_interrupted_gives_its_number_back(guest: Any) -> None:
    listener = guest.call("socket", AF.UNIX, SOCK.STREAM, 0)
    guest.call("bind", listener, guest.put(b"\1\0\0x"), 4)
    guest.call("listen", listener, 5)
    accepting = guest.start("accept4", listener, None, None, 0)
    accepting.coroutine.close()
    assert guest.call("dup", listener) == listener + 1


def test_options(same: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        one, _ = pair(k)
        value, length = k.put(pack("<q", 77)), k.put(pack("<i", 4))
        for option in (SO.TYPE, SO.KEEPALIVE, SO.PASSCRED, SO.LINGER, 9999):
            yield option, k.call("setsockopt", one, SOL.SOCKET, option, value, 4)
            yield (
                k.call("getsockopt", one, SOL.SOCKET, option, value, length),
                k.get(value, 8),
                k.get(length, 4),
            )
        yield k.call("setsockopt", one, SOL.SOCKET, SO.KEEPALIVE, value, -1)
        yield k.call("setsockopt", one, SOL.SOCKET, SO.KEEPALIVE, WILD, 4)
        yield k.call("getsockopt", one, SOL.SOCKET, SO.TYPE, WILD, length)
        yield k.call("getsockopt", one, SOL.SOCKET, SO.TYPE, value, WILD)
        yield k.call("getsockopt", one, SOL.SOCKET, SO.TYPE, value, k.put(pack("<i", -1)))
        yield (
            k.call("getsockopt", one, SOL.TCP, 1, value, length),
            k.call("setsockopt", one, SOL.TCP, 1, value, 4),
        )
        yield k.call("getsockopt", 999, SOL.SOCKET, SO.TYPE, value, length)

    same(script)


def test_a_broken_pipe_is_a_signal_unless_refused(guest: Any) -> None:
    from aionoah.abi.signal import SIG, signal_bit

    one, other = pair(guest)
    guest.call("close", other)
    guest.task.signals.replace_mask(signal_bit(SIG.PIPE))
    pending = guest.task.signals.pending
    assert guest.call("sendto", one, guest.put(b"x"), 1, MSG.NOSIGNAL, None, 0) is Errno.EPIPE
    assert pending.take(signal_bit(SIG.PIPE)) is None
    assert guest.call("sendto", one, guest.put(b"x"), 1, 0, None, 0) is Errno.EPIPE
    assert pending.take(signal_bit(SIG.PIPE)) is not None
