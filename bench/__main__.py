"""`python -m bench [NAME…]`: measure, and print a table for each. All of it takes about six minutes."""

import argparse
import asyncio
import compileall
import importlib
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Final

from bench.measure import table
from bench.programs import Programs

# In this order: the parent must not have loaded our libraries when their share of memory is measured.
_BENCHMARKS: Final = (
    "idle",
    "startup",
    "spawn",
    "dispatch",
    "handlers",
    "calls",
    "cpu",
    "processes",
    "threads",
    "messages",
    "terminal",
    "files",
    "servers",
    "connections",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure speed and memory, side by side.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"of {', '.join(_BENCHMARKS)}; all if none is given",
    )
    names = parser.parse_args().names
    if unknown := set(names) - set(_BENCHMARKS):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    _use_bytecode()
    start = time.monotonic()
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs; medians, compared in turn\n")
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        programs = Programs(Path(directory))
        for name in names or _BENCHMARKS:
            rows = asyncio.run(importlib.import_module(f"bench.{name}").rows(programs))
            print(table(rows), end="\n\n", flush=True)
    print(f"{time.monotonic() - start:.0f} s")


def _use_bytecode() -> None:
    """As on a user's machine, where pip has compiled the modules."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    compileall.compile_dir(Path(__file__).parent.parent / "aionoah", quiet=1)


if __name__ == "__main__":
    main()
