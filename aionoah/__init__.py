"""Unmodified Linux programs inside an async Python process.

async with aionoah.Linux() as linux:
    process = await linux.create_subprocess_exec("ls", "-l", "/", stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
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

_HOMES: Final = {
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


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any of the above
    """Load on first use: a command line that only prints its help loads no kernel."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'aionoah' has no attribute {name!r}")
