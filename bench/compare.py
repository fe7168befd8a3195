"""Programs that time themselves, in a guest and on the host in turn, and what the result is measured with."""

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from bench.measure import Row, alternate, paired_ratio, quantity
from bench.programs import Programs, time_in_guest, time_native

if TYPE_CHECKING:
    import aionoah

_ROUNDS = 5


class Case(NamedTuple):
    """A case of a program of programs/, and what is wanted of it."""

    what: str
    words: Sequence[str]
    target: str
    host_words: Sequence[str] | None = None  # where paths differ there


class Result(NamedTuple):
    """Seconds, round by round."""

    guest: list[float]
    native: list[float]

    def row(self, case: Case) -> Row:
        other = f"{quantity(median(self.native), 's')} native"
        ratio = paired_ratio(self.guest, self.native)
        return Row(case.what, quantity(median(self.guest), "s"), other, f"{ratio:.2f}", case.target)

    def speed_row(self, case: Case) -> Row:
        """The ratio is that of speeds."""
        ratio = paired_ratio(self.native, self.guest)
        return self.row(case)._replace(ratio=f"{ratio:.2f}")


async def compare(
    programs: Programs, linux: "aionoah.Linux", name: str, case: Case, rounds: int = _ROUNDS
) -> Result:
    """What a program says of its own time."""
    inside, outside = programs.guest(name), programs.native(name)

    async def guest() -> float:
        return (await time_in_guest(linux, inside, *case.words)).seconds

    async def native() -> float:
        return (await time_native(outside, *(case.host_words or case.words))).seconds

    return Result(*await alternate(rounds, guest, native))
