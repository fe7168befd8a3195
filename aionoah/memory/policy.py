"""On which nodes memory is to be (mbind(2), set_mempolicy(2); Linux mm/mempolicy.c).

There is one node, 0, so that every page is where any policy wants it. What was asked for is checked, kept and told.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from aionoah.abi.architecture import PAGE_MASK
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.mempolicy import MPOL, MPOL_F, MPOL_MODE_FLAGS
from aionoah.abi.words import WORD_MASK
from aionoah.memory.mm import Mm, page_align
from aionoah.memory.vma import Vma

NODES: Final = 1
"""A set of all nodes."""

_OF_THE_USER: Final = MPOL_F.STATIC_NODES | MPOL_F.RELATIVE_NODES
_BALANCED: Final = {MPOL.BIND, MPOL.PREFERRED_MANY}


class Policy(NamedTuple):
    """One policy. Sets of nodes have a bit for each."""

    mode: int  # MPOL
    flags: int  # MPOL_F
    nodes: int  # that it means here
    wanted: int  # as they were given
    home: int | None = None  # the node to begin with

    @property
    def word(self) -> int:
        """Mode and flags, as programs give and get them."""
        return self.mode | self.flags

    @property
    def shown(self) -> int:
        """The nodes as get_mempolicy tells them."""
        return self.wanted if self.flags & MPOL_MODE_FLAGS else self.nodes


def checked_mode(word: int) -> int:
    """The same word, if it makes sense by itself. EINVAL."""
    flags, mode = word & MPOL_MODE_FLAGS, word & ~MPOL_MODE_FLAGS
    if mode not in MPOL.members() or flags & _OF_THE_USER == _OF_THE_USER:
        raise LinuxError(Errno.EINVAL)
    if flags & MPOL_F.NUMA_BALANCING and mode not in _BALANCED:
        raise LinuxError(Errno.EINVAL)
    return word


def new_policy(word: int, nodes: int) -> Policy | None:
    """The policy of a mode with its flags; None for the default one. EINVAL, also where no node would be left."""
    flags, mode = word & MPOL_MODE_FLAGS, word & ~MPOL_MODE_FLAGS
    if mode == MPOL.PREFERRED and not nodes:
        mode = MPOL.LOCAL
    if mode in {MPOL.DEFAULT, MPOL.LOCAL}:
        if nodes or (mode == MPOL.LOCAL and flags & _OF_THE_USER):
            raise LinuxError(Errno.EINVAL)
        return None if mode == MPOL.DEFAULT else Policy(mode, flags, 0, 0)
    # Relative ones are counted modulo how many there are.
    meant = bool(nodes) * NODES if flags & MPOL_F.RELATIVE_NODES else nodes & NODES
    if not meant:
        raise LinuxError(Errno.EINVAL)
    return Policy(mode, flags, meant, nodes)


def _range(mm: Mm, start: int, length: int) -> tuple[int, list[Vma]]:
    """The end of a range, and the areas in it. EINVAL."""
    end = start + page_align(length)
    if start & PAGE_MASK or end > WORD_MASK:
        raise LinuxError(Errno.EINVAL)
    return end, mm.vmas.overlapping(start, end) if start < end else []


def _put(mm: Mm, areas: Iterable[Vma], start: int, end: int, policy: Policy | None) -> None:
    for area in areas:
        part = area.part(start, end)
        mm.vmas.replace(part.start, part.end, lambda old: old.with_policy(policy))


def bind(mm: Mm, start: int, length: int, word: int, nodes: int) -> None:
    """A policy for a range, or with MPOL_DEFAULT none; that may have gaps. EINVAL, EFAULT."""
    end, areas = _range(mm, start, length)
    if start == end:
        return
    policy = new_policy(word, nodes)
    if not areas or (policy is not None and _has_gaps(areas, start, end)):
        raise LinuxError(Errno.EFAULT)
    _put(mm, areas, start, end, policy)


def _has_gaps(areas: list[Vma], start: int, end: int) -> bool:
    covered = start
    for area in areas:
        if area.start > covered:
            return True
        covered = area.end
    return covered < end


def set_home(mm: Mm, start: int, length: int, node: int) -> None:
    """Where to begin with what is bound. EINVAL; ENOENT where no policy is, EOPNOTSUPP for other policies."""
    end, areas = _range(mm, start, length)
    if start == end:
        return
    found = False
    for area in areas:
        policy = area.policy
        if policy is None:
            continue
        if policy.mode not in _BALANCED:
            raise LinuxError(Errno.EOPNOTSUPP)
        _put(mm, [area], start, end, policy._replace(home=node))
        found = True
    if not found:
        raise LinuxError(Errno.ENOENT)
