"""Host errors by name."""

import errno
import os

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.host import errors
from aionoah.host.errors import errno_of, host_errors, raise_linux_error


@pytest.mark.parametrize("name", ["ENOENT", "EAGAIN", "ELOOP", "ENOTEMPTY", "EDEADLK", "ENOTSUP", "EPIPE"])
def test_by_name(name: str) -> None:
    assert errno_of(OSError(getattr(errno, name), "")) is Errno[name]


def test_every_number_of_the_host_is_known() -> None:
    for number, name in errno.errorcode.items():
        expected = Errno.__members__.get(name)
        assert expected is None or errno_of(OSError(number, "")) == expected


def test_unknown_numbers() -> None:
    assert errno_of(OSError(99999, "")) is Errno.EIO
    assert errno_of(OSError("no number")) is Errno.EIO


def test_another_hosts_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """MacOS has other numbers, two for what is one in Linux, and names that Linux lacks."""
    darwin = {"ENOENT": 2, "EAGAIN": 35, "ENOTSUP": 45, "EOPNOTSUPP": 102, "ENOATTR": 93, "ELOOP": 62}
    for name in errno.errorcode.values():
        monkeypatch.delattr(errno, name)
    for name in ("EWOULDBLOCK", "EDEADLOCK", *darwin):
        monkeypatch.delattr(errno, name, raising=False)
    for name, number in darwin.items():
        monkeypatch.setattr(errno, name, number, raising=False)
    table = errors._by_host_number()
    assert table == {
        2: Errno.ENOENT,
        35: Errno.EAGAIN,
        45: Errno.EOPNOTSUPP,
        102: Errno.EOPNOTSUPP,
        93: Errno.ENODATA,
        62: Errno.ELOOP,
    }


def test_host_errors_translates() -> None:
    with pytest.raises(LinuxError) as caught, host_errors():
        os.open("/nonexistent/file", os.O_RDONLY)
    assert caught.value.errno is Errno.ENOENT
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_host_errors_lets_the_rest_pass() -> None:
    with host_errors():
        value = 1
    assert value == 1
    with pytest.raises(ZeroDivisionError), host_errors():
        _ = 1 // 0
    inner = LinuxError(Errno.EFAULT)
    with pytest.raises(LinuxError) as caught, host_errors():
        raise inner
    assert caught.value is inner


def test_each_error_is_a_fresh_one() -> None:
    caught = []
    for _ in range(2):
        with pytest.raises(LinuxError) as info, host_errors():
            raise PermissionError(errno.EACCES, "")
        caught.append(info.value)
    assert caught[0] is not caught[1]
    assert host_errors() is host_errors()


def test_raise_linux_error() -> None:
    with pytest.raises(LinuxError, match="EEXIST"):
        raise_linux_error(FileExistsError(errno.EEXIST, ""))
