"""Ids and capabilities through the system calls, on both kernels; the oracle runs in a child process."""

import importlib
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from aionoah.abi.capability import CAP, CAPABILITY_VERSION_1, CAPABILITY_VERSION_2, CAPABILITY_VERSION_3
from aionoah.abi.errno import Errno

importlib.import_module("aionoah.syscalls.identity")

WILD = 8


def words(k: Any, name: str) -> tuple[Any, ...]:
    """The result of a call with three addresses, and what it has put there."""
    at = [k.space(4) for _ in range(3)]
    return (k.call(name, *at), *(k.get(address, 4) for address in at))


def ids(k: Any) -> list[Any]:
    single = [k.call(name) for name in ("getuid", "geteuid", "getgid", "getegid")]
    return [*single, words(k, "getresuid"), words(k, "getresgid")]


def test_asking(same_in_child: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        yield ids(k)
        for name in ("getresuid", "getresgid"):
            good = k.space(4)
            yield [
                k.call(name, *order) for order in ((WILD, good, good), (good, WILD, good), (good, good, WILD))
            ]

    same_in_child(script)


def test_changing(same_in_child: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        yield k.call("setresgid", 100, 101, 102), k.call("setregid", -1, 100), k.call("setgid", 102), ids(k)
        yield k.call("setfsgid", 100), k.call("setfsgid", -1), ids(k)
        yield k.call("setuid", -1), k.call("setgid", -1)
        yield k.call("setresuid", 10, 11, 12), ids(k)
        yield k.call("setreuid", 12, -1), k.call("setreuid", -1, 10), k.call("setuid", 5), ids(k)
        yield k.call("setfsuid", 10), k.call("setfsuid", 77), k.call("setfsuid", -1)
        yield k.call("setresgid", 0, -1, -1), k.call("setresuid", -1, 12, 0)

    same_in_child(script)


def test_only_32_bits_of_an_id_count(same_in_child: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        yield k.call("setresuid", 1 << 32 | 7, 0xFFFF_FFFF, 1 << 40), ids(k)

    same_in_child(script)


def test_groups(same_in_child: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        room = k.space(64)
        yield k.call("setgroups", 3, k.put(struct.pack("<3I", 9, 5, 7)))
        yield [k.call("getgroups", size, room) for size in (0, 1, 2, 3, 16, -1)], k.get(room, 12)
        yield k.call("getgroups", 3, WILD), k.call("getgroups", 0, WILD)
        yield k.call("setgroups", 3, WILD), k.call("setgroups", -1, room), k.call("setgroups", 65537, room)
        yield k.call("setgroups", 1, k.put(b"\xff" * 4)), k.call("getgroups", 0, 0)
        yield k.call("setgroups", 0, WILD), k.call("getgroups", 0, 0)
        yield k.call("setresuid", 1, 1, 1), k.call("setgroups", 1, room), k.call("setgroups", -1, WILD)

    same_in_child(script)


VERSIONS = [CAPABILITY_VERSION_1, CAPABILITY_VERSION_2, CAPABILITY_VERSION_3, 0, 0xFFFF_FFFF]


def header(k: Any, version: int, pid: int = 0) -> int:
    return int(k.put(struct.pack("<Ii", version, pid)))


def test_reading_capabilities(same_in_child: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        for version in VERSIONS:
            at, room = header(k, version), k.space(24)
            yield k.call("capget", at, room), k.get(at, 8)
            yield k.call("capget", header(k, version), 0)
            yield k.call("capget", header(k, version), WILD)
        yield k.call("capget", WILD, 0), k.call("capget", header(k, VERSIONS[2], -1), k.space(24))
        yield k.call("capget", header(k, VERSIONS[2], 0x3FFF_FFFF), k.space(24))

    same_in_child(script)


def test_writing_capabilities(same_in_child: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        def put(effective: int, permitted: int, inheritable: int, pid: int = 0) -> Any:
            halves = [
                bits >> shift & 0xFFFF_FFFF
                for shift in (0, 32)
                for bits in (effective, permitted, inheritable)
            ]
            return k.call("capset", header(k, CAPABILITY_VERSION_3, pid), k.put(struct.pack("<6I", *halves)))

        def get() -> Any:
            room = k.space(24)
            return k.call("capget", header(k, CAPABILITY_VERSION_3), room), k.get(room, 24)

        some, one = 1 << CAP.CHOWN | 1 << CAP.SYSLOG, 1 << CAP.SYSLOG
        yield put(0, 0, 0, 1), put(0, 0, 0, -1), k.call("capset", header(k, 7), 0), k.call("capset", WILD, 0)
        yield k.call("capset", header(k, CAPABILITY_VERSION_3), WILD)
        yield put(some, one, 0), put(some, some, 0), get()
        yield put(some, some | 1 << CAP.KILL, 0), put(one, some, some), get()
        yield put(0, 0, 1 << CAP.KILL), put(0, 0, 0), get()

    same_in_child(script)


def test_our_capabilities_are_all_of_them(guest: Any) -> None:
    """The oracle of the other tests may have been given less."""
    if guest.task.credentials.uid != 0:
        pytest.skip("needs root")
    room = guest.space(24)
    assert guest.call("capget", header(guest, CAPABILITY_VERSION_3), room) == 0
    assert struct.unpack("<6I", guest.get(room, 24)) == (0xFFFF_FFFF, 0xFFFF_FFFF, 0, 0x1FF, 0x1FF, 0)


def test_an_ordinary_user_stays_one(guest: Any) -> None:
    for name in ("uid", "euid", "suid", "gid", "egid", "sgid"):
        setattr(guest.task.credentials, name, 1000)
    guest.task.credentials.effective = 0
    assert guest.call("setuid", 0) is Errno.EPERM
    assert guest.call("setgid", 0) is Errno.EPERM
    assert guest.call("setreuid", -1, 0) is Errno.EPERM
    assert guest.call("setuid", 1000) == 0
