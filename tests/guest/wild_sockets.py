"""Asks a kernel wild things about sockets, and writes a line of JSON for each: what was asked, and the answer.

A program of the standard library alone, run natively and in a guest: `wild_sockets.py SEED COUNT`. Its calls go
past the C library, which would refuse some of them itself.
"""

import ctypes
import errno
import json
import random
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any

NUMBERS = {
    "socket": 41,
    "connect": 42,
    "sendto": 44,
    "recvfrom": 45,
    "sendmsg": 46,
    "recvmsg": 47,
    "shutdown": 48,
    "bind": 49,
    "listen": 50,
    "getsockname": 51,
    "getpeername": 52,
    "socketpair": 53,
    "setsockopt": 54,
    "getsockopt": 55,
    "accept4": 288,
    "ioctl": 16,
    "close": 3,
}
ROOM = ctypes.create_string_buffer(1 << 17)
HERE = ctypes.addressof(ROOM)
WILD = (0, 8, 0x7FFF_FFFF_E000, -0x8000_0000_0000, 0x7FFF_FFFF_FFFF_FFFF)
DONTWAIT, NOSIGNAL = 0x40, 0x4000
KINDS = [
    *((socket.AF_UNIX, kind, state) for kind in (1, 2, 5) for state in ("new", "pair")),
    *((socket.AF_UNIX, kind, "listening") for kind in (1, 5)),
    *((family, kind, state) for family in (2, 10) for kind in (1, 2) for state in ("new", "bound", "pair")),
    *((family, 1, "listening") for family in (2, 10)),
    *((16, kind, state) for kind in (2, 3) for state in ("new", "bound")),
]
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def call(name: str, *arguments: int) -> int | str:
    """The result, or the name of the errno."""
    result: int = libc.syscall(*(ctypes.c_long(word) for word in (NUMBERS[name], *arguments)))
    return result if result >= 0 else errno.errorcode[ctypes.get_errno()]


def make(family: int, kind: int, state: str) -> list[socket.socket]:
    """A socket in some state, and what keeps it so."""
    here: Any = {1: "", 2: ("127.0.0.1", 0), 10: ("::1", 0), 16: (0, 0)}[family]
    if state == "pair" and family == socket.AF_UNIX:
        return list(socket.socketpair(family, kind))
    made = socket.socket(family, kind)
    if state == "new":
        return [made]
    made.bind(here)
    if state == "listening":
        made.listen(3)
    if state != "pair":
        return [made]
    other = socket.socket(family, kind)
    if kind == socket.SOCK_STREAM:
        made.listen(1)
        other.connect(made.getsockname())
        return [other, made.accept()[0], made]
    other.bind(here)
    other.connect(made.getsockname())
    made.connect(other.getsockname())
    return [made, other]


class Asker:
    """Chooses by a seed, so that two kernels are asked the same."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.pick = self.random.choice

    def pointer(self, place: int = HERE) -> int:
        return self.pick((place,) * 12 + WILD)

    def address(self) -> tuple[int, int]:
        """A sockaddr and a length, of which the sockaddr has been put into the room."""
        body = self.pick(
            [
                *(
                    b"",
                    bytes(14),
                    bytes(26),
                    b"x" * 107,
                    b"x" * 108,
                    b"/nonexistent/x\0",
                    b"/tmp\0",
                    b"\0abstract",
                ),
                *(struct.pack(">H4s8x", port, bytes([127, 0, 0, 1])) for port in (0, 1)),
                struct.pack(">HI16sI", 0, 0, bytes(15) + b"\1", 0),
            ]
        )
        data = struct.pack("<H", self.pick([0, 1, 2, 10, 16, 17, 40, 255, 65535])) + body
        ctypes.memset(HERE, 0, 256)
        ctypes.memmove(HERE, data, len(data))
        lengths = [
            *[len(data)] * 8,
            0,
            1,
            2,
            3,
            8,
            15,
            16,
            17,
            24,
            27,
            28,
            29,
            110,
            111,
            128,
            129,
            -1,
            1 << 20,
        ]
        return self.pointer(), self.pick(lengths)

    def cell(self, value: int) -> int:
        """The address of an int."""
        struct.pack_into("<i", ROOM, 512, value)
        return self.pointer(HERE + 512)

    def buffer(self) -> tuple[int, int]:
        """An address and a size; whether nothing at all may lie at a wild address depends on the kernel's age."""
        size = self.pick([0, 1, 10, 100])
        return (self.pointer(HERE + 1024) if size else HERE), size

    # -- calls ---------------------------------------------------------------------------------------------

    def names(self, fd: int) -> tuple[str, int | str]:
        what = self.pick(["bind", "connect", "listen", "accept4", "getsockname", "getpeername", "shutdown"])
        where, length = self.address()
        if what in {"bind", "connect"}:
            return what, call(what, fd, where, length)
        if what == "listen":
            return what, call(what, fd, self.pick([0, 1, -1, 1 << 30]))
        if what == "shutdown":
            return what, call(what, fd, self.pick([0, 1, 2, 3, -1, 100]))
        flags = [self.pick([0, 0o4000, 0o2000000, 1, -1])] if what == "accept4" else []
        return what, call(what, fd, where, self.cell(length), *flags)

    def sendto(self, fd: int) -> tuple[str, int | str]:
        flags = self.pick([0, 0, 1, 2, 4, 0x10, 0x20, 0x80, 0x100, 0x8000, 0x40000000])
        return "sendto", call("sendto", fd, *self.buffer(), flags | DONTWAIT | NOSIGNAL, *self.address())

    def recvfrom(self, fd: int) -> tuple[str, int | str]:
        where, length = self.address()
        flags = self.pick([0, 0, 1, 2, 0x10, 0x20, 0x100, 0x10000, 0x40000000]) | DONTWAIT
        return "recvfrom", call("recvfrom", fd, *self.buffer(), flags, where, self.cell(length))

    def control(self, fd: int) -> bytes:
        data = self.pick(
            [struct.pack("<i", fd), struct.pack("<ii", fd, 999), b"", bytes(3), bytes(12), bytes(20)]
        )
        length = self.pick([16 + len(data)] * 6 + [0, 15, 16, 17, -1, 1 << 40])
        head = struct.pack(
            "<qii", length, self.pick([1, 1, 1, 0, 17, 41, 99]), self.pick([0, 1, 1, 2, 3, 8, 50])
        )
        return head + data + bytes(-len(data) % 8)

    def message(self, fd: int) -> tuple[str, int | str]:
        what = self.pick(["sendmsg", "recvmsg"])
        name, name_length = self.pick([(0, 0), (0, 0), self.address()])
        control = b"".join(self.control(fd) for _ in range(self.pick([0, 0, 1, 2])))
        ctypes.memmove(HERE + 600, control, len(control))
        for at in range(3):
            struct.pack_into("<qq", ROOM, 320 + 16 * at, *self.buffer())
        count = self.pick([0, 1, 1, 1, 2, 3, 1025, -1])
        room = self.pick([len(control)] * 6 + [0, 1, 15, 1000, 1 << 20])
        parts = self.pointer(HERE + 320), count, HERE + 600 if room else 0, room
        struct.pack_into("<qiiqqqqii", ROOM, 256, name, name_length, 0, *parts, 0, 0)
        flags = self.pick([0, 0, 0, 1, 2, 0x20, 0x80, 0x100, 0x40000000]) | DONTWAIT | NOSIGNAL
        return what, call(what, fd, self.pointer(HERE + 256), flags)

    def option(self, fd: int) -> tuple[str, int | str]:
        what, level = (
            self.pick(["getsockopt", "setsockopt"]),
            self.pick([0, 1, 1, 1, 6, 17, 41, 270, 276, -1, 9999]),
        )
        number = self.pick([*range(80), -1, 1000])
        label = f"{what} {level} {number}"
        ctypes.memset(HERE, 0, 128)
        struct.pack_into("<i", ROOM, 0, self.pick([0, 1, -1, 1 << 20]))
        length = self.pick([4, 4, 4, 4, 0, 1, 3, 8, 16] + [-1] * (level == socket.SOL_SOCKET))
        if what == "setsockopt":
            return label, call(what, fd, level, number, self.pointer(), length)
        done = call(what, fd, level, number, self.pointer(), self.cell(length))
        return label, done

    def ioctl(self, fd: int) -> tuple[str, int | str]:
        request = self.pick([*range(0x5401, 0x5420), *range(0x5422, 0x5452), *range(0x8900, 0x89F2), 0, -1])
        ctypes.memset(HERE, 0, 256)
        return f"ioctl {request:#x}", call("ioctl", fd, request, self.pointer())

    def making(self, _fd: int) -> tuple[str, int | str]:
        family, kind = (
            self.pick([*range(17), -1, 255]),
            self.pick([0, 1, 2, 3, 5, 7, -1, 1 | 0o4000, 1 | 0x100]),
        )
        protocol = self.pick([0, 0, 1, 2, 6, 17, 58, 136, 255, 256, 263, -1])
        done = call("socket", family, kind, protocol)
        if isinstance(done, int):
            call("close", done)
        return f"socket {family} {kind} {protocol}", "made" if isinstance(done, int) else done


def main(seed: int, count: int) -> None:
    asker = Asker(seed)
    ways: list[Callable[[int], tuple[str, int | str]]] = [
        *(asker.names, asker.sendto, asker.recvfrom, asker.message, asker.message),
        *(asker.option, asker.option, asker.ioctl, asker.making),
    ]
    for _ in range(count):
        kind = asker.pick(KINDS)
        sockets = make(*kind)
        number = 1000  # the same in both
        sockets[0].setblocking(False)
        libc.dup2(sockets[0].fileno(), number)
        steps = [asker.pick(ways)(number) for _ in range(asker.pick([1, 1, 2, 3]))]
        sys.stdout.write(json.dumps([kind, steps]) + "\n")
        call("close", number)
        for each in sockets:
            each.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
