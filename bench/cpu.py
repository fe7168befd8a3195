"""Guest code that makes no system calls, against the same program on the host."""

from statistics import median
from typing import TYPE_CHECKING, Final

from bench.measure import Row, alternate, paired_ratio, quantity
from bench.programs import Programs, time_in_guest, time_native

if TYPE_CHECKING:
    import aionoah

_ROUNDS: Final = 21
_FAST_ENOUGH: Final = "≥ 0.97 of native speed"
_CASES: Final = {
    "sieve": ("sieve of 8 Mi numbers", _FAST_ENOUGH),
    "sha256": ("sha256 of 16 MiB", _FAST_ENOUGH),
    "memcpy": ("memcpy of 64 MiB, 16 times", _FAST_ENOUGH),
    "touch": ("first touch of 64 MiB", ""),
}


async def rows(programs: Programs) -> list[Row]:
    async with programs.linux() as linux:
        return [await _compare(programs, linux, name, *labels) for name, labels in _CASES.items()]


async def _compare(programs: Programs, linux: "aionoah.Linux", name: str, what: str, target: str) -> Row:
    inside, outside = programs.guest(name), programs.native(name)
    results = set()

    async def guest() -> float:
        timed = await time_in_guest(linux, inside)
        results.add(timed.result)
        return timed.seconds

    async def native() -> float:
        timed = await time_native(outside)
        results.add(timed.result)
        return timed.seconds

    ours, theirs = await alternate(_ROUNDS, guest, native)
    if len(results) != 1:
        raise RuntimeError(f"{name} computes something else in the guest: {results}")
    speed = paired_ratio(theirs, ours)
    fastest = min(theirs) / min(ours)  # what others do to caches and memory only ever slows
    other = f"{quantity(median(theirs), 's')} native; fastest runs {fastest:.3f}"
    return Row(what, quantity(median(ours), "s"), other, f"{speed:.3f}", target)
