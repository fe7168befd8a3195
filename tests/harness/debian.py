"""A mirror of Debian packages on loopback, signed with a key of its own, which can be made to misbehave; and packages for it."""

import gzip
import hashlib
import io
import lzma
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pysequoia
from harness.http_server import Handler, serving_http

Change = Callable[[tarfile.TarInfo], None]
File = bytes | Change


def data_archive(files: dict[str, File]) -> bytes:
    """Files of bytes, executable ones in bin directories; other members as functions that change a TarInfo."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, what in files.items():
            member = tarfile.TarInfo(name)
            member.mode = 0o755 if "bin/" in name else 0o644
            if isinstance(what, bytes):
                member.size = len(what)
            else:
                what(member)
            archive.addfile(member, io.BytesIO(what if isinstance(what, bytes) else b""))
    return packed.getvalue()


def _quickly(data: bytes) -> bytes:
    return lzma.compress(data, preset=0)


def directory(member: tarfile.TarInfo) -> None:
    member.type, member.mode = tarfile.DIRTYPE, 0o755


def link_to(target: str, kind: bytes = tarfile.SYMTYPE) -> Change:
    def change(member: tarfile.TarInfo) -> None:
        member.type, member.linkname = kind, target

    return change


def deb(files: dict[str, File], kind: str = ".xz", pack: Callable[[bytes], bytes] = _quickly) -> bytes:
    """An archive in the form of binary packages. Its control files are empty: only dpkg reads them."""
    members = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": gzip.compress(data_archive({})),
        f"data.tar{kind}": pack(data_archive(files)),
    }
    packed = b"!<arch>\n"
    for name, data in members.items():
        packed += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
        packed += data + b"\n" * (len(data) % 2)
    return packed


class Built(NamedTuple):
    fields: dict[str, str]
    data: bytes


class FakeMirror:
    """What is served, by path. `hook` may answer a request in its own way, and says whether it has."""

    def __init__(self) -> None:
        self.address = ""
        self.key = pysequoia.Tsk.generate("a test <test@example.org>")
        self.packages: list[Built] = []
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.hook: Callable[[_Handler], bool] = lambda _: False

    def add(self, name: str, data: bytes = b"", version: str = "1", **fields: str) -> None:
        said = {"Package": name, "Version": version, "Architecture": "all", **fields}
        self.packages.append(Built({key.replace("_", "-"): text for key, text in said.items()}, data))

    def publish(self, **fields: str) -> None:
        """Write the lists of what there is, and sign them."""
        paragraphs = []
        for package in self.packages:
            path = f"pool/{package.fields['Package']}_{package.fields['Version']}.deb"
            self.files[path] = package.data
            digest = hashlib.sha256(package.data).hexdigest()
            more = {"Filename": path, "Size": str(len(package.data)), "SHA256": digest}
            paragraphs.append("".join(f"{key}: {text}\n" for key, text in (package.fields | more).items()))
        index = lzma.compress("\n".join(paragraphs).encode())
        name = "main/binary-amd64/Packages.xz"
        self.files[f"dists/test/{name}"] = index
        said = {"Suite": "test", "Codename": "test", "Components": "main", **fields}
        text = "".join(f"{key.replace('_', '-')}: {value}\n" for key, value in said.items())
        text += f"SHA256:\n {hashlib.sha256(index).hexdigest()} {len(index)} {name}\n"
        self.files["dists/test/InRelease"] = self.signed(text.encode())

    def signed(self, text: bytes) -> bytes:
        return bytes(pysequoia.sign(self.key.signer(), text, mode=pysequoia.SignatureMode.CLEAR))

    def write_keyring(self, path: Path) -> Path:
        path.write_bytes(bytes(self.key.extract_certificate()))
        return path


class _Handler(Handler):
    mirror: FakeMirror

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        mirror, path, wanted = self.mirror, self.path.removeprefix("/"), self.headers.get("Range", "")
        mirror.requests.append((path, wanted))
        if mirror.hook(self):
            return
        data = mirror.files.get(path)
        if data is None:
            self.reply(404)
        elif wanted:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            self.reply(206, data[start:], Content_Range=f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.reply(200, data)


@contextmanager
def serving() -> Iterator[FakeMirror]:
    mirror = FakeMirror()
    handler = type("Handler", (_Handler,), {"mirror": mirror})
    with serving_http(handler) as address:
        mirror.address = f"http://{address}"
        yield mirror
