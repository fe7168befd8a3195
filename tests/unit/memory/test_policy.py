"""Policies of memory: which make sense, and what areas have."""

import pytest
from fakes.expect import fails
from fakes.machine import FakeMachine

from aionoah.abi.errno import Errno
from aionoah.abi.mempolicy import MPOL, MPOL_F
from aionoah.abi.mman import MAP, MREMAP, PROT
from aionoah.hypervisor.protocols import PAGE_SIZE
from aionoah.memory.memory import Memory
from aionoah.memory.policy import Policy, checked_mode, new_policy

ANON = MAP.PRIVATE | MAP.ANONYMOUS
RW = PROT.READ | PROT.WRITE
AT = 0x10_0000_0000
P = PAGE_SIZE


class TestModes:
    @pytest.mark.parametrize(
        "word",
        [
            7,
            1 << 12,
            MPOL.BIND | MPOL_F.STATIC_NODES | MPOL_F.RELATIVE_NODES,
            MPOL.LOCAL | MPOL_F.NUMA_BALANCING,
        ],
    )
    def test_makes_no_sense(self, word: int) -> None:
        fails(Errno.EINVAL, checked_mode, word)

    def test_flags_are_kept(self) -> None:
        word = MPOL.BIND | MPOL_F.NUMA_BALANCING
        policy = new_policy(checked_mode(word), 1)
        assert policy is not None
        assert policy.word == word

    def test_the_default_is_none(self) -> None:
        assert new_policy(MPOL.DEFAULT, 0) is None
        fails(Errno.EINVAL, new_policy, MPOL.DEFAULT, 1)

    def test_preferring_nothing_is_local(self) -> None:
        assert new_policy(MPOL.PREFERRED, 0) == Policy(MPOL.LOCAL, 0, 0, 0)
        fails(Errno.EINVAL, new_policy, MPOL.PREFERRED | MPOL_F.STATIC_NODES, 0)
        fails(Errno.EINVAL, new_policy, MPOL.LOCAL, 1)

    def test_nodes_that_are_not_there_do_not_count(self) -> None:
        policy = new_policy(MPOL.INTERLEAVE, 0b101)
        assert policy is not None
        assert policy.shown == 1
        fails(Errno.EINVAL, new_policy, MPOL.INTERLEAVE, 0b100)
        fails(Errno.EINVAL, new_policy, MPOL.BIND, 0)

    def test_relative_nodes_are_some_node(self) -> None:
        policy = new_policy(MPOL.BIND | MPOL_F.RELATIVE_NODES, 0b100)
        assert policy is not None
        assert (policy.nodes, policy.shown) == (1, 0b100)


class TestAreas:
    def areas(self, memory: Memory) -> list[tuple[int, int]]:
        return [((line.start - AT) // P, (line.end - AT) // P) for line in memory.maps()]

    def test_areas_split_and_join(self, memory: Memory) -> None:
        memory.mmap(AT, 4 * P, RW, ANON | MAP.FIXED)
        memory.bind(AT + P, P, MPOL.BIND, 1)
        assert self.areas(memory) == [(0, 1), (1, 2), (2, 4)]
        assert memory.policy_at(AT) is None
        memory.bind(AT, 4 * P, MPOL.BIND, 1)
        assert self.areas(memory) == [(0, 4)]

    def test_gaps(self, memory: Memory) -> None:
        memory.mmap(AT, P, RW, ANON | MAP.FIXED)
        fails(Errno.EFAULT, memory.bind, AT, 2 * P, MPOL.BIND, 1)
        fails(Errno.EFAULT, memory.bind, AT - P, 2 * P, MPOL.BIND, 1)
        fails(Errno.EFAULT, memory.bind, AT + P, P, MPOL.DEFAULT, 0)
        memory.bind(AT, 2 * P, MPOL.DEFAULT, 0)

    def test_a_policy_stays_with_its_memory(self, memory: Memory, machine: FakeMachine) -> None:
        memory.mmap(AT, P, RW, ANON | MAP.FIXED)
        memory.bind(AT, P, MPOL.BIND, 1)
        memory.mprotect(AT, P, PROT.READ)
        child = memory.fork(lambda _: (1 << 64) - 1)
        assert child.policy_at(AT) == memory.policy_at(AT) == Policy(MPOL.BIND, 0, 1, 1)
        child.close()
        new = memory.mremap(AT, P, 2 * P, MREMAP.MAYMOVE | MREMAP.FIXED, AT + 16 * P)
        assert memory.policy_at(new + P) == Policy(MPOL.BIND, 0, 1, 1)

    def test_homes(self, memory: Memory) -> None:
        memory.mmap(AT, 2 * P, RW, ANON | MAP.FIXED)
        fails(Errno.ENOENT, memory.set_home_node, AT, P, 0)
        memory.bind(AT, P, MPOL.BIND, 1)
        memory.set_home_node(AT, 2 * P, 0)
        assert memory.policy_at(AT) == Policy(MPOL.BIND, 0, 1, 1, 0)
        memory.bind(AT + P, P, MPOL.LOCAL, 0)
        fails(Errno.EOPNOTSUPP, memory.set_home_node, AT, 2 * P, 0)

    def test_nodes_of_pages(self, memory: Memory) -> None:
        fails(Errno.EFAULT, memory.node_of, AT)
        memory.mmap(AT, P, RW, ANON | MAP.FIXED | MAP.NORESERVE)
        fails(Errno.ENOENT, memory.node_of, AT)
        memory.write(AT, b"x")
        assert memory.node_of(AT + 9) == 0
