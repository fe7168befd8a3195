"""How we measure on a machine that others use too, and how the result is printed.

What is compared runs in turn (A B A B …), so that a slow minute slows both; a row's ratio is the median
of the ratios of neighbours, and a row's values are medians.
"""

from collections.abc import Awaitable, Callable, Sequence
from statistics import median
from typing import Final, NamedTuple

Measure = Callable[[], Awaitable[float]]
"""One measurement, in seconds or bytes."""

_SCALES: Final = {
    "s": ((1, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")),
    "B": ((1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")),
}
_HEADER: Final = ("", "aionoah", "compared with", "ratio", "target")


class Row(NamedTuple):
    """A line of the table; a cell that says nothing is empty."""

    what: str
    ours: str
    other: str = ""
    ratio: str = ""
    target: str = ""


async def alternate(rounds: int, *measures: Measure) -> list[list[float]]:
    """Each measure's values, taken in turn. An unrecorded round first warms what can be warmed."""
    values: list[list[float]] = [[] for _ in measures]
    for number in range(rounds + 1):
        for measure, into in zip(measures, values, strict=True):
            value = await measure()
            if number > 0:
                into.append(value)
    return values


def paired_ratio(values: Sequence[float], others: Sequence[float]) -> float:
    """The median of value / other, round by round."""
    return median(a / b for a, b in zip(values, others, strict=True))


def quantity(value: float, unit: str) -> str:
    """A value in seconds ("s") or bytes ("B") with a fitting prefix and three digits.

    >>> quantity(0.0123, "s"), quantity(3 << 20, "B")
    ('12.3 ms', '3.00 MiB')
    """
    scales = _SCALES[unit]
    size, name = next((scale for scale in scales if abs(value) >= scale[0]), scales[-1])
    scaled = value / size
    digits = 0 if abs(scaled) >= 100 or not scaled else 1 if abs(scaled) >= 10 else 2
    return f"{scaled:.{digits}f} {name}"


def table(rows: Sequence[Row]) -> str:
    """Columns under a header; the first is a text, and so is the last."""
    lines = [_HEADER, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place in {0, 2, 4} else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
