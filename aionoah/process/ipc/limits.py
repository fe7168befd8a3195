"""How much System V IPC there may be: /proc/sys/kernel/shmmax and so on (sysvipc(7), proc_sys_kernel(5))."""

from typing import Final

_HUGE: Final = (1 << 64) - 1 - (1 << 24)  # ULONG_MAX less what additions shall not overflow


class IpcLimits:
    """Linux's defaults, which root may change. Sizes are bytes; `shmall` is pages."""

    def __init__(self) -> None:
        self.shmmax = _HUGE
        self.shmall = _HUGE
        self.shmmni = 4096
        self.semmsl = 32000  # semaphores of a set…
        self.semmns = 1024000000  # …and of all
        self.semopm = 500  # operations of one call
        self.semmni = 32000  # sets
        self.msgmax = 8192
        self.msgmnb = 16384
        self.msgmni = 32000
