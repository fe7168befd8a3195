"""Unmodified Linux programs inside an async Python process.

async with aionoah.Linux() as linux:
    process = await linux.create_subprocess_exec("ls", "-l", "/", stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
"""

# Nothing is imported to get here: the command line deals with Ctrl-C next, and until then it makes a traceback.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from aionoah.hypervisor.errors import HypervisorError
    from aionoah.linux import Linux, Mount
    from aionoah.net.private.rules import Attempt
    from aionoah.network import Network
    from aionoah.processes import CpuTime, ProcessInfo
    from aionoah.subprocess import DEVNULL, PIPE, STDOUT, InternalError, Process
    from aionoah.terminals import Terminal

__all__ = (
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "Attempt",
    "CpuTime",
    "HypervisorError",
    "InternalError",
    "Linux",
    "Mount",
    "Network",
    "Process",
    "ProcessInfo",
    "Terminal",
)

_HOMES: "Final" = {
    "Attempt": "aionoah.net.private.rules",
    "HypervisorError": "aionoah.hypervisor.errors",
    "Linux": "aionoah.linux",
    "Mount": "aionoah.linux",
    "Network": "aionoah.network",
    "DEVNULL": "aionoah.subprocess",
    "PIPE": "aionoah.subprocess",
    "STDOUT": "aionoah.subprocess",
    "InternalError": "aionoah.subprocess",
    "CpuTime": "aionoah.processes",
    "ProcessInfo": "aionoah.processes",
    "Process": "aionoah.subprocess",
    "Terminal": "aionoah.terminals",
}


def __getattr__(name: str) -> object:
    """Load on first use: a command line that only prints its help loads no kernel."""
    if name in _HOMES:
        from importlib import import_module  # noqa: PLC0415 - see above

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'aionoah' has no attribute {name!r}")
