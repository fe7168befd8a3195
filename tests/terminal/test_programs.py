"""Programs that people sit before: the same screens natively and in a guest."""

from collections.abc import Callable
from pathlib import Path

from terminal.conftest import Scene, Screen

Same = Callable[[Scene, tuple[str, ...]], list[str]]


def _has_prompt(shown: str) -> bool:
    return shown.endswith("$")


def _enter(screen: Screen, line: str) -> None:
    screen.type(line)
    screen.press("Enter")


def test_bash_with_job_control(same: Same) -> None:
    def scene(screen: Screen) -> list[str]:
        screen.wait(_has_prompt)
        _enter(screen, "sh -c 'echo ready; exec cat'")
        screen.wait("\nready")
        screen.press("C-z")
        seen = [screen.wait(lambda shown: "Stopped" in shown and _has_prompt(shown))]
        _enter(screen, "jobs")
        seen.append(screen.wait("\n[1]+  Stopped                 sh -c 'echo ready; exec cat'\n$"))
        _enter(screen, "clear; fg")
        screen.wait(lambda shown: shown.startswith("sh -c"))
        _enter(screen, "line")  # the job has the terminal once it answers
        screen.wait("line\nline")
        screen.press("C-c")
        seen.append(screen.wait(lambda shown: "^C" in shown and _has_prompt(shown)))
        _enter(screen, "sleep 99 & bg; disown; jobs; kill $!; clear; echo $((6*7))")
        seen.append(screen.wait(lambda shown: shown.startswith("42\n")))
        screen.type("echo abd")
        screen.press("Left", "BSpace", "x", "C-e", "Enter")
        seen.append(screen.wait("\naxd\n$"))
        _enter(screen, "exit 3")
        return [*seen, screen.wait("status 3")]

    same(scene, ("bash", "--norc", "-i"))


def test_vim(same: Same, tmp_path: Path) -> None:
    def scene(screen: Screen) -> list[str]:
        screen.wait("~")
        screen.type("ihello world")
        screen.press("Enter")
        screen.type("línea dos")
        screen.press("Escape")
        seen = [screen.wait("dos")]
        _enter(screen, "yyp:%s/hello/goodbye/")
        seen.append(screen.wait("goodbye world"))
        screen.resize(60, 15)
        seen.append(screen.wait(lambda shown: shown.count("\n") == 13))
        _enter(screen, ":wq")
        screen.wait("status 0")
        file = tmp_path / "text"
        seen.append(file.read_text())
        file.unlink()
        return seen

    assert same(scene, ("vim", "-u", "NONE", "-n", "text"))[-1] == "goodbye world\nlínea dos\nlínea dos\n"


def test_less(same: Same, tmp_path: Path) -> None:
    (tmp_path / "numbers").write_text("".join(f"line {number}\n" for number in range(100)))

    def scene(screen: Screen) -> list[str]:
        seen = [screen.wait("line 22\nnumbers")]
        screen.press("Space")
        seen.append(screen.wait("line 45\n:"))
        _enter(screen, "/line 7.")
        seen.append(screen.wait("line 92\n:"))
        screen.type("g")
        seen.append(screen.wait("line 22\n:"))
        screen.type("q")
        return [*seen, screen.wait("status 0")]

    same(scene, ("less", "numbers"))


def test_python_with_readline(same: Same) -> None:
    def scene(screen: Screen) -> list[str]:
        screen.wait(">>>")
        _enter(screen, "print(6*7)")
        seen = [screen.wait("\n42\n>>>")]
        screen.press("Up", "Left", "BSpace", "8", "Enter")
        seen.append(screen.wait("\n48\n>>>"))
        _enter(screen, "input('name? ')")
        screen.wait("\nname?")
        _enter(screen, "me")
        seen.append(screen.wait("'me'\n>>>"))
        screen.press("C-c")
        seen.append(screen.wait("KeyboardInterrupt\n>>>"))
        screen.press("C-d")
        return [*seen, screen.wait("status 0")]

    same(scene, ("python3", "-q"))


def test_stty_sees_the_callers_settings(same: Same) -> None:
    same(lambda screen: [screen.wait("status 0")], ("stty", "-a"))


def test_tmux_inside(same: Same) -> None:
    def scene(screen: Screen) -> list[str]:
        screen.wait(lambda shown: shown[:1] in "$#" and "[0] 0:" in shown)
        _enter(screen, "echo one")
        screen.wait(lambda shown: "\none\n$" in shown or "\none\n#" in shown)
        screen.press("C-b", "%")
        seen = [screen.wait(lambda shown: "│$" in shown or "│#" in shown).split("[0]")[0]]
        _enter(screen, "tty | cut -d/ -f3; exit")
        screen.wait(lambda shown: "│" not in shown)
        _enter(screen, "exit")
        return [*seen, screen.wait("status 0")]

    same(scene, ("env", "SHELL=/bin/sh", "tmux", "-S", "inner.socket", "-f", "/dev/null"))
