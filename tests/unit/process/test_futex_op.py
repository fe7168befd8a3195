"""FUTEX_WAKE_OP's little programs, against their definition and against guests that interfere."""

import pytest
from fakes.expect import fails
from fakes.threads import ARENA, World
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.errno import Errno
from aionoah.abi.futex import FUTEX_OP, FUTEX_OP_CMP, FUTEX_OP_OPARG_SHIFT
from aionoah.process.futex_op import exchange_and_compare
from aionoah.process.task import Task

WORDS = st.integers(0, 0xFFFF_FFFF)


class OneWord:
    """Memory of one word; `interference` are values that a guest puts there just before the exchange."""

    def __init__(self, value: int, *interference: int) -> None:
        self.value = value
        self.interference = list(interference)

    def load_word(self, address: int) -> int:
        assert address == 8
        return self.value

    def compare_exchange(self, address: int, expected: int, new: int) -> int:
        assert address == 8
        assert 0 <= new < 1 << 32
        if self.interference:
            self.value = self.interference.pop(0)
        found = self.value
        if found == expected:
            self.value = new
        return found


def code(operation: int, argument: int, comparison: int = FUTEX_OP_CMP.EQ, operand: int = 0) -> int:
    return operation << 28 | comparison << 24 | (argument & 0xFFF) << 12 | operand & 0xFFF


def run(memory: OneWord, program: int) -> bool:
    return exchange_and_compare(memory, 8, program)  # type: ignore[arg-type] - all that it needs


@pytest.mark.parametrize(
    ("operation", "argument", "result"),
    [
        (FUTEX_OP.SET, 7, 7),
        (FUTEX_OP.SET, -1, 0xFFFF_FFFF),
        (FUTEX_OP.ADD, 3, 0x8),
        (FUTEX_OP.ADD, -6, 0xFFFF_FFFF),
        (FUTEX_OP.OR, 0x10, 0x15),
        (FUTEX_OP.ANDN, 1, 0x4),
        (FUTEX_OP.XOR, 6, 0x3),
        (FUTEX_OP.SET | FUTEX_OP_OPARG_SHIFT, 31, 1 << 31),
        (FUTEX_OP.OR | FUTEX_OP_OPARG_SHIFT, 33, 7),  # only five bits of a shift count
        (FUTEX_OP.ANDN | FUTEX_OP_OPARG_SHIFT, 2, 1),
    ],
)
def test_operations(operation: int, argument: int, result: int) -> None:
    memory = OneWord(5)
    assert run(memory, code(operation, argument, operand=5))
    assert memory.value == result


@given(WORDS, st.integers(-2048, 2047))
def test_comparisons_are_signed_and_of_the_old_value(word: int, operand: int) -> None:
    old = word - (1 << 32) if word >> 31 else word
    expected = [old == operand, old != operand, old < operand, old <= operand, old > operand, old >= operand]
    found = [run(OneWord(word), code(FUTEX_OP.SET, 9, comparison, operand)) for comparison in range(6)]
    assert found == expected


@given(st.lists(WORDS, min_size=1, max_size=4, unique=True), st.integers(0, 4), st.integers(-2048, 2047))
def test_it_is_one_step_whatever_the_guests_do(words: list[int], operation: int, argument: int) -> None:
    memory, alone = OneWord(*words), OneWord(words[-1])
    assert run(memory, code(operation, argument, FUTEX_OP_CMP.GE, 3)) == run(
        alone, code(operation, argument, FUTEX_OP_CMP.GE, 3)
    )
    assert memory.value == alone.value


@pytest.mark.parametrize("operation", [5, 6, 7, 13, 15])
def test_what_does_not_exist_changes_nothing(operation: int) -> None:
    memory = OneWord(5)
    fails(Errno.ENOSYS, run, memory, code(operation, 1))
    assert memory.value == 5


@pytest.mark.parametrize("comparison", [6, 15])
def test_a_comparison_that_does_not_exist_comes_too_late(comparison: int) -> None:
    memory = OneWord(5)
    fails(Errno.ENOSYS, run, memory, code(FUTEX_OP.ADD, 1, comparison))
    assert memory.value == 6


def test_in_memory(world: World, main: Task) -> None:
    main.memory.write_word(ARENA + 4, 41, 4)
    assert exchange_and_compare(main.memory, ARENA + 4, code(FUTEX_OP.ADD, 1, operand=41))
    assert main.memory.read_word(ARENA, 8) == 42 << 32
    fails(Errno.EFAULT, exchange_and_compare, main.memory, 8, code(FUTEX_OP.ADD, 1))
