"""What the kernel knows of the computer."""

import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from aionoah.host import facts
from aionoah.host.facts import MemoryFacts

MEMINFO = b"""MemTotal:       1000 kB
MemFree:         200 kB
MemAvailable:    300 kB
Buffers:          10 kB
Cached:           20 kB
SwapCached:        5 kB
SwapTotal:       400 kB
SwapFree:        350 kB
HugePages_Total:       0
"""


def test_meminfo_is_understood() -> None:
    kilo = 1024
    assert facts.parse_meminfo(MEMINFO) == MemoryFacts(
        1000 * kilo, 200 * kilo, 300 * kilo, 10 * kilo, 20 * kilo, 400 * kilo, 350 * kilo
    )
    assert facts.parse_meminfo(b"MemTotal: 1 kB\nMemFree: 1 kB\n") is None
    assert facts.parse_meminfo(b"") is None
    no_swap = facts.parse_meminfo(MEMINFO.partition(b"Buffers")[0])
    assert no_swap is not None
    assert no_swap.swap_total == 0


def test_memory_of_this_host() -> None:
    found = facts.memory()
    assert found.total == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < found.free <= found.total
    assert 0 < found.available <= found.total


def test_memory_without_meminfo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "_read", lambda _path: b"")
    found = facts.memory()
    assert found.total == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < found.available < found.total


def test_files_that_are_not_there() -> None:
    assert facts._read("/nonexistent/file") == b""
    assert (
        facts.processor_text() == Path("/proc/cpuinfo").read_bytes() or b"processor" in facts.processor_text()
    )


def test_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    assert facts.cpu_count() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")
    assert facts.cpu_count() == os.cpu_count()
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert facts.cpu_count() == 1


def test_load(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(facts.load_average()) == 3

    def fail() -> tuple[float, float, float]:
        raise OSError

    monkeypatch.setattr(os, "getloadavg", fail)
    assert facts.load_average() == (0.0, 0.0, 0.0)


def test_time_since_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert before <= facts.uptime_ns() <= time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    started = int(Path("/proc/stat").read_text().partition("btime ")[2].split()[0])
    assert abs(facts.boot_time_ns() // 1_000_000_000 - started) <= 2
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    assert before <= facts.uptime_ns() <= time.clock_gettime_ns(time.CLOCK_MONOTONIC)


class Library:
    """Stands for Darwin's C library."""

    def sysctlbyname(self, name: bytes, value: object, *_rest: object) -> int:
        values = {b"hw.memsize": 1 << 30, b"vm.page_free_count": 10, b"vm.page_purgeable_count": 5}
        if name not in values:
            return -1
        value._obj.value = values[name]  # type: ignore[attr-defined]
        return 0


def test_darwin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "sys", SimpleNamespace(platform="darwin"))
    monkeypatch.setattr(facts, "_c_library", Library)
    page = os.sysconf("SC_PAGE_SIZE")
    assert facts.memory() == MemoryFacts(1 << 30, 10 * page, 15 * page)
    assert sys.platform == "linux", "the rest of the test run is not on Darwin"
