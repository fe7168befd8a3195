"""What an instance's /proc/sys says of core dumps (core(5), proc_sys_fs(5))."""

from typing import Final

from aionoah.abi.prctl import SUID_DUMP

_DEFAULT_PATTERN: Final = b"core"


class CoreSettings:
    """Of one instance."""

    __slots__ = ("pattern", "pipe_limit", "piped", "suid_dumpable", "uses_pid")

    def __init__(self) -> None:
        self.pattern = _DEFAULT_PATTERN
        self.uses_pid = 0  # whether a name without the pid gets it at its end
        self.pipe_limit = 0  # cores piped to programs at once, which then are waited for; 0 for any
        self.piped = 0  # now
        self.suid_dumpable: int = SUID_DUMP.DISABLE  # what processes are that have changed their user

    @property
    def is_piped(self) -> bool:
        """Whether the pattern is the command line of a program that gets the cores."""
        return self.pattern.startswith(b"|")
