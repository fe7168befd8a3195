"""What threads and processes have used of the machine, as getrusage, wait4 and /proc report it (getrusage(2)).

Of page faults those count that left the guest; which of them the host had to read from a disk nobody tells us,
so none is a major one. Blocks of disks and messages are not counted. Reads and writes count as in Linux: whatever they
are of, with those of reaped children, and without what memory maps, sends, receives or splices.
"""

from typing import TYPE_CHECKING

from aionoah.abi.resource import Rusage
from aionoah.clocks.duration import timeval

if TYPE_CHECKING:
    from aionoah.process.task import Process, Task

_KIB = 1024


class Usage:
    """Sums; of the peak the maximum."""

    __slots__ = (
        *(
            "bytes_read",
            "bytes_written",
            "involuntary_switches",
            "minor_faults",
            "peak_resident",
            "read_calls",
        ),
        *("system_time_ns", "user_time_ns", "voluntary_switches", "write_calls"),
    )

    def __init__(self) -> None:
        self.user_time_ns = 0  # in the guest
        self.system_time_ns = 0  # in the kernel, on the thread's behalf
        self.minor_faults = 0
        self.voluntary_switches = 0  # calls that slept
        self.involuntary_switches = 0  # how often the guest was made to leave, by a signal for one
        self.peak_resident = 0  # bytes of memory at once
        self.read_calls = 0  # read(2) and its kind, those that failed too
        self.write_calls = 0
        self.bytes_read = 0  # by these
        self.bytes_written = 0

    @property
    def cpu_time_ns(self) -> int:
        return self.user_time_ns + self.system_time_ns

    def has_read(self, count: int) -> int:
        """A call has read so many bytes, which are returned."""
        self.read_calls += 1
        self.bytes_read += count
        return count

    def has_written(self, count: int) -> int:
        self.write_calls += 1
        self.bytes_written += count
        return count

    def add(self, other: "Usage") -> None:
        self.user_time_ns += other.user_time_ns
        self.system_time_ns += other.system_time_ns
        self.minor_faults += other.minor_faults
        self.voluntary_switches += other.voluntary_switches
        self.involuntary_switches += other.involuntary_switches
        self.peak_resident = max(self.peak_resident, other.peak_resident)
        self.read_calls += other.read_calls
        self.write_calls += other.write_calls
        self.bytes_read += other.bytes_read
        self.bytes_written += other.bytes_written

    def to_abi(self) -> Rusage:
        return Rusage(
            ru_utime=timeval(self.user_time_ns),
            ru_stime=timeval(self.system_time_ns),
            ru_maxrss=self.peak_resident // _KIB,
            ru_ixrss=0,
            ru_idrss=0,
            ru_isrss=0,
            ru_minflt=self.minor_faults,
            ru_majflt=0,
            ru_nswap=0,
            ru_inblock=0,
            ru_oublock=0,
            ru_msgsnd=0,
            ru_msgrcv=0,
            ru_nsignals=0,
            ru_nvcsw=self.voluntary_switches,
            ru_nivcsw=self.involuntary_switches,
        )


def usage_of_thread(task: "Task") -> Usage:
    """Of one thread so far; the peak is that of its memory."""
    found = Usage()
    task.control.count_moved()
    found.add(task.counts)
    total_ns = task.control.cpu_time_ns()
    found.user_time_ns = min(task.control.user_time_ns(), total_ns)
    found.system_time_ns = total_ns - found.user_time_ns
    found.peak_resident = task.memory.peak_resident
    return found


def usage_of_process(process: "Process") -> Usage:
    """Of all its threads, past and present."""
    found = Usage()
    found.add(process.ended_usage)
    for task in process.tasks.values():
        found.add(usage_of_thread(task))
    return found


def usage_with_children(process: "Process") -> Usage:
    """Of a process and the children that it has waited for, and theirs."""
    found = usage_of_process(process)
    found.add(process.children_usage)
    return found
