"""/sys: the same as a Linux has where programs look."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aionoah.abi.fcntl import O
from aionoah.abi.stat import S
from aionoah.fs.context import FsContext
from aionoah.fs.mount_namespace import MountNamespace
from aionoah.fs.path import Dentry, walk
from aionoah.fs.sys import new_cgroupfs, new_sysfs
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.host import facts
from aionoah.memory.buffer import KernelBuffer
from aionoah.net.policy import NoNetwork
from aionoah.process.credentials import Credentials
from aionoah.process.kernel import Kernel

if TYPE_CHECKING:
    from fakes.machine import FakeMachine

HOST = Path("/sys/devices/system/cpu")


class Sys:
    def __init__(self, machine: "FakeMachine", count: int) -> None:
        self.mounts = MountNamespace.of(TmpFileSystem(mode=0o755))
        self.kernel = Kernel(machine, self.mounts)
        self.kernel.cpu_count = count
        self.mounts.mount(new_sysfs(self.kernel), b"/sys", read_only=True)
        self.mounts.mount(new_cgroupfs(self.kernel), b"/sys/fs/cgroup", read_only=True)

    def find(self, path: str, *, follow: bool = True) -> Dentry:
        root = self.mounts.root
        return walk(FsContext(root, Credentials()), root, f"/sys/{path}".encode(), follow=follow)

    def read(self, path: str) -> str:
        dentry, buffer = self.find(path), bytearray(1 << 14)
        file: Any = dentry.inode.open(O(O.RDONLY), dentry)
        return buffer[: file.read_nowait(KernelBuffer(buffer))].decode()

    def names(self, path: str) -> set[str]:
        return {name.decode() for _, _, name in self.find(path).inode.listing()} - {".", ".."}


@pytest.fixture
def system(machine: "FakeMachine") -> Iterator[Sys]:
    made = Sys(machine, 2)
    yield made
    made.mounts.release()


def test_processors(system: Sys) -> None:
    cpus = "devices/system/cpu"
    assert {system.read(f"{cpus}/{name}") for name in ("online", "possible", "present")} == {"0-1\n"}
    assert system.read(f"{cpus}/cpu1/topology/thread_siblings") == "2\n"
    assert system.read(f"{cpus}/cpu1/topology/package_cpus_list") == "0-1\n"
    assert system.read(f"{cpus}/cpu1/topology/core_id") == "1\n"
    assert "online" not in system.names(f"{cpus}/cpu0")
    assert system.read("bus/cpu/devices/cpu1/node0/cpulist") == "0-1\n"


@pytest.mark.skipif(not HOST.exists(), reason="the host has no sysfs")
def test_names_are_a_linuxes(system: Sys) -> None:
    for path in ("cpu0/topology", "cpu0/cache/index0"):
        assert system.names(f"devices/system/cpu/{path}") <= set(os.listdir(HOST / path)) | {"uevent"}
    assert system.names("class/net/lo") <= set(os.listdir("/sys/class/net/lo"))
    for path in ("kernel/mm/transparent_hugepage", "devices/system/node/node0"):
        assert system.names(path) <= set(os.listdir(f"/sys/{path}")) | {"cpu0", "cpu1"}


def test_caches(system: Sys, monkeypatch: pytest.MonkeyPatch) -> None:
    caches = (
        facts.CacheFacts(1, "Data", 32 << 10, 8),
        facts.CacheFacts(3, "Unified", 8 << 20, 16, is_shared=True),
    )
    monkeypatch.setattr(facts, "caches", lambda: caches)
    one = "devices/system/cpu/cpu1/cache"
    assert system.read(f"{one}/index0/size") == "32K\n"
    assert system.read(f"{one}/index0/number_of_sets") == "64\n"
    assert system.read(f"{one}/index0/shared_cpu_list") == "1\n"
    assert system.read(f"{one}/index1/shared_cpu_list") == "0-1\n"


def test_memory(system: Sys) -> None:
    blocks = [name for name in system.names("devices/system/memory") if name.startswith("memory")]
    size = int(system.read("devices/system/memory/block_size_bytes"), 16)
    assert len(blocks) == max(system.kernel.machine.frames.limit * 4096 // size, 1)
    assert system.read("devices/system/memory/memory0/state") == "online\n"
    assert "Node 0 MemTotal:" in system.read("devices/system/node/node0/meminfo")


def test_interfaces(system: Sys) -> None:
    assert "lo" in system.names("class/net")
    system.kernel.network.policy = NoNetwork()
    assert system.names("class/net") == {"lo"}
    assert system.find("class/net/lo", follow=False).inode.readlink() == b"../../devices/virtual/net/lo"
    assert system.read("class/net/lo/address") == "00:00:00:00:00:00\n"
    assert system.read("class/net/lo/mtu") == "65536\n"
    assert system.read("class/net/lo/type") == "772\n"


def test_control_groups(system: Sys) -> None:
    assert system.read("fs/cgroup/cgroup.controllers") == "\n"
    assert system.read("fs/cgroup/cgroup.procs") == ""
    assert system.read("fs/cgroup/cpu.stat") == "usage_usec 0\nuser_usec 0\nsystem_usec 0\n"
    assert system.find("fs/cgroup").mount.filesystem.type_name == b"cgroup2"


def test_attributes(system: Sys) -> None:
    found = system.find("kernel/cpu_byteorder").inode.attributes()
    assert (found.mode, found.size) == (S.IFREG | 0o444, 4096)


def test_what_a_host_says_of_its_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "_read", lambda path: b"")
    assert [cache.level for cache in facts.caches()] == [1, 1, 2, 3]
    told = {"level": b"2\n", "type": b"Unified\n", "size": b"512K\n"}
    told |= {"ways_of_associativity": b"8\n", "coherency_line_size": b"64\n"}
    monkeypatch.setattr(
        facts, "_read", lambda path: told[path.rpartition("/")[2]] if "index0/" in path else b""
    )
    assert facts.caches() == (facts.CacheFacts(2, "Unified", 512 << 10, 8, 64, is_shared=True),)
