"""More programs that take the whole screen: editors, pagers, lists of processes, dialogs."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

from terminal.conftest import Scene, Screen

Same = Callable[[Scene, tuple[str, ...]], list[str]]


def test_nano(same: Same, tmp_path: Path) -> None:
    def scene(screen: Screen) -> list[str]:
        screen.wait("^X Exit")
        screen.type("first line")
        screen.press("Enter")
        screen.type("second, línea")
        seen = [screen.wait("línea", colours=True)]
        screen.press("C-w")
        screen.wait("Search:")
        screen.type("first")
        screen.press("Enter", "C-k", "C-u", "C-u")
        seen.append(screen.wait(lambda shown: shown.count("first line") == 2))
        screen.resize(60, 15)
        seen.append(screen.wait(lambda shown: "^X Exit" in shown.rpartition("\n")[2]))
        screen.press("C-x")
        screen.wait("Save modified buffer?")
        screen.type("y")
        seen.append(screen.wait("File Name to Write: text"))
        screen.press("Enter")
        screen.wait("status 0")
        file = tmp_path / "text"
        seen.append(file.read_text())
        file.unlink()
        return seen

    last = same(scene, ("nano", "-I", "text"))[-1]
    assert last == "first line\nfirst line\nsecond, línea\n"


def test_man(same: Same, tmp_path: Path) -> None:
    lines = "".join(f".B word{number}\nis number {number}.\n.PP\n" for number in range(30))
    (tmp_path / "page.7").write_text(f'.TH PAGE 7 "" "" ""\n.SH NAME\npage \\- a test\n.SH WORDS\n{lines}')

    def scene(screen: Screen) -> list[str]:
        seen = [screen.wait("Manual page page.7 line 1", colours=True)]
        screen.press("Space")
        seen.append(screen.wait(lambda shown: "page.7 line " in shown and "page.7 line 1 " not in shown))
        screen.type("/word2")
        screen.press("Enter")
        screen.type("G")
        seen.append(screen.wait("(END)"))
        screen.type("q")
        return [*seen, screen.wait("status 0")]

    same(scene, ("man", "-l", "page.7"))


def test_top(same: Same) -> None:
    def scene(screen: Screen) -> list[str]:
        shown = screen.wait(lambda shown: " PID USER" in shown and "top\n" in shown + "\n")
        seen = [_columns(shown)]
        screen.type("h")
        seen.append(screen.wait("Type 'q' or <Esc> to continue", colours=True))
        screen.press("Escape")
        screen.wait("PID USER")
        screen.type("q")
        screen.wait("status 0")
        return seen

    same(scene, ("sh", "-c", "exec top -p $$"))


def test_htop(same: Same, tmp_path: Path) -> None:
    (tmp_path / ".config/htop").mkdir(parents=True)

    def scene(screen: Screen) -> list[str]:
        shown = screen.wait(lambda shown: "F10Quit" in shown and " htop" in shown and "PID USER" in shown)
        seen = [shown.splitlines()[-1], _columns(shown)]
        screen.press("F1")
        seen.append(screen.wait("trace syscalls with strace"))
        screen.type("x")
        screen.wait("F10Quit")
        screen.press("F5")
        seen.append(screen.wait("F5List").splitlines()[-1])
        screen.press("F5")  # it keeps its settings
        screen.wait("F5Tree")
        screen.press("F10")
        screen.wait("status 0")
        return seen

    same(scene, ("sh", "-c", "exec htop -p $$"))


def test_mc(same: Same, tmp_path: Path) -> None:
    """With its shell, on a pty of its own, below the panels."""
    settings = tmp_path / ".config/mc/ini"
    settings.parent.mkdir(parents=True)
    settings.write_text(
        "[Layout]\nmessage_visible=0\nfree_space=0\n[Midnight-Commander]\nauto_save_setup=0\n"
    )
    place = tmp_path / "place"
    place.mkdir()
    (place / "file").write_text("".join(f"line {number}\n" for number in range(50)))
    (place / "directory").mkdir()

    def has_prompt(shown: str) -> bool:
        return re.search(r"\n[^\n]*@[^\n]*/place[#$]", shown) is not None

    def scene(screen: Screen) -> list[str]:
        screen.wait("10Quit")
        seen = [screen.wait(lambda shown: "/directory" in shown and has_prompt(shown), colours=True)]
        screen.press("Down", "Down", "F3")
        seen.append(screen.wait("line 20"))
        screen.press("F10")
        screen.wait("Left")
        screen.press("C-o")
        screen.wait(lambda shown: "Left" not in shown and shown.endswith(("#", "$")))
        screen.type("echo $((6*7))")
        screen.press("Enter")
        seen.append(screen.wait(lambda shown: "\n42\n" in shown and shown.endswith(("#", "$"))))
        screen.press("C-o")
        screen.wait("10Quit")
        screen.press("F7")
        screen.wait("Create a new Directory")
        screen.type("made")
        screen.press("Enter")
        seen.append(screen.wait(lambda shown: "/made" in shown and has_prompt(shown)))
        screen.press("F10")
        screen.wait("status 0")
        (place / "made").rmdir()
        seen = [re.sub(r"\n[^\n]*@[^\n]*/place[#$] ?[^\n]*", "", shown) for shown in seen]  # the host's name
        return [re.sub(r"\d\d:\d\d", "00:00", shown) for shown in seen]

    same(scene, ("env", "SHELL=/bin/bash", "mc", str(place), str(place)))


def test_dialog(same: Same, tmp_path: Path) -> None:
    def scene(screen: Screen) -> list[str]:
        seen = [screen.wait(lambda shown: "Cherry" in shown and "Cancel" in shown, colours=True)]
        screen.press("Down")
        seen.append(screen.wait("Banana", colours=True, unlike=seen[0]))
        screen.press("Enter")
        screen.wait("status 0")
        return [*seen, (tmp_path / "chosen").read_text()]

    menu = ("--menu", "Pick one", "12", "40", "3", "a", "Apple", "b", "Banana", "c", "Cherry")
    command = shlex.join(("dialog", "--output-fd", "3", *menu))
    assert same(scene, ("sh", "-c", f"{command} 3>chosen"))[-1] == "b"


def _columns(shown: str) -> str:
    """The heads of columns: how wide they are depends on what is in them."""
    return " ".join(next(line for line in shown.splitlines() if "PID USER" in line).split())
