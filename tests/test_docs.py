"""The pages of docs/: their links lead somewhere, their recorder records, and their Python does what is shown."""

import importlib.util
import re
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

TOP = Path(__file__).parent.parent
PAGES = sorted((TOP / "docs").glob("*.md"))
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def recorder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("record", TOP / "docs" / "record.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", [TOP / "README.md", *PAGES], ids=lambda page: page.name)
def test_links(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        assert "://" in target or (page.parent / target).exists(), target


def test_each_page_is_listed() -> None:
    listed = set(LINK.findall((TOP / "docs/README.md").read_text()))
    assert listed == {page.name for page in PAGES} - {"README.md"}


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "README.md"], ids=lambda page: page.name
)
def test_each_page_has_been_recorded(page: Path) -> None:
    blocks = BLOCK.findall(page.read_text())
    assert blocks
    for kind, text in blocks:
        assert text.strip(), kind
        if kind == "console":
            assert max(map(len, text.splitlines())) <= 130


@pytest.mark.guest
def test_what_python_prints(recorder: ModuleType, tmp_path: Path) -> None:
    pairs = 0
    for page in PAGES:
        blocks = BLOCK.findall(page.read_text())
        for (kind, code), (_, output) in pairwise(blocks):
            if kind == "python":
                assert recorder.record_python(code, tmp_path) == output
                pairs += 1
    assert pairs


def test_a_session_is_recorded(recorder: ModuleType) -> None:
    """Commands stay, what they print is what comes now."""
    page = """
<!-- setup
echo prepared >file
-->

```console
$ cat file
something else
$ for each in 1 2
> do echo $each; done
$ printf 'over\\rwritten\\n'; pwd
$ stty size; tty >/dev/null && echo a terminal
```

<!-- screen: less file | "q" -->
"""
    expected = (
        "$ cat file\nprepared\n$ for each in 1 2\n> do echo $each; done\n1\n2\n"
        "$ printf 'over\\rwritten\\n'; pwd\nwritten\n~\n"
        "$ stty size; tty >/dev/null && echo a terminal\n24 80\na terminal\n"
    )
    assert BLOCK.findall(recorder.record(page)) == [("console", expected)]


def test_a_screen_is_recorded(recorder: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("".join(f"line {number}\n" for number in range(100)))
    shown = recorder.record_screen('less file | Space "/line 9." Enter', tmp_path)
    assert "line 90" in shown
    assert sys.executable not in shown
