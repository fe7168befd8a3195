"""What the benchmarks compute and print."""

from collections.abc import Awaitable, Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.measure import Row, alternate, paired_ratio, quantity, table


def measure_of(name: str, values: Iterator[float], log: list[str]) -> Callable[[], Awaitable[float]]:
    async def measure() -> float:
        log.append(name)
        return next(values)

    return measure


async def test_measures_take_turns_and_the_first_round_is_not_recorded() -> None:
    log: list[str] = []
    ours = measure_of("a", iter([100.0, 1.0, 2.0]), log)
    theirs = measure_of("b", iter([200.0, 3.0, 4.0]), log)
    assert await alternate(2, ours, theirs) == [[1.0, 2.0], [3.0, 4.0]]
    assert log == ["a", "b"] * 3


def test_a_slow_minute_that_hits_both_does_not_change_the_ratio() -> None:
    calm, busy = [2.0, 2.0, 2.0], [2.0, 20.0, 30.0]
    halves = [value / 2 for value in busy]
    assert paired_ratio(calm, [1.0, 1.0, 1.0]) == paired_ratio(busy, halves) == 2.0


def test_one_outlier_does_not_count() -> None:
    assert paired_ratio([1.0, 1.0, 50.0], [1.0, 1.0, 1.0]) == 1.0


def test_a_ratio_needs_as_many_of_both() -> None:
    with pytest.raises(ValueError, match="shorter"):
        paired_ratio([1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "s", "0 ns"),
        (2.5e-8, "s", "25.0 ns"),
        (1.234e-6, "s", "1.23 µs"),
        (0.0123, "s", "12.3 ms"),
        (0.2, "s", "200 ms"),
        (61.0, "s", "61.0 s"),
        (17, "B", "17.0 B"),
        (3 << 20, "B", "3.00 MiB"),
        (-(5 << 10), "B", "-5.00 KiB"),
    ],
)
def test_quantities(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


@given(st.floats(1e-9, 1e3))
def test_a_quantity_can_be_read_back(seconds: float) -> None:
    number, name = quantity(seconds, "s").split()
    scale = {"ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0}[name]
    assert float(number) * scale == pytest.approx(seconds, rel=0.006)


def test_columns_stand_below_each_other() -> None:
    printed = table([Row("short", "1 s", "2 s native", "0.50", "≥ 0.9"), Row("rather longer", "100 ms")])
    header, first, second = printed.splitlines()
    assert header.split() == ["aionoah", "compared", "with", "ratio", "target"]
    assert (
        first.index("1 s") + len("1 s")
        == second.index("100 ms") + len("100 ms")
        == header.index("aionoah") + 7
    )
    assert first.index("2 s native") == header.index("compared with")
    assert second.endswith("100 ms")
