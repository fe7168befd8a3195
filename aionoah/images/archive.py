"""Reading a layer's archive: what it is compressed with, what it really holds, and where it must stop."""

import hashlib
import tarfile
import zlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, Final, NamedTuple, Protocol, Self, cast

from aionoah.images import ImageError

_PIECE: Final = 1 << 18  # bytes of a read
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_ZSTD_WINDOW: Final = 1 << 27  # bytes: what `zstd` itself takes without being told
_LONGEST_HEADER: Final = 1 << 20  # bytes of a name or of extended attributes
_LONGEST_HEADERS: Final = 4 << 20  # bytes of all that one entry has, a map of its holes among it
_HEADERS: Final = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, b"K")

BROKEN: Final = (tarfile.TarError, zlib.error, EOFError, ValueError, OverflowError, RecursionError)
"""What the libraries raise for archives that are none."""


class Limits(NamedTuple):
    """Of one layer."""

    size: int = 64 << 30  # bytes when unpacked
    entries: int = 2_000_000


class Reader(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Contents:
    """An archive's bytes, decompressed: counted and hashed on their way."""

    def __init__(self, file: BinaryIO, limits: Limits) -> None:
        start = file.read(len(_ZSTD))
        file.seek(-len(start), 1)
        is_gzip, is_zstd = start.startswith(_GZIP), start == _ZSTD
        self._source: Reader = _Gunzipped(file) if is_gzip else _Unzstd(file) if is_zstd else file
        self.is_compressed = is_gzip or is_zstd
        self._limit = limits.size
        self._hash = hashlib.sha256()
        self._hasher = ThreadPoolExecutor(1, thread_name_prefix="hash")  # beside us, while we write
        self._hashing: Future[None] | None = None
        self.size = 0
        self._holes = 0  # bytes of files that are not in the archive

    def read(self, size: int) -> bytes:
        data = self._source.read(size)
        self.size += len(data)
        self._check()
        if self._hashing is not None:
            self._hashing.result()
        self._hashing = self._hasher.submit(self._hash.update, data)
        return data

    def add_holes(self, size: int) -> None:
        """A file will be so large, though most of it is not in the archive."""
        self._holes += max(size, 0)
        self._check()

    def _check(self) -> None:
        if self.size + self._holes > self._limit:
            raise ImageError(f"a layer is larger than {self._limit} bytes when unpacked")

    def digest(self) -> str:
        """Of all there is, to its end."""
        while self.read(_PIECE):
            pass
        self._hasher.shutdown()
        return "sha256:" + self._hash.hexdigest()


class _Gunzipped:
    """One or more members of gzip, one behind the other."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._member = zlib.decompressobj(wbits=31)
        self._input = b""

    def read(self, size: int) -> bytes:
        while True:
            if not self._input:
                self._input = self._file.read(_PIECE)
            is_at_end = not self._input
            if self._member.eof:
                if is_at_end or not self._input.strip(b"\0"):  # some writers pad with zeros
                    return b""
                self._member = zlib.decompressobj(wbits=31)
            data = self._member.decompress(self._input, size)
            self._input = self._member.unconsumed_tail or self._member.unused_data
            if data:
                return data
            if is_at_end and not self._member.eof:
                raise EOFError("the compressed data end too early")


class _Unzstd:
    """One or more frames of zstd."""

    def __init__(self, file: BinaryIO) -> None:
        try:
            import zstandard  # noqa: PLC0415 - few layers need it
        except ImportError:
            raise ImageError("a layer is compressed with zstd: `pip install aionoah[images]`") from None
        self._error = zstandard.ZstdError
        decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        self._stream = decompressor.stream_reader(file, read_across_frames=True)

    def read(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except self._error as error:
            raise ValueError(str(error)) from None


class _Headers:
    """The archive while it is read for the headers of one entry."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self._left = _LONGEST_HEADERS

    def read(self, size: int) -> bytes:
        self._left -= size
        if self._left < 0:
            raise ImageError(f"an archive has an entry with more than {_LONGEST_HEADERS} bytes of headers")
        return self.file.read(size)

    def tell(self) -> int:
        return self.file.tell()


class Entry(tarfile.TarInfo):
    """Refuses headers that would fill the memory, and does not take a broken one for the end."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        """An entry may have several headers: those before the last call this method for the next one."""
        if isinstance(tarfile.fileobj, _Headers):
            return super().fromtarfile(tarfile)
        file = cast("BinaryIO", tarfile.fileobj)
        tarfile.fileobj = cast("BinaryIO", _Headers(file))
        try:
            made = super().fromtarfile(tarfile)
        except IndexError:  # the map of a file's holes is cut
            raise EOFError("the archive ends within a header") from None
        finally:
            tarfile.fileobj = file
        if sum(len(key) + len(value) for key, value in tarfile.pax_headers.items()) > _LONGEST_HEADER:
            raise ImageError("an archive has too many headers that are for all entries")
        return made

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            made = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if buf.strip(b"\0"):
                raise tarfile.ReadError(str(error)) from None
            raise
        if made.size < 0 or (made.type in _HEADERS and made.size > _LONGEST_HEADER):
            raise ImageError(f"an archive has a header of {made.size} bytes")
        return made


def entries(contents: Contents, limits: Limits) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    """What an archive holds, each to be read before the next. ImageError, and BROKEN."""
    with tarfile.open(
        fileobj=cast("BinaryIO", contents),  # only `read` is called on a stream
        mode="r|",
        tarinfo=Entry,
        bufsize=_PIECE,
        encoding="utf-8",
        errors="surrogateescape",
    ) as archive:
        count = 0
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined] # or it would remember them all
            count += 1
            if count > limits.entries:
                raise ImageError(f"a layer has more than {limits.entries} entries")
            if member.issparse():
                contents.add_holes(member.size)
            yield member, archive
