"""Asking a file system that the application wrote, and not believing what it says."""

import contextlib
import logging
import os
import stat as host_stat
from collections.abc import Callable, Hashable, Iterable
from functools import partial
from typing import Any, Final, NoReturn

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.limits import NAME_MAX
from aionoah.abi.stat import S
from aionoah.fs.python.protocol import FileSystem, Stat
from aionoah.host.application import Answer, Application, Workers, ask
from aionoah.host.errors import errno_of

logger: Final = logging.getLogger("aionoah.fs")

# What a method that is not there means; EROFS for everything else, which writes.
_ABSENT: Final = {
    "stat": Errno.ENOENT,
    "listdir": Errno.EIO,
    "read": Errno.EIO,
    "readlink": Errno.EINVAL,
    "chmod": Errno.EPERM,
    "chown": Errno.EPERM,
    "utime": Errno.EPERM,
    "symlink": Errno.EPERM,
}
_WRITING: Final = ("write", "truncate", "create", "remove", "mkdir", "rmdir", "rename", "symlink")
_ID_MAX: Final = (1 << 32) - 1  # which stands for none
_KINDS: Final = {"file": S.IFREG, "directory": S.IFDIR, "link": S.IFLNK}
_MODES: Final = {"file": 0o644, "directory": 0o755, "link": 0o777}
_HOST_KINDS: Final = {
    host_stat.S_IFREG: "file",
    host_stat.S_IFDIR: "directory",
    host_stat.S_IFLNK: "link",
}


class Caller:
    """The methods of one file system of the application's."""

    def __init__(self, target: FileSystem, application: Application | None) -> None:
        """Without an application every call is made where it is asked for."""
        self.target = target
        self._application = application
        self._workers = Workers()

    def has(self, method: str) -> bool:
        return getattr(type(self.target), method) is not getattr(FileSystem, method)

    @property
    def is_read_only(self) -> bool:
        return not any(map(self.has, _WRITING))

    def close(self) -> None:
        self._workers.close()

    def call(self, method: str, *args: Any, key: Hashable = None) -> Any:  # noqa: ANN401 - the application's
        """What a method returns; NotYet, LinuxError. `key` tells this question from others of the method."""
        if not self.has(method):
            raise LinuxError(_ABSENT.get(method, Errno.EROFS if self.is_read_only else Errno.EPERM))
        function = partial(getattr(self.target, method), *args)
        return self.call_function(function, (id(self), method, args if key is None else key))

    def space(self) -> tuple[int, int]:
        """Bytes in all and bytes free, of a method that does not block. LinuxError."""
        return checked_space(_call_now(self.target.space))

    def call_function(self, function: Callable[[], Any], key: Hashable) -> Any:  # noqa: ANN401
        if self._application is None or self.target.is_quick:
            return _call_now(function)
        application = self._application
        answer = ask(key, lambda: application.ask(function, self._workers))
        if answer.error is not None:
            raise_for_guest(answer.error)
        return answer.value

    def call_in_background(self, method: str, *args: Any, then: Callable[[], None]) -> None:  # noqa: ANN401
        """Nobody waits; what goes wrong is logged. `then` is called under the kernel lock."""
        function = partial(getattr(self.target, method), *args)

        def ended(answer: Answer) -> None:
            if answer.error is not None:
                logger.error("%s failed in the background", method, exc_info=answer.error)
            then()

        if self._application is not None and not self.target.is_quick:
            self._application.ask_in_background(function, self._workers, ended)
            return
        with contextlib.suppress(LinuxError):
            _call_now(function)
        then()


def _call_now(function: Callable[[], Any]) -> Any:  # noqa: ANN401
    try:
        return function()
    except BaseException as error:  # noqa: BLE001 - translated
        raise_for_guest(error)


def raise_for_guest(error: BaseException) -> NoReturn:
    """An OSError as itself, everything else as EIO."""
    if isinstance(error, LinuxError):
        raise LinuxError(error.errno) from error
    if isinstance(error, OSError) and error.errno is not None:
        raise LinuxError(errno_of(error)) from error
    raise_by_kind(error)


def raise_by_kind(error: BaseException) -> NoReturn:
    """An OSError that was made without a number says by its class what it is."""
    for kind, errno in (
        (FileNotFoundError, Errno.ENOENT),
        (FileExistsError, Errno.EEXIST),
        (PermissionError, Errno.EACCES),
        (NotADirectoryError, Errno.ENOTDIR),
        (IsADirectoryError, Errno.EISDIR),
        (TimeoutError, Errno.ETIMEDOUT),
    ):
        if isinstance(error, kind):
            raise LinuxError(errno) from error
    logger.error("a file system in Python failed", exc_info=error)
    raise LinuxError(Errno.EIO) from error


def refuse(what: str, value: object) -> NoReturn:
    """A result that makes no sense: EIO."""
    logger.error("%s cannot be %.200r", what, value)
    raise LinuxError(Errno.EIO)


# -- results ------------------------------------------------------------------------------------------------


def checked_stat(found: object, *, read_only: bool) -> Stat:
    """What stat returned, with the type of file in the mode. `read_only`: nobody can write."""
    if isinstance(found, os.stat_result):
        kind = _HOST_KINDS.get(host_stat.S_IFMT(found.st_mode))
        if kind is None:
            refuse("what stat returns", found)
        mode, ids = found.st_mode & 0o7777 | _KINDS[kind], (found.st_uid, found.st_gid)
        return Stat("file", found.st_size, mode, found.st_mtime, *ids, found.st_ino)
    if not isinstance(found, Stat) or found.kind not in _KINDS or not _is_sound(found):
        refuse("what stat returns", found)
    default = _MODES[found.kind] & ~0o222 if read_only and found.kind == "file" else _MODES[found.kind]
    mode = default if found.mode is None else found.mode
    return found._replace(mode=mode & 0o7777 | _KINDS[found.kind])


def _is_sound(found: Stat) -> bool:
    numbers, ids = (found.size, found.mode, found.ino), (found.uid, found.gid)
    if not all(number is None or _is_number(number, 1 << 63) for number in numbers):
        return False
    if not all(number is None or _is_number(number, _ID_MAX) for number in ids):
        return False
    return found.mtime is None or (isinstance(found.mtime, int | float) and abs(found.mtime) < 1 << 33)


def _is_number(value: object, limit: int) -> bool:
    return isinstance(value, int) and 0 <= value < limit


def checked_target(found: object) -> bytes:
    """What readlink returned."""
    if not isinstance(found, str) or "\0" in found:
        refuse("what readlink returns", found)
    try:
        return os.fsencode(found)
    except UnicodeEncodeError:
        refuse("what readlink returns", found)


def checked_space(found: object) -> tuple[int, int]:
    """What space returned."""
    if (
        not isinstance(found, tuple)
        or len(found) != 2
        or not all(_is_number(each, 1 << 63) for each in found)
    ):
        refuse("what space returns", found)
    return found


def checked_names(found: object) -> list[bytes]:
    """What listdir returned."""
    if isinstance(found, str | bytes) or not isinstance(found, Iterable):
        refuse("what listdir returns", found)
    try:
        names = [_name(name) for name in found]
    except (TypeError, ValueError):
        refuse("what listdir returns", found)
    return list(dict.fromkeys(names))


def _name(name: object) -> bytes:
    if not isinstance(name, str):
        raise TypeError(name)
    encoded = os.fsencode(name)
    if encoded in (b"", b".", b"..") or b"/" in encoded or b"\0" in encoded or len(encoded) > NAME_MAX:
        raise ValueError(name)
    return encoded


def checked_data(found: object, size: int) -> memoryview:
    """What read returned."""
    if not isinstance(found, bytes | bytearray | memoryview):
        refuse("what read returns", found)
    data = memoryview(found).cast("B") if found else memoryview(b"")
    if len(data) > size:
        refuse(f"{len(data)} bytes as what read returns for a size of {size}:", bytes(data[:40]))
    return data


def checked_count(found: object, size: int) -> int:
    """What write returned."""
    if found is None:
        return size
    if not isinstance(found, int) or not 0 <= found <= size:
        refuse("what write returns", found)
    return found
