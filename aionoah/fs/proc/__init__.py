"""/proc: what the kernel tells of processes and of itself (proc(5)).

tree.py puts the directories together; the other modules have the functions that make the text of their files.
"""

from typing import TYPE_CHECKING, Final

from aionoah.abi.statfs import MAGIC
from aionoah.fs.device_numbers import anonymous_device
from aionoah.fs.synthetic import Directory, LazyDirectory, SyntheticFileSystem

if TYPE_CHECKING:
    from aionoah.process.kernel import Kernel

DEVICE: Final = anonymous_device()


def new_procfs(kernel: "Kernel") -> SyntheticFileSystem:
    """A file system for /proc. Its tree is loaded when somebody looks into it, which most programs do not."""
    return SyntheticFileSystem(
        LazyDirectory(_load),
        kernel,
        type_name=b"proc",
        magic=MAGIC.PROC,
        device=DEVICE,
        block_size=1024,
    )


def _load() -> "Directory[Kernel]":
    from aionoah.fs.proc.tree import ROOT  # noqa: PLC0415 - a tenth of the time that a short program takes

    return ROOT
