"""The vDSO (vdso(7)): a small shared object of the kernel's in every program, by which it tells the time
without a system call, and returns from signal handlers on aarch64.

The objects are built from src/ by src/build.sh and kept with the code, as their users need no compiler. What
they know of the time is in the page before them, which the machine keeps right (hypervisor/native/clock_page.h).
"""

import os.path
import struct
from functools import cache
from typing import TYPE_CHECKING, Final

from aionoah.abi.mman import PROT
from aionoah.hypervisor.protocols import PAGE_SIZE

if TYPE_CHECKING:
    from aionoah.hypervisor.protocols import Machine
    from aionoah.memory.memory import Memory

_ELF_ENTRY: Final = struct.Struct("<24xQ")  # e_entry


def object_path(architecture: str) -> str:
    """The ELF file for guests of an architecture ("x86_64", "aarch64")."""
    return os.path.join(os.path.dirname(__file__), f"{architecture}.vdso")  # noqa: PTH118, PTH120 - pathlib is slow to import


@cache
def _object(architecture: str) -> bytes:
    """Read once: whoever runs us may give up the rights to our files."""
    with open(object_path(architecture), "rb") as file:  # noqa: PTH123 - see above
        return file.read()


class Vdso:
    """The vDSO of one instance, in frames that all its programs share."""

    def __init__(self, machine: "Machine") -> None:
        """MemoryError if the machine has no frames left."""
        image = _object(machine.architecture)
        self._code_pages = -(-len(image) // PAGE_SIZE)
        # No program is started at the entry: it says where signal handlers return to, 0 for nowhere.
        (self._signal_return,) = _ELF_ENTRY.unpack_from(image)
        self._frames = machine.frames
        self._first_frame = machine.frames.allocate(1 + self._code_pages)
        machine.frames.view(self._first_frame + 1, self._code_pages)[: len(image)] = image
        self.tells_time = machine.keep_clocks(self._first_frame)

    def map(self, memory: "Memory") -> int:
        """Put clock page and code into a program's memory; returns the address of the ELF header. ENOMEM."""
        clock_page = memory.find_room((1 + self._code_pages) * PAGE_SIZE)
        code = clock_page + PAGE_SIZE
        memory.map_frames(clock_page, self._first_frame, 1, PROT.READ, b"[vvar]")
        memory.map_frames(code, self._first_frame + 1, self._code_pages, PROT.READ | PROT.EXEC, b"[vdso]")
        memory.signal_return = code + self._signal_return if self._signal_return else 0
        return code

    def close(self) -> None:
        """Give the frames back; nothing may run in the machine any more. Closing the machine does it too."""
        self._frames.drop(self._first_frame, 1 + self._code_pages)
