"""A person at a terminal: programs driven through the host's tmux, natively and in a guest, screen by screen."""

import contextlib
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

AIONOAH = Path(sys.executable).with_name("aionoah")
_PATIENCE = 200  # seconds until a screen that does not come counts as a failure
_GLANCE = 0.03  # seconds between looks
_RESTLESS = 10  # seconds, for commands that never sleep for long: their screens have come to rest by then


class Screen:
    """A terminal of 80 columns and 24 rows that a command runs on."""

    def __init__(self, name: str, command: list[str], directory: Path) -> None:
        self._tmux = ["tmux", "-S", str(directory / f"{name}.socket"), "-f", "/dev/null"]
        # A shell that stays: the screen is still there when the command has ended.
        line = f"trap : INT; {shlex.join(command)}; echo status $?; exec sleep 1000"
        size = ("-x", "80", "-y", "24")
        self._pid = self._call(
            "new-session", "-d", "-P", "-F", "#{pane_pid}", *size, "-c", str(directory), "sh", "-c", line
        ).strip()

    def _call(self, *words: str) -> str:
        done = subprocess.run(
            [*self._tmux, *words], capture_output=True, text=True, check=True, timeout=_PATIENCE
        )
        return done.stdout

    def press(self, *keys: str) -> None:
        """Keys by the names that tmux has for them; other words are typed."""
        self._call("send-keys", *keys)

    def type(self, text: str) -> None:
        self._call("send-keys", "-l", f"{text[:-1]}\\;" if text.endswith(";") else text)

    def resize(self, columns: int, rows: int) -> None:
        self._call("resize-window", "-x", str(columns), "-y", str(rows))

    def look(self, *, colours: bool = False) -> str:
        """The rows, without the spaces at their ends."""
        shown = self._call("capture-pane", "-p", *(["-e"] if colours else []))
        return "\n".join(row.rstrip() for row in shown.splitlines()).rstrip("\n")

    def wait(
        self, expected: str | Callable[[str], bool], *, colours: bool = False, unlike: str | None = None
    ) -> str:
        """The screen once it has what is expected, is another than one before, and does not change any more: who
        draws it sleeps.
        """
        is_there = expected if callable(expected) else lambda shown: expected in shown
        before, since, end = "", 0.0, time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            sleep = self._sleep()
            time.sleep(_GLANCE)
            shown = self.look()
            if shown == before and is_there(shown) and (found := self.look(colours=colours)) != unlike:
                since = since or time.monotonic()
                if sleep == self._sleep() != {} or time.monotonic() > since + _RESTLESS:
                    return found
            else:
                before, since = shown, 0.0
        pytest.fail(f"{expected!r} did not come; the screen is\n{before}")

    def _sleep(self) -> dict[str, int]:
        """How often each thread of the command has gone to sleep; nothing while one of them is awake."""
        children: dict[str, list[str]] = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # it has ended
                parent = path.read_text().rpartition(")")[2].split()[1]
                children.setdefault(parent, []).append(path.parent.name)
        found, waiting = {}, [self._pid]
        while waiting:
            process = waiting.pop()
            waiting += children.get(process, [])
            for path in Path(f"/proc/{process}/task").glob("*/status"):
                try:
                    status = path.read_text()
                except OSError:
                    return {}
                if not re.search(r"\nState:\t[STZ]", status):
                    return {}
                found[path.parent.name] = sum(map(int, re.findall(r"ctxt_switches:\t(\d+)", status)))
        return found

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], capture_output=True, check=False)


Opener = Callable[..., Screen]


@pytest.fixture
def screens(tmp_path: Path) -> Iterator[Opener]:
    """Open a command on a screen, natively or, with `in_guest`, by `aionoah run`; the directory is the same."""
    opened: list[Screen] = []

    def open_screen(*command: str, in_guest: bool) -> Screen:
        environment = [
            "env",
            "-i",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            "TERM=tmux-256color",
            "LANG=C.UTF-8",
        ]
        environment += ["PS1=$ ", f"HOME={tmp_path}", "INPUTRC=/dev/null", "HISTFILE="]
        runner = [str(AIONOAH), "run", "-v", f"{tmp_path}:{tmp_path}", "--"] if in_guest else []
        screen = Screen(f"s{len(opened)}", [*environment, *runner, *command], tmp_path)
        opened.append(screen)
        return screen

    yield open_screen
    for screen in opened:
        screen.close()


Scene = Callable[[Screen], list[str]]


@pytest.fixture
def same(screens: Opener) -> Callable[[Scene, tuple[str, ...]], list[str]]:
    """Act a scene natively and in a guest: the screens that it has collected must be equal."""

    def act(scene: Scene, command: tuple[str, ...]) -> list[str]:
        native = scene(screens(*command, in_guest=False))
        guest = scene(screens(*command, in_guest=True))
        assert guest == native
        return guest

    return act
