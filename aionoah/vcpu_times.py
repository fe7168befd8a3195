"""The CPU time of a guest thread: that of its OS thread, of which its virtual CPUs say how much was the guest's."""

import threading
import time
from typing import TYPE_CHECKING

from aionoah.host import platform

if TYPE_CHECKING:
    from aionoah.hypervisor.protocols import Vcpu


class VcpuTimes:
    """Of one thread; in nanoseconds. Asked from any thread, under the kernel lock."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None  # once it runs
        self._start_ns = 0  # of the OS thread, which may have served others before
        self._total_ns: int | None = None  # once it has ended
        self._closed_ns = 0  # with virtual CPUs that have been closed
        self._told_user_ns = self._told_system_ns = 0

    def begin(self) -> None:
        """On the thread itself, as is `end`."""
        self._start_ns = time.thread_time_ns()
        self._thread = threading.current_thread()

    def end(self) -> None:
        self._total_ns = time.thread_time_ns() - self._start_ns

    def closes(self, vcpu: "Vcpu") -> None:
        self._closed_ns += vcpu.user_time_ns()

    def total_ns(self) -> int:
        if self._total_ns is not None:
            return self._total_ns
        if self._thread is None or self._thread.ident is None:
            return 0
        return platform.thread_cpu_time_ns(self._thread.ident) - self._start_ns

    def user_ns(self, vcpu: "Vcpu | None") -> int:
        """What the virtual CPU says may be too long by some of its present stay. So it leaves the system what
        has been told of that, and never goes back itself.
        """
        said_ns = self._closed_ns + (vcpu.user_time_ns() if vcpu is not None else 0)
        total_ns = self.total_ns()
        self._told_user_ns = max(min(said_ns, total_ns - self._told_system_ns), self._told_user_ns)
        self._told_system_ns = total_ns - self._told_user_ns
        return self._told_user_ns
