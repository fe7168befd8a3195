"""Record the terminal sessions of these pages anew: `make docs`, or `python docs/record.py PAGE.md …`.

Everything that a page shows is what really came. Of a page's blocks,

* `console` ones are typed to one bash on a terminal of 80 columns, a line behind each prompt, and their text becomes
  what the terminal shows;
* `text` ones behind `<!-- screen: COMMAND | KEYS … -->` become the screen of a program that takes all of it; keys have
  the names that tmux has for them, or are `"texts"`;
* `text` ones behind `python` ones become what the program prints.

A comment `<!-- setup … -->` holds what is to be done before, in the same empty directory.
"""

import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PAGES: Final = Path(__file__).parent
_PATIENCE: Final = 120.0  # seconds until what does not come is a failure
_SETUP_PATIENCE: Final = 1200.0  # a distribution takes its time
_QUIET: Final = 0.4  # seconds without news: a prompt stays
_GLANCE: Final = 0.1
_ROWS, _COLUMNS = 24, 80
_PROMPTS: Final = ("$ ", "> ", ">>> ", "... ", "# ")
_BLOCK: Final = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_SETUP: Final = re.compile(r"^<!-- setup\n(.*?)^-->$", re.MULTILINE | re.DOTALL)
_SCREEN: Final = re.compile(r"<!-- screen: (.*) -->\n+\Z")
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[()][0-9A-B]|\x1b[=>]")

_OVERWRITTEN: Final = re.compile(r"\r+(?=\n)|[^\n]*\r(?!\n)")


class Session:
    """A bash on a terminal of its own."""

    def __init__(self, place: Path) -> None:
        self._pid, self._fd = pty.fork()
        if not self._pid:
            os.chdir(place)
            os.execvpe("bash", ["bash", "--norc", "-i"], environment(place))
        subprocess.run(
            ["stty", "rows", str(_ROWS), "columns", str(_COLUMNS)],
            stdin=self._fd,
            check=True,
        )
        self._read()

    def type(self, line: str) -> str:
        """Type a line; what is shown up to the next prompt, the line itself first, the prompt not."""
        os.write(self._fd, line.encode() + b"\n")
        return self._read()

    def _read(self) -> str:
        shown, end = b"", time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            ready, _, _ = select.select([self._fd], [], [], _QUIET)
            if ready:
                shown += os.read(self._fd, 65536)
                continue
            text = _OVERWRITTEN.sub("", _ESCAPES.sub("", shown.decode(errors="replace")))
            for prompt in _PROMPTS:
                if f"\n{text}".endswith(f"\n{prompt}"):
                    self._prompt = prompt
                    return text.removesuffix(prompt)
        sys.exit(f"no prompt came after {shown!r}")

    def record(self, text: str) -> str:
        """Type the lines of a block that begin with a prompt."""
        written = ""
        for line in text.splitlines():
            prompt = next((each for each in _PROMPTS if f"{line} ".startswith(each)), None)
            if prompt is not None:
                written += self._prompt + self.type(line.removeprefix(prompt.rstrip()).removeprefix(" "))
        return "\n".join(line.rstrip() for line in written.splitlines()) + "\n"

    def close(self) -> None:
        os.kill(self._pid, signal.SIGHUP)
        os.waitpid(self._pid, 0)
        os.close(self._fd)


def record_screen(description: str, place: Path) -> str:
    """What tmux shows of a program after some keys."""
    command, _, keys = description.partition(" | ")
    tmux = ["tmux", "-S", str(place / ".tmux"), "-f", "/dev/null"]

    def call(*arguments: str) -> str:
        done = subprocess.run(
            [*tmux, *arguments], capture_output=True, text=True, check=True, env=environment(place), cwd=place
        )
        return done.stdout

    def settled() -> str:
        before, since = "", time.monotonic()
        while time.monotonic() < since + 3 * _QUIET or not before.strip():
            shown = call("capture-pane", "-p")
            if shown != before:
                before, since = shown, time.monotonic()
            time.sleep(_GLANCE)
        return "\n".join(line.rstrip() for line in before.splitlines()).rstrip() + "\n"

    call("new-session", "-d", "-x", str(_COLUMNS), "-y", str(_ROWS), *shlex.split(command))
    try:
        shown = settled()
        for key in shlex.split(keys, posix=False):
            call("send-keys", *(("-l", key[1:-1]) if key.startswith('"') else (key,)))
            shown = settled()
    finally:
        call("kill-server")
    return shown


def record_python(code: str, place: Path) -> str:
    (place / "example.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "example.py"], cwd=place, env=environment(place), stdout=subprocess.PIPE, check=True
    )
    return done.stdout.decode()


def environment(place: Path) -> dict[str, str]:
    """A user's, whose home is an empty directory."""
    kept = {name: os.environ[name] for name in ("DISPLAY", "USER", "LOGNAME") if name in os.environ}
    commands = place / "bin"
    if not commands.exists():
        commands.mkdir()
        (commands / "aionoah").symlink_to(Path(sys.executable).with_name("aionoah"))
    (place / ".inputrc").write_text("set enable-bracketed-paste off\n")
    return {
        **kept,
        "PATH": f"{commands}:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(place),
        "INPUTRC": str(place / ".inputrc"),
        "TERM": "xterm",
        "LANG": "C.UTF-8",
        "PS1": "$ ",
        "HISTFILE": "",
        "PAGER": "cat",
    }


@contextmanager
def prepared(page: str) -> Iterator[Path]:
    """A directory that guests see too, with what the page wants to be done there. Its programs end with the block."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="aionoah-docs-") as directory:
        place = Path(directory)
        script = "\n".join(_SETUP.findall(page))
        with subprocess.Popen(
            ["bash", "-ec", script],
            cwd=place,
            env=environment(place),
            start_new_session=True,
        ) as process:
            if process.wait(_SETUP_PATIENCE):
                sys.exit("the setup has failed")
            try:
                yield place
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)


def record(page: str) -> str:
    """The page with its sessions as they are now."""
    with prepared(page) as place:
        session = Session(place)
        pieces, position, code = [], 0, ""
        for block in _BLOCK.finditer(page):
            kind, text, before = block["kind"], block["text"], page[position : block.start()]
            keys = _SCREEN.search(before)
            if kind == "console":
                text = session.record(text)
            elif kind == "text" and keys is not None:
                text = record_screen(keys[1], place)
            elif kind == "text" and code and not before.strip():
                text = record_python(code, place)
            code = text if kind == "python" else ""
            pieces += [before, f"```{kind}\n{text}```"]
            position = block.end()
        session.close()
        return "".join([*pieces, page[position:]]).replace(str(place), "~")


def main() -> None:
    names = sys.argv[1:]
    for path in map(Path, names) if names else sorted(_PAGES.glob("*.md")):
        path.write_text(record(path.read_text()))


if __name__ == "__main__":
    main()
