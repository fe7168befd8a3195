"""What leases there may be: /proc/sys/fs/leases-enable and lease-break-time (proc_sys_fs(5))."""

from typing import Final

DEFAULT_BREAK_TIME: Final = 45


class LeaseLimits:
    """Of one Linux instance."""

    def __init__(self) -> None:
        self.are_enabled = 1
        self.break_time = DEFAULT_BREAK_TIME  # seconds that a holder has to give way; 0 is for ever
