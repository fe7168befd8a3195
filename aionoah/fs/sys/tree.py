"""The tree of /sys."""

import sys
from typing import TYPE_CHECKING, Final

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.fs.synthetic import Directory, Link, Node
from aionoah.fs.sys import FS, interfaces
from aionoah.fs.sys.attribute import attribute, empty
from aionoah.fs.sys.processors import cpus, memory_nodes

if TYPE_CHECKING:
    from aionoah.process.kernel import Kernel

_MEMORY_BLOCK: Final = 128 << 20


def new_tree(kernel: "Kernel") -> Directory["Kernel"]:
    count = kernel.cpu_count
    system: dict[bytes, Node[Kernel]] = {
        b"clocksource": Directory(
            {
                b"clocksource0": Directory(
                    {
                        b"available_clocksource": attribute(b"tsc"),
                        b"current_clocksource": attribute(b"tsc"),
                    }
                )
            }
        ),
        b"cpu": cpus(count),
        b"memory": _memory_blocks(kernel),
        b"node": memory_nodes(count),
    }
    nodes: dict[bytes, Node[Kernel]] = {
        b"block": Directory(),
        b"bus": Directory({b"cpu": _bus(b"cpu", count), b"node": _bus(b"node", 1)}),
        b"class": Directory({b"block": Directory(), b"net": interfaces.CLASS, b"tty": Directory()}),
        b"dev": Directory({b"block": Directory(), b"char": Directory()}),
        b"devices": Directory(
            {b"system": Directory(system), b"virtual": Directory({b"net": interfaces.DEVICES})}
        ),
        b"firmware": Directory(),
        b"fs": FS,
        b"hypervisor": Directory(),
        b"kernel": _kernel(),
        b"module": Directory(),
        b"power": Directory({b"state": attribute(b"")}),
    }
    return Directory(nodes)


def _bus(name: bytes, count: int) -> Directory["Kernel"]:
    links: dict[bytes, Node[Kernel]] = {
        b"%s%d" % (name, number): Link(b"../../../devices/system/%s/%s%d" % (name, name, number))
        for number in range(count)
    }
    return Directory({b"devices": Directory(links), b"drivers": Directory(), b"uevent": empty(mode=0o200)})


def _memory_blocks(kernel: "Kernel") -> Directory["Kernel"]:
    """All that guests may have, in blocks that are there and stay."""
    count = max(kernel.machine.frames.limit * PAGE_SIZE // _MEMORY_BLOCK, 1)
    nodes: dict[bytes, Node[Kernel]] = {
        b"memory%d" % number: _memory_block(number) for number in range(count)
    }
    nodes[b"auto_online_blocks"] = attribute(b"offline")
    nodes[b"block_size_bytes"] = attribute(b"%x" % _MEMORY_BLOCK)
    return Directory(nodes)


def _memory_block(number: int) -> Directory["Kernel"]:
    return Directory(
        {
            b"node0": Link(b"../../node/node0"),
            b"online": attribute(1),
            b"phys_device": attribute(0),
            b"phys_index": attribute(b"%08x" % number),
            b"removable": attribute(0),
            b"state": attribute(b"online"),
            b"valid_zones": attribute(b"none"),
        }
    )


def _kernel() -> Directory["Kernel"]:
    """Nothing here uses huge pages, and nobody can ask for them."""
    huge: dict[bytes, Node[Kernel]] = {
        b"defrag": attribute(b"always defer defer+madvise madvise [never]"),
        b"enabled": attribute(b"always madvise [never]"),
        b"hpage_pmd_size": attribute(2 << 20),
        b"khugepaged": Directory({b"defrag": attribute(0), b"max_ptes_none": attribute(511)}),
        b"shmem_enabled": attribute(b"always within_size advise [never] deny force"),
        b"use_zero_page": attribute(0),
    }
    return Directory(
        {
            b"address_bits": attribute(64),
            b"cpu_byteorder": attribute(sys.byteorder),
            b"debug": Directory(mode=0o700),
            b"mm": Directory({b"hugepages": Directory(), b"transparent_hugepage": Directory(huge)}),
            b"security": Directory(),
            b"tracing": Directory(mode=0o700),
        }
    )
