"""Host errors become Linux's, by name: the one place where an OSError is translated."""

import errno
from types import TracebackType
from typing import Final, NoReturn

from aionoah.abi.errno import Errno, LinuxError

# Darwin has names that Linux lacks; the closest that Linux has.
_RENAMED: Final = {
    "ENOATTR": Errno.ENODATA,
    "EFTYPE": Errno.EINVAL,
    "EAUTH": Errno.EACCES,
    "ENEEDAUTH": Errno.EACCES,
    "EBADEXEC": Errno.ENOEXEC,
    "EBADARCH": Errno.ENOEXEC,
    "EPROCLIM": Errno.EAGAIN,
    "ENOPOLICY": Errno.EOPNOTSUPP,
    "EQFULL": Errno.EAGAIN,
}


def _by_host_number() -> dict[int, Errno]:
    table: dict[int, Errno] = {}
    for name, number in vars(errno).items():
        linux = Errno.__members__.get(name, _RENAMED.get(name))
        if isinstance(number, int) and linux is not None:
            table[number] = linux
    return table


_ERRNO_OF: Final = _by_host_number()


def errno_of(error: OSError) -> Errno:
    """Linux's number for a host error: the one of the same name, EIO where there is none."""
    if error.errno is None:
        return Errno.EIO
    return _ERRNO_OF.get(error.errno, Errno.EIO)


def raise_linux_error(error: OSError) -> NoReturn:
    """For an `except OSError as error` that has to look at the error first."""
    raise LinuxError(errno_of(error)) from error


class _HostErrors:
    """OSErrors leave the block as LinuxErrors.

    A single stateless object: this stands around every host call, and a generator-based context
    manager costs a microsecond each time.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, OSError):
            raise LinuxError(errno_of(error)) from error


_HOST_ERRORS: Final = _HostErrors()


def host_errors() -> _HostErrors:
    """The context around a call of the host, in which an OSError becomes the guest's LinuxError."""
    return _HOST_ERRORS
