"""What programs are told of the processor they run on, in the auxiliary vector (getauxval(3))."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from aionoah.memory.memory import Memory


class Processor(NamedTuple):
    """AT_HWCAP and its like, and the kernel's own code in a program's memory."""

    hwcap: int = 0  # x86_64: edx of CPUID(1); aarch64: HWCAP_* bits
    hwcap2: int = 0
    minimum_signal_stack: int | None = None  # bytes of the largest signal frame; None leaves it out
    map_vdso: "Callable[[Memory], int] | None" = None  # maps the vDSO, returns where its ELF header is
