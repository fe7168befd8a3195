"""How much asynchronous input and output there may be: /proc/sys/fs/aio-max-nr (proc_sys_fs(5))."""

from typing import Final

from aionoah.abi.errno import Errno, LinuxError

DEFAULT_LIMIT: Final = 65536


class AioLimits:
    """How many requests the contexts of one Linux instance may have been made for."""

    def __init__(self) -> None:
        self.most = DEFAULT_LIMIT
        self.taken = 0

    def take(self, count: int) -> None:
        """EAGAIN."""
        if self.taken + count > self.most:
            raise LinuxError(Errno.EAGAIN)
        self.taken += count
