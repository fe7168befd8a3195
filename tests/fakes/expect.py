"""Expectations that many tests share."""

from collections.abc import Callable

import pytest

from aionoah.abi.errno import Errno, LinuxError


def fails(errno: Errno, call: Callable[..., object], *arguments: object) -> None:
    """The call raises LinuxError with this errno."""
    with pytest.raises(LinuxError) as caught:
        call(*arguments)
    assert caught.value.errno is errno, caught.value.errno
