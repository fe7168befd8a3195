"""Removing a tree of directories that programs have made: of any depth, with any modes."""

import contextlib
import errno
import itertools
import os
import stat
from collections.abc import Iterator
from typing import Final

_TAKEN: Final = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR)


def remove_tree(path: bytes | str) -> None:
    """Remove a directory with all that is in it, as far as the host lets us.

    Directories are moved to the top before they are looked into, since neither Python's stack nor the host's longest path
    is as deep as what can be made.
    """
    with contextlib.suppress(OSError):
        try:
            top = _open(path, None)
        except PermissionError:
            os.chmod(path, stat.S_IRWXU)  # noqa: PTH101 - bytes too
            top = _open(path, None)
        try:
            _empty(top)
            while os.listdir(top) and _set_free(top):  # noqa: PTH208 - of a descriptor
                _empty(top)
        finally:
            os.close(top)
        os.rmdir(path)  # noqa: PTH106 - bytes too


def _open(name: bytes | str, above: int | None) -> int:
    """Of a directory, which is made such that its entries can be removed."""
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    if os.fstat(fd).st_mode & stat.S_IRWXU != stat.S_IRWXU:
        with contextlib.suppress(OSError):
            os.fchmod(fd, stat.S_IRWXU)
    return fd


def _empty(top: int) -> None:
    numbers = itertools.count()
    while directories := list(_remove_files(top)):
        for name in directories:
            with contextlib.suppress(OSError):
                _remove_directory(name, top, numbers)
        if set(directories) >= set(_remove_files(top)):
            return  # what is left cannot be removed


def _set_free(top: int) -> bool:
    """Take away flags that keep what is left at the top, and right below, from being removed. Whether there were any."""
    found = False
    for name in os.listdir(top):
        with contextlib.suppress(OSError):
            found |= _set_one_free(name, top, is_above=True)
    return found


def _set_one_free(name: str, directory: int, *, is_above: bool = False) -> bool:
    from aionoah.host.file_details import make_changeable  # noqa: PLC0415 - slow to import, and hardly ever needed

    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    try:
        found = make_changeable(fd)
        if is_above and stat.S_ISDIR(os.fstat(fd).st_mode):
            for below in os.listdir(fd):  # noqa: PTH208
                with contextlib.suppress(OSError):
                    found |= _set_one_free(below, fd)
        return found
    finally:
        os.close(fd)


def _remove_files(directory: int) -> Iterator[str]:
    """Remove all but directories; their names."""
    with os.scandir(directory) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in found:
        if is_directory:
            yield name
            continue
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=directory)


def _remove_directory(name: str, top: int, numbers: Iterator[int]) -> None:
    with contextlib.suppress(PermissionError):
        os.chmod(name, stat.S_IRWXU, dir_fd=top)
    directory = _open(name, top)
    try:
        for below in _remove_files(directory):
            with contextlib.suppress(PermissionError):
                os.chmod(below, stat.S_IRWXU, dir_fd=directory)
            _move(below, directory, top, numbers)
    finally:
        os.close(directory)
    os.rmdir(name, dir_fd=top)


def _move(name: str, directory: int, top: int, numbers: Iterator[int]) -> None:
    """To a name that is free."""
    for number in numbers:
        try:
            os.rename(name, f"aionoah-removed-{number}", src_dir_fd=directory, dst_dir_fd=top)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
        else:
            return
