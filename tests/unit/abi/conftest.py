"""What the C compilers know of Linux's headers, for comparison with ours."""

import importlib
import os
import pkgutil
import platform
import shutil
import struct
import subprocess
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import NoReturn

import pytest
from elftools.elf.elffile import ELFFile

import aionoah.abi
from aionoah.abi.aarch64 import AARCH64
from aionoah.abi.architecture import Architecture
from aionoah.abi.x86_64 import X86_64

COMPILERS = {"x86_64": ("x86_64-linux-gnu-gcc", "cc"), "aarch64": ("aarch64-linux-gnu-gcc",)}
_ARRAY = '__attribute__((section(".facts"))) const unsigned long long facts[] = {\n%s\n};\n'

Facts = Callable[[Sequence[str], Sequence[str]], dict[str, int]]


@pytest.fixture(params=["x86_64", "aarch64"])
def architecture(request: pytest.FixtureRequest) -> Architecture:
    return {"x86_64": X86_64, "aarch64": AARCH64}[request.param]


def _missing(message: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture
def compiler(architecture: Architecture) -> str:
    for name in COMPILERS[architecture.name]:
        if path := shutil.which(name):
            return path
    _missing(f"no C compiler for {architecture.name} (Debian: gcc-{architecture.name}-linux-gnu)")


@pytest.fixture
def run_c(compiler: str, architecture: Architecture, tmp_path: Path) -> Callable[[str], bytes]:
    """The standard output of a C program on the real kernel, or on QEMU's idea of it."""
    runner = []
    if platform.machine() != architecture.name:
        emulator = shutil.which(f"qemu-{architecture.name}-static")
        runner = [emulator or _missing(f"no qemu-{architecture.name}-static (Debian: qemu-user-static)")]

    def run(text: str) -> bytes:
        source, program = tmp_path / "program.c", tmp_path / "program"
        source.write_text(text)
        subprocess.run([compiler, "-w", "-static", source, "-o", program], check=True)
        return subprocess.run([*runner, program], stdout=subprocess.PIPE, check=True).stdout

    return run


@pytest.fixture
def c_facts(compiler: str, tmp_path: Path) -> Facts:
    """Integer constant expressions evaluated by the compiler; nothing needs to run.

    Takes headers and expressions; `facts(["linux/wait.h"], ["WNOHANG"])` is {"WNOHANG": 1}. Negative
    values come as 64-bit words. A "?" in front of a name leaves it out if it is no macro.
    """

    def facts(headers: Sequence[str], expressions: Sequence[str]) -> dict[str, int]:
        lines, entries = ["#define _GNU_SOURCE", "#include <stddef.h>"], []
        lines += [f"#include <{header}>" for header in headers]
        for index, expression in enumerate(expressions):
            name = expression.removeprefix("?")
            entry = f"{index}, (unsigned long long)({name}),"
            entries.append(f"#ifdef {name}\n{entry}\n#endif" if name != expression else entry)
        source = tmp_path / "facts.c"
        source.write_text("\n".join(lines) + "\n" + _ARRAY % "\n".join(entries))
        words = _compile(compiler, source)
        numbers = dict(zip(words[::2], words[1::2], strict=True))
        return {expression: numbers[i] for i, expression in enumerate(expressions) if i in numbers}

    return facts


def _compile(compiler: str, source: Path) -> tuple[int, ...]:
    target = source.with_suffix(".o")
    done = subprocess.run(
        [compiler, "-w", "-c", source, "-o", target], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    data = ELFFile(BytesIO(target.read_bytes())).get_section_by_name(".facts").data()
    return struct.unpack(f"<{len(data) // 8}Q", data)


@pytest.fixture
def abi_classes() -> Callable[..., set[type]]:
    """All subclasses of some bases that modules of aionoah.abi define."""

    def classes(*bases: type) -> set[type]:
        found: set[type] = set()
        for module in pkgutil.iter_modules(aionoah.abi.__path__):
            for value in vars(importlib.import_module(f"aionoah.abi.{module.name}")).values():
                if isinstance(value, type) and issubclass(value, bases) and value not in bases:
                    found.add(value)
        return found

    return classes
