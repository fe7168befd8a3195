"""Resource limits through the system calls, on both kernels."""

import importlib
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from fakes.forked import in_child

from aionoah.abi.errno import Errno
from aionoah.abi.resource import RLIMIT

importlib.import_module("aionoah.syscalls.limits")

WILD = 8


def pair(k: Any, soft: int, hard: int) -> int:
    return int(k.put(struct.pack("<QQ", soft, hard)))


def script(k: Any) -> Iterator[Any]:
    room = k.space(16)
    # What a test process was given differs: set first what is read later.
    yield (
        k.call("setrlimit", RLIMIT.CORE, pair(k, 5, 10)),
        k.call("getrlimit", RLIMIT.CORE, room),
        k.get(room, 16),
    )
    yield k.call("setrlimit", RLIMIT.CORE, pair(k, 11, 10)), k.call("setrlimit", RLIMIT.CORE, WILD)
    yield k.call("getrlimit", RLIMIT.CORE, WILD), k.call("getrlimit", 16, room), k.call("getrlimit", -1, room)
    yield k.call("setrlimit", 16, pair(k, 1, 1)), k.call("setrlimit", 16, WILD)

    old = k.space(16)
    yield k.call("prlimit64", 0, RLIMIT.CORE, pair(k, 1, 2), old), k.get(old, 16)
    yield (
        k.call("prlimit64", 0, RLIMIT.CORE, 0, old),
        k.get(old, 16),
        k.call("prlimit64", 0, RLIMIT.CORE, 0, 0),
    )
    yield k.call("prlimit64", 0x3FFF_FFFF, RLIMIT.CORE, 0, old), k.call("prlimit64", 0x3FFF_FFFF, 16, WILD, 0)
    yield k.call("prlimit64", 0, 16, 0, old), k.call("prlimit64", 0, RLIMIT.CORE, WILD, 0)
    yield (
        k.call("prlimit64", 0, RLIMIT.CORE, pair(k, 0, 0), WILD),
        k.call("prlimit64", 0, RLIMIT.CORE, 0, old),
    )
    yield k.get(old, 16), k.call("setrlimit", RLIMIT.NOFILE, pair(k, 1, (1 << 20) + 1))


def test_both_kernels_agree(guest: Any, oracle: Any) -> None:
    if guest.task.credentials.uid != 0:
        pytest.skip("needs root")
    assert list(script(guest)) == in_child(lambda: list(script(oracle)))


def test_only_the_privileged_change_others_or_raise(guest: Any) -> None:
    who = guest.task.credentials
    for name in ("uid", "euid", "suid"):
        setattr(who, name, 1000)
    who.effective = 0
    other = type("Other", (), {})()
    other.credentials, other.process = who.copy(), guest.task.process
    guest.task.kernel.tasks[101] = other
    try:
        assert guest.call("prlimit64", 101, RLIMIT.CORE, 0, 0) == 0
        other.credentials.suid = 1001
        assert guest.call("prlimit64", 101, RLIMIT.CORE, 0, 0) is Errno.EPERM
    finally:
        del guest.task.kernel.tasks[101]
    assert guest.call("setrlimit", RLIMIT.CORE, pair(guest, 0, 0)) == 0
    assert guest.call("setrlimit", RLIMIT.CORE, pair(guest, 0, 1)) is Errno.EPERM
