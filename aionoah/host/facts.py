"""What the kernel tells programs of the computer it runs on: processors, memory, time since boot, load.

Each function asks the host anew and falls back to what can be known anywhere; none of them fails. Sizes
are in bytes, times in nanoseconds.
"""

import os
import sys
import time
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import ctypes


class MemoryFacts(NamedTuple):
    total: int
    free: int  # used for nothing
    available: int  # could be had without swapping
    buffers: int = 0
    cached: int = 0
    swap_total: int = 0
    swap_free: int = 0


class CacheFacts(NamedTuple):
    """A cache of a processor."""

    level: int
    kind: str  # Data, Instruction or Unified
    size: int
    ways: int
    line_size: int = 64
    is_shared: bool = False  # by all processors


_USUAL_CACHES = (
    CacheFacts(1, "Data", 32 << 10, 8),
    CacheFacts(1, "Instruction", 32 << 10, 8),
    CacheFacts(2, "Unified", 1 << 20, 8),
    CacheFacts(3, "Unified", 32 << 20, 16, is_shared=True),
)


def cpu_count() -> int:
    """Processors that this host process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load_average() -> tuple[float, float, float]:
    """Over one, five and fifteen minutes."""
    try:
        return os.getloadavg()
    except OSError:
        return 0.0, 0.0, 0.0


def uptime_ns() -> int:
    """The clock that is CLOCK_BOOTTIME for guests: nanoseconds since the host's boot, suspension included
    (on Darwin that is CLOCK_MONOTONIC; time.monotonic_ns stops in sleep there).
    """
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC if clock is None else clock)


def boot_time_ns() -> int:
    """When that was, since the epoch."""
    return time.time_ns() - uptime_ns()


def memory() -> MemoryFacts:
    if sys.platform == "darwin":
        return _darwin_memory()
    return parse_meminfo(_read("/proc/meminfo")) or _portable_memory()


def _portable_memory() -> MemoryFacts:
    page = os.sysconf("SC_PAGE_SIZE")
    total = page * os.sysconf("SC_PHYS_PAGES")
    return MemoryFacts(total, total // 2, total // 2)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib is slow to import
            return file.read()
    except OSError:
        return b""


# -- Linux ------------------------------------------------------------------------------------------------

_MEMINFO_KEYS = (
    *(b"MemTotal", b"MemFree", b"MemAvailable", b"Buffers", b"Cached"),
    *(b"SwapTotal", b"SwapFree"),
)


def parse_meminfo(text: bytes) -> MemoryFacts | None:
    """The facts in a /proc/meminfo (proc_meminfo(5)); None if the first three are not all there."""
    found = dict(line.split(b":", 1) for line in text.splitlines() if b":" in line)
    if not all(key in found for key in _MEMINFO_KEYS[:3]):
        return None
    return MemoryFacts(*(int(found.get(key, b"0").split()[0]) * 1024 for key in _MEMINFO_KEYS))


def processor_text() -> bytes:
    """The host's own /proc/cpuinfo; empty where there is none."""
    return _read("/proc/cpuinfo")


def caches() -> tuple[CacheFacts, ...]:
    """Those of the host's first processor, or what is usual; the last level is said to be shared."""
    found: list[CacheFacts] = []
    while (cache := _cache(len(found))) is not None:
        found.append(cache)
    last = max((cache.level for cache in found), default=0)
    return tuple(cache._replace(is_shared=cache.level == last > 1) for cache in found) or _USUAL_CACHES


def _cache(index: int) -> CacheFacts | None:
    names = ("level", "type", "size", "ways_of_associativity", "coherency_line_size")
    above = f"/sys/devices/system/cpu/cpu0/cache/index{index}"
    level, kind, size, ways, line_size = (_read(f"{above}/{name}").strip() for name in names)
    if not (level.isdigit() and size.endswith(b"K") and ways.isdigit() and line_size.isdigit()):
        return None
    kilobytes = size.removesuffix(b"K")
    sizes = int(kilobytes) << 10, max(int(ways), 1), max(int(line_size), 1)
    return CacheFacts(int(level), kind.decode(), *sizes)


def network_text(name: str) -> bytes:
    """A file of the host's /proc/net; empty where there is none."""
    return _read(f"/proc/net/{name}")


# -- Darwin -----------------------------------------------------------------------------------------------


@cache
def _c_library() -> "ctypes.CDLL":
    import ctypes.util  # noqa: PLC0415 - slow to import, and for Darwin only

    return ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)


def _sysctl(name: bytes) -> int:
    """An integer of sysctlbyname(3), 0 if there is none of that name."""
    import ctypes  # noqa: PLC0415

    value, size = ctypes.c_uint64(0), ctypes.c_size_t(8)
    failed = _c_library().sysctlbyname(name, ctypes.byref(value), ctypes.byref(size), None, 0)
    return 0 if failed else value.value


def _darwin_memory() -> MemoryFacts:
    page = os.sysconf("SC_PAGE_SIZE")
    total = _sysctl(b"hw.memsize")
    free = _sysctl(b"vm.page_free_count") * page
    purgeable = _sysctl(b"vm.page_purgeable_count") * page
    external = _sysctl(b"vm.page_pageable_external_count") * page  # backed by files: the page cache
    return MemoryFacts(total, free, min(total, free + purgeable + external), cached=external)
