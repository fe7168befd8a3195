"""Copying trees between the host and guests, for `linux.files`.

The host's side is done on threads. When something is copied out, a guest decides the names: so every step on
the host is made from an open directory, and no symbolic link is followed.
"""

import asyncio
import contextlib
import errno
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aionoah.files import join

if TYPE_CHECKING:
    from aionoah.files import Files, GuestFile, GuestPath, Progress

_CHUNK: Final = 1 << 20
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class _Meter:
    """How much has been copied."""

    def __init__(self, progress: "Progress | None", total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0
        self.add(0)

    def add(self, count: int) -> None:
        self._done += count
        if self._progress is not None:
            self._progress(self._done, self._total)


# -- in -------------------------------------------------------------------------------------------------------


async def copy_in(
    files: "Files", source: str | os.PathLike[str], path: "GuestPath", progress: "Progress | None"
) -> None:
    total = await asyncio.to_thread(_host_size, Path(source)) if progress is not None else 0
    await _copy_in(files, Path(source), os.fsdecode(path), _Meter(progress, total))


def _host_size(path: Path) -> int:
    found = path.lstat()
    if stat.S_ISDIR(found.st_mode):
        return sum(map(_host_size, path.iterdir()))
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


async def _copy_in(files: "Files", source: Path, path: str, meter: _Meter) -> None:
    found = source.lstat()  # noqa: ASYNC240 - of one local file
    kind = stat.S_IFMT(found.st_mode)
    if kind == stat.S_IFLNK:
        await _replace_link(files, os.readlink(source), path)  # noqa: PTH115 - the text as it is
        return
    if kind == stat.S_IFDIR:
        await files.mkdir(path, 0o700, exist_ok=True)
        for child in await asyncio.to_thread(_children, source):
            await _copy_in(files, child, join(path, child.name), meter)
    elif kind == stat.S_IFREG:
        await _copy_file_in(files, source, path, meter)
    else:
        return
    await files.chmod(path, stat.S_IMODE(found.st_mode))
    await files.utime(path, (found.st_atime_ns, found.st_mtime_ns))


def _children(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


async def _replace_link(files: "Files", target: str, path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        await files.remove(path)
    await files.symlink(target, path)


async def _copy_file_in(files: "Files", source: Path, path: str, meter: _Meter) -> None:
    with source.open("rb") as host_file:
        async with files.open(path, "w", permissions=0o600) as guest_file:
            while part := await asyncio.to_thread(host_file.read, _CHUNK):
                await guest_file.write(part)
                meter.add(len(part))


# -- out ------------------------------------------------------------------------------------------------------


async def copy_out(
    files: "Files", path: "GuestPath", target: str | os.PathLike[str], progress: "Progress | None"
) -> None:
    total = await _guest_size(files, path) if progress is not None else 0
    place = Path(target)
    above = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        await _copy_out(files, os.fsdecode(path), above, place.name, _Meter(progress, total))
    finally:
        os.close(above)


async def _guest_size(files: "Files", path: "GuestPath") -> int:
    found = await files.stat(path, follow_symlinks=False)
    if stat.S_ISDIR(found.st_mode):
        return sum([await _guest_size(files, join(path, name)) for name in await files.listdir(path)])
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


async def _copy_out(files: "Files", path: str, above: int, name: str, meter: _Meter) -> None:
    """`above` is the open host directory in which `name` is made."""
    found = await files.stat(path, follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        _replace_host_link(await files.readlink(path), above, name)
    elif stat.S_ISDIR(found.st_mode):
        async with _host_directory(above, name, found) as directory:
            for child in await files.listdir(path):
                await _copy_out(files, join(path, child), directory, child, meter)
    elif stat.S_ISREG(found.st_mode):
        async with files.open(path) as guest_file:
            await _copy_file_out(guest_file, above, name, found, meter)


def _replace_host_link(text: str, above: int, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISLNK(os.lstat(name, dir_fd=above).st_mode):
            raise FileExistsError(f"{name!r} is in the way of a symbolic link")
        os.unlink(name, dir_fd=above)
    os.symlink(text, name, dir_fd=above)


@contextlib.asynccontextmanager
async def _host_directory(above: int, name: str, found: os.stat_result) -> AsyncIterator[int]:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=above)
    directory = _open_host(name, _DIRECTORY, above)
    try:
        yield directory
        os.fchmod(directory, stat.S_IMODE(found.st_mode))
        os.utime(directory, ns=(found.st_atime_ns, found.st_mtime_ns))
    finally:
        os.close(directory)


def _open_host(name: str, flags: int, above: int) -> int:
    """FileExistsError where a symbolic link, or a file for a directory, is in the way."""
    try:
        return os.open(name, flags, 0o600, dir_fd=above)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EMLINK, errno.ENOTDIR):
            raise
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name) from None


async def _copy_file_out(
    guest_file: "GuestFile", above: int, name: str, found: os.stat_result, meter: _Meter
) -> None:
    fd = _open_host(name, _NEW_FILE, above)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise FileExistsError(f"{name!r} is in the way of a file")
        async for part in guest_file:
            await asyncio.to_thread(_write_all, fd, part)
            meter.add(len(part))
        os.fchmod(fd, stat.S_IMODE(found.st_mode))
        os.utime(fd, ns=(found.st_atime_ns, found.st_mtime_ns))
    finally:
        os.close(fd)


def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
