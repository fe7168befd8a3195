"""The first stage: files of packages below one directory, which nothing in a package can lead out of.

Owners and modes that this user may not give are noted as those of images are (images/tree.py).
"""

import contextlib
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, Self, cast

from debian.arfile import ArError, ArFile, ArMember

from aionoah.bootstrap import BootstrapError
from aionoah.images import ImageError
from aionoah.images.archive import Entry
from aionoah.images.tree import Tree

_BROKEN: Final = (tarfile.TarError, lzma.LZMAError, ArError, EOFError, ValueError, OSError)
_PIECE: Final = 1 << 18  # bytes of a read
_DATA: Final = "data.tar"
_MERGED: Final = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "libo32")
"""Directories that are links into /usr; which of them there are depends on the architecture."""


class FirstStage:
    """A context manager. Methods raise BootstrapError."""

    def __init__(self, top: Path, architecture: str) -> None:
        """`top`: an empty directory."""
        self._top = top
        self._merged = [name for name in _MERGED if not name.startswith("lib") or name == "lib"]
        if architecture == "amd64":
            self._merged.append("lib64")

    def __enter__(self) -> Self:
        self._descriptor = os.open(self._top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._tree = Tree(self._descriptor)
        for name in self._merged:
            self.directory(f"usr/{name}")
            self.link(name, f"usr/{name}")
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._tree.finish()
        finally:
            self._tree.close()
            os.close(self._descriptor)

    # -- what no package has --------------------------------------------------------------------------------

    def directory(self, name: str) -> None:
        member = Entry(name)
        member.type, member.mode = tarfile.DIRTYPE, 0o755
        self._add(member)

    def link(self, name: str, target: str) -> None:
        member = Entry(name)
        member.type, member.linkname = tarfile.SYMTYPE, target
        self._add(member)

    def file(self, name: str, text: str | bytes = "", mode: int = 0o644) -> None:
        data = text.encode() if isinstance(text, str) else text
        member = Entry(name)
        member.size, member.mode = len(data), mode
        self._add(member, io.BytesIO(data))

    def _add(self, member: tarfile.TarInfo, contents: IO[bytes] | None = None) -> None:
        with _sentences(member.name), tarfile.open(fileobj=contents or io.BytesIO(), mode="w") as archive:
            self._tree.add(member, archive)

    # -- packages -------------------------------------------------------------------------------------------

    def unpack(self, package: Path, name: str) -> None:
        """The files of a .deb; `name` is for sentences."""
        with _sentences(name), package.open("rb") as file:
            for part in ArFile(fileobj=file):
                if part.name.startswith(_DATA):
                    with _decompressed(part) as contents, _opened(contents) as archive:
                        self._unpack_all(archive)
                    return
            raise BootstrapError(f"{name} has no {_DATA}")

    def _unpack_all(self, archive: tarfile.TarFile) -> None:
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined] # or it would remember them all
            member.name = self._merge(member.name)
            if member.islnk():
                member.linkname = self._merge(member.linkname)
            if member.name not in self._merged:
                self._tree.add(member, archive)

    def _merge(self, name: str) -> str:
        """Where a file is whose directory is a link: nothing is unpacked through links."""
        path = name.removeprefix("./")
        first, _, rest = path.partition("/")
        if not rest:
            return first
        return f"usr/{path}" if first in self._merged else path


@contextlib.contextmanager
def _sentences(name: str) -> Iterator[None]:
    try:
        yield
    except (ImageError, *_BROKEN) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise BootstrapError(f"{name} cannot be unpacked: {reason}") from None


@contextlib.contextmanager
def _decompressed(part: ArMember) -> Iterator[IO[bytes]]:
    file = cast("IO[bytes]", part)
    kind = part.name.removeprefix(_DATA)
    if kind == ".xz":
        with lzma.open(file) as contents:
            yield cast("IO[bytes]", contents)
    elif kind == ".gz":
        with gzip.open(file) as contents:
            yield cast("IO[bytes]", contents)
    elif kind == ".zst":
        import zstandard  # noqa: PLC0415 - Ubuntu's

        yield cast("IO[bytes]", zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True))
    elif not kind:
        yield file
    else:
        raise BootstrapError(f"it is compressed in the unknown way {kind}")


def _opened(contents: IO[bytes]) -> tarfile.TarFile:
    return tarfile.open(
        fileobj=contents, mode="r|", tarinfo=Entry, bufsize=_PIECE, encoding="utf-8", errors="surrogateescape"
    )
