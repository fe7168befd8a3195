"""The contract of the code base as a whole: import direction, size budget, handlers and their tests."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

import pytest

from aionoah.abi.aarch64 import AARCH64
from aionoah.abi.x86_64 import X86_64
from aionoah.syscalls import load_handlers
from aionoah.syscalls.homes import HOMES, current_homes
from aionoah.syscalls.registry import all_handlers

TOP = Path(__file__).parent.parent
PACKAGE = TOP / "aionoah"
SOURCES = sorted(path for path in PACKAGE.rglob("*.py"))

# What each part may import, itself aside. A part that is not named is one of the top-level modules.
KERNEL = {"fs", "net", "signals", "clocks", "process", "terminal"}
_VCPU_PARTS = ("vcpu_faults", "vcpu_filters", "vcpu_handlers", "vcpu_times", "vcpu_tracing", "vcpu_turns")
MAY_IMPORT = {
    "abi": set[str](),
    "host": {"abi"},
    "hypervisor": set[str](),
    "memory": {"abi", "host", "hypervisor"},
    **{part: {"abi", "host", "memory"} | KERNEL for part in KERNEL},
    "syscalls": {"abi", "host", "memory"} | KERNEL,
    "reactor": {"abi", "host", "memory", "syscalls"} | KERNEL,
    "instances": {
        "abi",
        "host",
        "hypervisor",
        "images",
        "statuses",
        "subprocess",
        "terminals",
        "terminal_bridge",
    },
    **dict.fromkeys(_VCPU_PARTS, {"abi", "host", "memory", "hypervisor"} | KERNEL),
    "vcpu_dumping": {"abi", "host", "memory", "hypervisor", "syscalls", "vcpu_tracing"} | KERNEL,
    "vcpu_mailbox": {"abi", "host", "memory", "hypervisor", "syscalls"} | KERNEL,
    "vcpu_borrowing": set(),
    "call_server": {"fs", "host", "hypervisor", "vcpu_borrowing", "vcpu_mailbox"},
    "vcpu_thread": {
        "abi",
        "host",
        "memory",
        "hypervisor",
        "syscalls",
        "reactor",
        "vcpu_dumping",
        "vcpu_mailbox",
        *_VCPU_PARTS,
    }
    | KERNEL,
}
# hypervisor's protocols are the border itself: who maps memory knows them.
BORDER = {"aionoah.hypervisor.protocols"}


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def run_time_imports(tree: ast.AST) -> Iterator[str]:
    """Names of modules imported outside `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from (name for other in node.orelse for name in run_time_imports(other))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        else:
            yield from run_time_imports(node)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    allowed = MAY_IMPORT.get(part_of(path))
    if allowed is None:
        return
    for name in run_time_imports(ast.parse(path.read_text())):
        if name.startswith("aionoah.") and name not in BORDER:
            other = name.split(".")[1]
            assert other in allowed | {part_of(path)}, f"{path} imports {name}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_star_imports(path: Path) -> None:
    stars = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.alias) and node.name == "*"
    ]
    assert not stars


HOST_NUMBERS = re.compile(
    r"^\s*import (errno|signal|socket)\b|^\s*from (errno|signal|socket) import", re.MULTILINE
)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_guest_visible_code_does_not_know_host_numbers(path: Path) -> None:
    if part_of(path) in {"abi", "memory", "signals", "clocks", "process", "syscalls"}:
        assert not HOST_NUMBERS.search(path.read_text())


# -- size budget --------------------------------------------------------------------------------------------


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body, without the docstring."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


NESTING = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.AsyncFor, ast.AsyncWith, ast.Match)


def depth(node: ast.AST) -> int:
    """Levels of nested blocks; an elif is not deeper than its if."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and child in node.orelse
        deepest = max(deepest, depth(child) + (isinstance(child, NESTING) and not is_elif))
    return deepest


def test_file_sizes() -> None:
    sizes = {path: len(path.read_text().splitlines()) for path in (*SOURCES, *PACKAGE.rglob("*.c"))}
    data = {PACKAGE / "abi" / name for name in ("numbers_x86_64.py", "numbers_aarch64.py")}
    code = {path: size for path, size in sizes.items() if path not in data}
    assert not [path for path, size in code.items() if size > 600]
    assert median(code.values()) <= 200
    assert quantiles(code.values(), n=10)[-1] <= 400


def test_function_sizes() -> None:
    sizes = {
        f"{path.relative_to(PACKAGE)}:{node.name}": length(node)
        for path in SOURCES
        for node in functions(ast.parse(path.read_text()))
    }
    assert not {name: size for name, size in sizes.items() if size > 60}
    assert median(sizes.values()) <= 10
    assert quantiles(sizes.values(), n=10)[-1] <= 30


def test_nesting() -> None:
    deep = {
        f"{path.relative_to(PACKAGE)}:{node.name}": depth(node)
        for path in SOURCES
        for node in functions(ast.parse(path.read_text()))
        if depth(node) > 4
    }
    assert not deep


def test_there_is_as_much_test_as_code() -> None:
    code = sum(len(path.read_text().splitlines()) for path in SOURCES)
    tests = sum(
        len(path.read_text().splitlines())
        for path in (TOP / "tests").rglob("*")
        if path.suffix in {".py", ".c"}
    )
    assert tests >= 0.9 * code


# -- system calls -------------------------------------------------------------------------------------------


def test_the_homes_of_handlers_are_current() -> None:
    assert sorted(HOMES.items()) == sorted(current_homes()), "run `python -m aionoah.syscalls.homes`"


def test_every_handler_is_a_system_call_of_some_architecture() -> None:
    load_handlers()
    names = set(X86_64.syscall_names.values()) | set(AARCH64.syscall_names.values())
    assert not {handler.name for handler in all_handlers()} - names


def test_every_handler_is_called_by_a_test() -> None:
    """By a guest program, or by a unit test where no program can (such as execve's own)."""
    load_handlers()
    words = set()
    for path in (TOP / "tests").rglob("*"):
        if path.suffix in {".py", ".c"}:
            words |= set(re.findall(r"\w+", path.read_text()))
    aliases = {"newfstatat": "fstatat", "prlimit64": "prlimit", "pread64": "pread", "pwrite64": "pwrite"}
    untested = {
        name
        for name in (handler.name for handler in all_handlers())
        if not {name, aliases.get(name, name), f"SYS_{name}"} & words
    }
    assert not untested
