"""The address space of what runs no program: nothing is in it, and nothing can be put there."""

from collections.abc import Sequence
from typing import Self

from aionoah.hypervisor.protocols import Extent, Prot


class EmptySpace:
    """An AddressSpace without a page table, so it takes nothing of the hypervisor."""

    end = 0  # every address is outside
    open_vcpus = 0
    mapped = 0
    most_mapped = 0

    def reserve_vcpus(self, count: int) -> None:  # noqa: ARG002
        raise MemoryError

    def map(self, address: int, first_frame: int, count: int, prot: Prot, *, is_file: bool = False) -> None:  # noqa: ARG002
        raise MemoryError

    def unmap(self, address: int, length: int) -> None:
        """Empty it is already, as for the next three."""

    def protect(self, address: int, length: int, prot: Prot, *, exclusive: bool = False) -> None: ...

    def unshare(self, address: int, length: int, prot: Prot) -> None: ...

    def move(self, old: int, new: int, length: int) -> None: ...

    def fork(self, child: Self, address: int, length: int, *, share: bool) -> None:
        """The child has nothing then either."""

    def extent(self, address: int) -> Extent | None:  # noqa: ARG002
        return None

    def resident(self, address: int, count: int) -> Sequence[bool]:  # noqa: ARG002
        return [False] * count

    def next_mapped(self, address: int, end: int) -> int:  # noqa: ARG002
        return end

    def close(self) -> None:
        """It holds nothing."""
