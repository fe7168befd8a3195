"""Policies of memory on both kernels, the oracle in a child process."""

import importlib
import struct
from collections.abc import Iterator
from typing import Any

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno
from aionoah.abi.mempolicy import MPOL, MPOL_F, MPOL_GET, MPOL_MF

importlib.import_module("aionoah.syscalls.numa")

WILD = 8
ONE = b"\1" + bytes(15)


def asked(k: Any, address: int = 0, flags: int = 0) -> tuple[Any, bytes]:
    room = k.space(32)
    return k.call("get_mempolicy", room, room + 8, 65, address, flags), k.get(room, 32)


def test_the_threads_own(same_in_child: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        yield asked(k)
        for mode in (*range(8), MPOL.BIND | MPOL_F.STATIC_NODES, MPOL.LOCAL | MPOL_F.RELATIVE_NODES):
            for nodes in (bytes(8), ONE, b"\2" + bytes(7)):
                yield k.call("set_mempolicy", mode, nodes, 65), asked(k), asked(k, flags=MPOL_GET.NODE)
        for size in (0, 1, 2, 32770):
            yield k.call("set_mempolicy", MPOL.BIND, ONE, size)
        yield k.call("set_mempolicy", MPOL.BIND, WILD, 65)
        yield asked(k, flags=MPOL_GET.MEMS_ALLOWED), asked(k, WILD), asked(k, WILD, MPOL_GET.ADDR)

    same_in_child(script)


def test_of_areas(same_in_child: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        page = k.edge - 4096
        k.set(page, b"x")
        for mode, flags in ((MPOL.BIND, 0), (MPOL.BIND, MPOL_MF.MOVE_ALL), (9, 0), (MPOL.BIND, 8)):
            yield k.call("mbind", page, 4096, mode, ONE, 65, flags), asked(k, page, MPOL_GET.ADDR)
        yield asked(k, page, MPOL_GET.ADDR | MPOL_GET.NODE)
        yield k.call("mbind", page, 8192, MPOL.BIND, ONE, 65, 0)
        yield k.call("mbind", page + 1, 4096, MPOL.BIND, ONE, 65, 0)
        for node, flags in ((0, 0), (1, 0), (0, 1)):
            yield k.call("set_mempolicy_home_node", page, 4096, node, flags)

    same_in_child(script)


def test_moving(same_in_child: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        page = k.edge - 4096
        k.set(page, b"x")
        pages, status = k.put(struct.pack("<2Q", page, WILD)), k.space(8)
        yield k.call("move_pages", 0, 2, pages, 0, status, 0), k.get(status, 8)
        for nodes in ((0, 0), (1, 0), (-1, 0)):
            yield k.call("move_pages", 0, 1, pages, struct.pack("<2i", *nodes), status, MPOL_MF.MOVE)
        yield (
            k.call("move_pages", 1 << 30, 1, pages, 0, status, 0),
            k.call("move_pages", 0, 1, pages, 0, status, 1),
        )
        yield k.call("migrate_pages", 0, 65, ONE, ONE), k.call("migrate_pages", 0, 65, ONE, bytes(8))
        yield k.call("migrate_pages", 1 << 30, 65, ONE, ONE)

    same_in_child(script)


def test_rights(guest: Any) -> None:
    guest.task.credentials.effective &= ~(1 << CAP.SYS_NICE)
    page = guest.edge - 4096
    assert guest.call("mbind", page, 4096, MPOL.BIND, ONE, 65, MPOL_MF.MOVE_ALL) is Errno.EPERM
    assert guest.call("move_pages", 0, 0, 0, 0, 0, MPOL_MF.MOVE_ALL) is Errno.EPERM
    assert guest.call("migrate_pages", 0, 65, ONE, b"\3" + bytes(7)) is Errno.EPERM


def test_too_many_pages(guest: Any) -> None:
    assert guest.call("move_pages", 0, 1 << 40, WILD, 0, WILD, 0) is Errno.E2BIG
