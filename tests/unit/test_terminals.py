"""How often the application looks at a terminal's screen."""

from collections.abc import Callable
from typing import Any

from aionoah.terminals import _Flag


class Timer:
    is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class Loop:
    """Does at once what is to be done soon, and keeps what is to be done later."""

    def __init__(self) -> None:
        self.later: list[tuple[float, Callable[[], None], Timer]] = []

    def call_soon_threadsafe(self, callback: Callable[[], None]) -> None:
        callback()

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        self.later.append((delay, callback, Timer()))
        return self.later[-1][2]

    def pass_time(self) -> float:
        delay, callback, timer = self.later.pop()
        assert not timer.is_cancelled
        assert not self.later
        callback()
        return delay


class Screen:
    def __init__(self) -> None:
        self.looks = self.waiting = 0
        self.is_much = False
        self.loop = Loop()
        loop: Any = self.loop
        self.flag = _Flag(loop, self.look, lambda: self.waiting)

    def look(self) -> bool:
        self.looks += 1
        return self.is_much


def test_each_key_is_looked_at() -> None:
    screen = Screen()
    for count in range(1, 4):
        screen.flag.notify()
        assert screen.looks == count
    assert not screen.loop.later


def test_after_much_there_is_a_pause() -> None:
    screen = Screen()
    screen.is_much = True
    screen.flag.notify()
    for _ in range(3):
        screen.flag.notify()
    assert screen.looks == 1
    pauses = [screen.loop.pass_time() for _ in range(6)]
    assert screen.looks == 7
    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[-1] <= 0.01
    screen.is_much = False
    screen.loop.pass_time()
    screen.is_much = True
    screen.flag.notify()
    assert screen.looks == 9
    assert screen.loop.later[0][0] == pauses[0]


def test_a_full_terminal_is_not_left_waiting() -> None:
    screen = Screen()
    screen.is_much = True
    screen.flag.notify()
    timer = screen.loop.later[0][2]
    screen.waiting = 100_000
    screen.flag.notify()
    assert screen.looks == 2
    assert timer.is_cancelled
