"""The X server of the host for guests: its socket, and the secret that opens it (X(7), xauth(1)).

Guests see the server as display :N, at /tmp/.X11-unix/XN, whatever the host's name for it: XQuartz has a path in
$DISPLAY. Their Xauthority file has this server's secret only, for any name of the machine.
"""

import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.stat import S
from aionoah.boot import give_file
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.net.unix.host import HostSocket
from aionoah.net.unix.x11_answers import XConnection

if TYPE_CHECKING:
    from aionoah.process.kernel import Kernel

_SOCKETS: Final = "/tmp/.X11-unix/X"  # noqa: S108 - the place that all X servers share
_AUTHORITY: Final = "/run/Xauthority"
_ANY_MACHINE: Final = 0xFFFF  # FamilyWild (X11/Xauth.h)


class Display(NamedTuple):
    """An X server of this machine."""

    number: int
    screen: str  # such as ".0", or nothing
    socket: str  # the host's path
    authority: str | None = None  # the host's Xauthority file

    @property
    def name(self) -> str:
        """$DISPLAY of guests."""
        return f":{self.number}{self.screen}"

    def environment(self) -> dict[str, str]:
        return {"DISPLAY": self.name, "XAUTHORITY": _AUTHORITY}

    def show(self, kernel: "Kernel") -> None:
        """Put socket and secret into the guests' tree. OSError with a sentence if there is no such server."""
        if not Path(self.socket).is_socket():
            raise FileNotFoundError(2, f"There is no X server at {self.socket}")
        place = f"{_SOCKETS}{self.number}".encode()
        _give_socket(kernel, place, HostSocket(os.fsencode(self.socket), XConnection))
        give_file(kernel, _AUTHORITY.encode(), self.secrets())

    def secrets(self) -> bytes:
        """The Xauthority file of guests."""
        if self.authority is None:
            return b""
        try:
            data = Path(self.authority).read_bytes()
        except OSError:
            return b""
        number = str(self.number).encode()
        return b"".join(
            _entry(_ANY_MACHINE, b"", number, name, secret)
            for _, its_number, name, secret in _entries(data)
            if its_number in (number, b"")
        )


def _give_socket(kernel: "Kernel", path: bytes, server: HostSocket) -> None:
    """A name in the tree at which guests reach a UNIX socket of the host."""
    filesystem = TmpFileSystem(mode=0o755)
    inode = filesystem.root.mknod(os.path.basename(path), S.IFSOCK | S.IRWXUGO, 0, 0, 0)  # noqa: PTH119 - bytes
    kernel.mounts.mount(filesystem, path, root=inode)
    kernel.network.host_sockets[filesystem, inode.attributes().ino] = server


def parse_display(name: str, environment: Mapping[str, str]) -> Display:
    """The server that $DISPLAY names: [PATH|unix]:NUMBER[.SCREEN]. ValueError for one of another machine."""
    host, colon, rest = name.rpartition(":")
    number, dot, screen = rest.partition(".")
    if not colon or not number.isdecimal() or not (screen.isdecimal() or not dot):
        raise ValueError(f"is {name!r}, which is no name of an X server; one is like ':0'")
    if host.startswith("/"):
        path = name if Path(name).is_socket() else f"{host}:{number}"
    elif host in ("", "unix"):
        path = f"{_SOCKETS}{number}"
    else:
        raise ValueError(
            f"is {name!r}, a server that is reached by the network, not by a socket of this machine"
        )
    authority = environment.get("XAUTHORITY") or str(Path(environment.get("HOME", "/")) / ".Xauthority")
    return Display(int(number), dot + screen, path, authority)


def _entries(data: bytes) -> Iterator[tuple[bytes, bytes, bytes, bytes]]:
    """Address, display number, name of the protocol and secret of each entry, until something makes no sense."""
    offset = 0
    while offset + 2 <= len(data):
        offset += 2  # the family
        fields = []
        for _ in range(4):
            if offset + 2 > len(data):
                return
            length = struct.unpack_from(">H", data, offset)[0]
            fields.append(data[offset + 2 : offset + 2 + length])
            offset += 2 + length
        if offset > len(data):
            return
        yield fields[0], fields[1], fields[2], fields[3]


def _entry(family: int, *fields: bytes) -> bytes:
    return struct.pack(">H", family) + b"".join(struct.pack(">H", len(field)) + field for field in fields)
