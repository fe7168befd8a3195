"""Files of /proc about the whole system: cpuinfo, meminfo, stat, uptime and their like."""

import platform
import sys
from typing import TYPE_CHECKING

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.time import NSEC_PER_SEC, USER_TICK_NS
from aionoah.host import facts
from aionoah.process.usage import Usage, usage_of_process

if TYPE_CHECKING:
    from aionoah.process.kernel import Kernel


def _cpu_times_ns(kernel: "Kernel") -> tuple[int, int, int]:
    """Time that guests have used as users and in the kernel, and what the processors had otherwise, since boot."""
    used = Usage()
    for process in kernel.processes.values():
        used.add(usage_of_process(process))
    idle = max(facts.uptime_ns() * kernel.cpu_count - used.cpu_time_ns, 0)
    return used.user_time_ns, used.system_time_ns, idle


def uptime(kernel: "Kernel") -> bytes:
    *_, idle = _cpu_times_ns(kernel)
    return b"%.2f %.2f\n" % (facts.uptime_ns() / NSEC_PER_SEC, idle / NSEC_PER_SEC)


def loadavg(kernel: "Kernel") -> bytes:
    threads = len(kernel.tasks)
    return b"%.2f %.2f %.2f 1/%d %d\n" % (*facts.load_average(), threads, kernel.last_pid)


def version(kernel: "Kernel") -> bytes:
    return b"Linux version %s (aionoah@aionoah) (python %s) %s\n" % (
        kernel.release,
        platform.python_version().encode(),
        kernel.version,
    )


def stat(kernel: "Kernel") -> bytes:
    """Processors are not told apart: each has its share."""
    user, system, idle = (time // USER_TICK_NS for time in _cpu_times_ns(kernel))
    line = b"%d 0 %d %d 0 0 0 0 0 0\n"
    lines = [b"cpu  " + line % (user, system, idle)]
    count = kernel.cpu_count
    lines += [
        b"cpu%d " % cpu + line % (user // count, system // count, idle // count) for cpu in range(count)
    ]
    return b"".join(lines) + b"intr 0\nctxt 0\nbtime %d\nprocesses %d\n%s" % (
        kernel.boot_time_ns // NSEC_PER_SEC,
        kernel.forks,
        b"procs_running 1\nprocs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n",
    )


# -- memory -------------------------------------------------------------------------------------------------

_MEMINFO_ZEROS = (
    *(b"Unevictable", b"Mlocked"),
    *(b"SwapTotal", b"SwapFree", b"Dirty", b"Writeback", b"AnonPages", b"Mapped", b"Shmem"),
    *(b"KReclaimable", b"Slab", b"SReclaimable", b"SUnreclaim", b"KernelStack", b"PageTables"),
    *(b"SecPageTables", b"NFS_Unstable", b"Bounce", b"WritebackTmp"),
)


def meminfo(kernel: "Kernel") -> bytes:
    """The host's memory, as far as guests may have it; what only a host's kernel has is 0.

    Programs take what is used to be the rest (i3status, free): so what is free or a cache is never more than all.
    """
    host, frames = facts.memory(), kernel.machine.frames
    total = min(host.total, frames.limit * PAGE_SIZE)
    used = min(frames.in_use * PAGE_SIZE, total)
    free = min(host.free, total - used)
    available = min(host.available, total - used)
    cached = min(host.cached, total - used - free)
    values: dict[bytes, int] = {
        b"MemTotal": total,
        b"MemFree": free,
        b"MemAvailable": available,
        b"Buffers": min(host.buffers, total - used - free - cached),
        b"Cached": cached,
        b"SwapCached": 0,
        b"Active": used,
        b"Inactive": cached,
        b"Active(anon)": used,
        b"Inactive(anon)": 0,
        b"Active(file)": 0,
        b"Inactive(file)": cached,
    }
    values |= dict.fromkeys(_MEMINFO_ZEROS, 0)
    values |= {b"AnonPages": used, b"CommitLimit": total, b"Committed_AS": used}
    values |= dict.fromkeys(
        (b"VmallocTotal", b"VmallocUsed", b"VmallocChunk", b"Percpu", b"AnonHugePages"), 0
    )
    lines = [_meminfo_line(name, value // 1024) for name, value in values.items()]
    return b"".join(lines) + b"Hugepagesize:       2048 kB\n"


def _meminfo_line(name: bytes, kilobytes: int) -> bytes:
    return (name + b":").ljust(16) + b"%8d kB\n" % kilobytes


# -- processors ---------------------------------------------------------------------------------------------

_X86_FLAGS = b"fpu tsc cx8 cmov mmx fxsr sse sse2 syscall nx lm"
_ARM_FEATURES = b"fp asimd"


def cpuinfo(kernel: "Kernel") -> bytes:
    """The host's own text where guests run on its very processors, else the least that any has."""
    is_native = kernel.machine.name == "kvm" and sys.platform == "linux"
    text = facts.processor_text() if is_native else b""
    if text:
        return text
    make = _x86_processor if kernel.machine.architecture == "x86_64" else _arm_processor
    return b"".join(make(cpu, kernel.cpu_count) for cpu in range(kernel.cpu_count))


def _x86_processor(cpu: int, count: int) -> bytes:
    fields = (
        *((b"processor", b"%d" % cpu), (b"vendor_id", b"GenuineIntel"), (b"cpu family", b"6")),
        *((b"model", b"15"), (b"model name", b"aionoah virtual CPU"), (b"stepping", b"1")),
        *((b"physical id", b"0"), (b"siblings", b"%d" % count), (b"core id", b"%d" % cpu)),
        *((b"cpu cores", b"%d" % count), (b"fpu", b"yes"), (b"fpu_exception", b"yes"), (b"wp", b"yes")),
        *((b"flags", _X86_FLAGS), (b"clflush size", b"64"), (b"cache_alignment", b"64")),
        (b"address sizes", b"48 bits physical, 48 bits virtual"),
    )
    return b"".join(_field(name, value) for name, value in fields) + b"power management:\n\n"


def _arm_processor(cpu: int, count: int) -> bytes:  # noqa: ARG001 - as for the other architecture
    fields = (
        *((b"processor", b"%d" % cpu), (b"BogoMIPS", b"100.00"), (b"Features", _ARM_FEATURES)),
        *((b"CPU implementer", b"0x41"), (b"CPU architecture", b"8"), (b"CPU variant", b"0x0")),
        *((b"CPU part", b"0xd07"), (b"CPU revision", b"0")),
    )
    return b"".join(_field(name, value) for name, value in fields) + b"\n"


def _field(name: bytes, value: bytes) -> bytes:
    tabs = b"\t" * max(2 - len(name) // 8, 0)
    return name + tabs + b": " + value + b"\n"


# -- constants ----------------------------------------------------------------------------------------------


def filesystems(kernel: "Kernel") -> bytes:
    """The types that exist here: those that are mounted and those that have no need to be."""
    known = [b"tmpfs", b"proc", b"devtmpfs", b"sockfs", b"pipefs"]
    known += [m.filesystem.type_name for m in kernel.mounts.mounts if m.filesystem.type_name not in known]
    return b"".join(b"nodev\t%s\n" % name for name in dict.fromkeys(known))


def cmdline(kernel: "Kernel") -> bytes:  # noqa: ARG001 - nobody has booted us
    return b"\n"


def swaps(kernel: "Kernel") -> bytes:  # noqa: ARG001 - the host's swap is not ours to tell
    return b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
