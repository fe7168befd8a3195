"""Files of /proc about devices and what the kernel counts: there are few devices here, and little is counted.

Tables have Linux's headings, so that programs that parse them find what they expect.
"""

from typing import TYPE_CHECKING, Final

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.host import facts

if TYPE_CHECKING:
    from aionoah.process.kernel import Kernel

_CHARACTER_DEVICES: Final = (
    *((1, b"mem"), (5, b"/dev/tty"), (5, b"/dev/console"), (5, b"/dev/ptmx"), (10, b"misc"), (136, b"pts")),
)
_CONTROLLERS: Final = (
    *(b"cpuset", b"cpu", b"cpuacct", b"blkio", b"memory", b"devices", b"freezer", b"perf_event"),
    *(b"hugetlb", b"pids", b"rdma", b"misc"),
)
_ORDERS: Final = 11  # of free areas in buddyinfo
_SOFTIRQS: Final = (
    *(b"HI", b"TIMER", b"NET_TX", b"NET_RX", b"BLOCK", b"IRQ_POLL", b"TASKLET", b"SCHED", b"HRTIMER", b"RCU"),
)
_VMSTAT_ZEROS: Final = (
    *("pgpgin", "pgpgout", "pswpin", "pswpout", "pgalloc_dma32", "pgalloc_normal", "pgfree", "pgactivate"),
    *("pgdeactivate", "pgmajfault", "pgrefill", "pgsteal_kswapd", "pgsteal_direct", "pgscan_kswapd"),
    *("pgscan_direct", "oom_kill", "thp_fault_alloc", "thp_collapse_alloc"),
)
_TTY_DRIVERS: Final = (
    ("/dev/tty", "/dev/tty", "5", "0", "system:/dev/tty"),
    ("/dev/ptmx", "/dev/ptmx", "5", "2", "system"),
    ("pty_slave", "/dev/pts", "136", "0-1048575", "pty:slave"),
)


def nothing(kernel: "Kernel") -> bytes:  # noqa: ARG001 - of that there is none
    return b""


def devices(kernel: "Kernel") -> bytes:  # noqa: ARG001
    listing = b"".join(b"%3d %s\n" % entry for entry in _CHARACTER_DEVICES)
    return b"Character devices:\n%s\nBlock devices:\n" % listing


def partitions(kernel: "Kernel") -> bytes:  # noqa: ARG001 - no block devices
    return b"major minor  #blocks  name\n\n"


def control_groups(kernel: "Kernel") -> bytes:  # noqa: ARG001
    """All are there, and on no hierarchy of their own: that is how programs see version 2."""
    head = b"#subsys_name\thierarchy\tnum_cgroups\tenabled\n"
    return head + b"".join(b"%s\t0\t1\t1\n" % name for name in _CONTROLLERS)


def slabinfo(kernel: "Kernel") -> bytes:  # noqa: ARG001 - there are no slabs
    return (
        b"slabinfo - version: 2.1\n# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>"
        b" : tunables <limit> <batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>\n"
    )


def _columns(kernel: "Kernel", width: int) -> bytes:
    return b"".join(b"CPU%-*d" % (width - 3, cpu) for cpu in range(kernel.cpu_count))


def interrupts(kernel: "Kernel") -> bytes:
    return b" " * 11 + _columns(kernel, 11) + b"\n" + _counters(kernel, ((b"ERR", False), (b"MIS", False)))


def softirqs(kernel: "Kernel") -> bytes:
    head = b" " * 20 + _columns(kernel, 11) + b"\n"
    zeros = b"%11d" % 0 * kernel.cpu_count
    return head + b"".join(b"%12s:%s\n" % (name, zeros) for name in _SOFTIRQS)


def _counters(kernel: "Kernel", names: tuple[tuple[bytes, bool], ...]) -> bytes:
    return b"".join(
        b"%3s:%s\n" % (name, b"%11d" % 0 * (kernel.cpu_count if each else 1)) for name, each in names
    )


def schedstat(kernel: "Kernel") -> bytes:
    """Version 15: nothing is counted for each processor."""
    lines = [b"version 15\ntimestamp %d\n" % (facts.uptime_ns() // 4_000_000)]
    lines += [b"cpu%d 0 0 0 0 0 0 0 0 0\n" % cpu for cpu in range(kernel.cpu_count)]
    return b"".join(lines)


def execution_domains(kernel: "Kernel") -> bytes:  # noqa: ARG001
    return b"0-0\tLinux           \t[kernel]\n"


def tty_drivers(kernel: "Kernel") -> bytes:  # noqa: ARG001
    lines = ("{:<20} {:<12} {:>3} {:>7} {}\n".format(*driver) for driver in _TTY_DRIVERS)
    return "".join(lines).encode()


# -- memory -------------------------------------------------------------------------------------------------


def _pages(kernel: "Kernel") -> tuple[int, int]:
    """All that there are for guests, and those that are free."""
    frames = kernel.machine.frames
    return frames.limit, max(frames.limit - frames.in_use, 0)


def vmstat(kernel: "Kernel") -> bytes:
    total, free = _pages(kernel)
    host = facts.memory()
    values = {
        "nr_free_pages": free,
        "nr_inactive_anon": 0,
        "nr_active_anon": total - free,
        "nr_inactive_file": host.cached // PAGE_SIZE,
        "nr_active_file": 0,
        "nr_anon_pages": total - free,
        "nr_mapped": 0,
        "nr_file_pages": host.cached // PAGE_SIZE,
        "nr_dirty": 0,
        "nr_writeback": 0,
        "nr_shmem": 0,
        "pgfault": sum(task.counts.minor_faults for task in kernel.tasks.values()),
    }
    values |= dict.fromkeys(_VMSTAT_ZEROS, 0)
    return "".join(f"{name} {value}\n" for name, value in values.items()).encode()


def buddyinfo(kernel: "Kernel") -> bytes:
    """All that is free is said to be in the largest areas."""
    _, free = _pages(kernel)
    counts = [0] * (_ORDERS - 1) + [free >> (_ORDERS - 1)]
    return b"Node 0, zone   Normal " + b"".join(b"%6d " % count for count in counts) + b"\n"


def zoneinfo(kernel: "Kernel") -> bytes:
    total, free = _pages(kernel)
    lines = (
        "Node 0, zone   Normal",
        "  per-node stats",
        f"      nr_active_anon {total - free}",
        f"  pages free     {free}",
        "        boost    0",
        "        min      0",
        "        low      0",
        "        high     0",
        f"        spanned  {total}",
        f"        present  {total}",
        f"        managed  {total}",
        "        protection: (0, 0)",
        f"      nr_free_pages {free}",
        "  node_unreclaimable:  0",
        "  start_pfn:           0",
    )
    return "\n".join(lines).encode() + b"\n"


def key_users(kernel: "Kernel") -> bytes:  # noqa: ARG001 - there are no keys
    return b""
