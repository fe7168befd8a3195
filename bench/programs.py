"""The guest programs of the benchmarks, compiled once a run, and how one is run and read."""

import asyncio
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import aionoah

_HERE: Final = Path(__file__).parent
_NATIVE: Final = _HERE.parent / "aionoah" / "hypervisor" / "native"
_CORE_TEST: Final = _HERE.parent / "tests" / "svm" / "core_test.c"
GUEST_DIRECTORY: Final = "/mnt"


class Timed(NamedTuple):
    """What a program of programs/timing.h prints."""

    seconds: float
    result: int


class Programs:
    """Compiles into `directory`, which guests see as GUEST_DIRECTORY."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def native(self, name: str) -> str:
        """The host's path of a static program of programs/."""
        return str(self._compile(name, "-static", _HERE / "programs" / f"{name}.c"))

    def guest(self, name: str) -> str:
        """The same program, as a guest sees it."""
        self.native(name)
        return f"{GUEST_DIRECTORY}/{name}"

    def core_test(self) -> str:
        """The C core by itself, without Python above it."""
        sources = [path for path in _NATIVE.glob("*.c") if "unicorn" not in path.name]
        return str(self._compile("core_test", f"-I{_NATIVE}", _CORE_TEST, *sources, "-lpthread"))

    def linux(self, mounts: Mapping[str, str] | None = None) -> "aionoah.Linux":
        """A new instance in which the programs can be run. Nothing here is measured on an emulator."""
        import aionoah  # noqa: PLC0415 - the measurement of memory wants a parent without it

        mount = aionoah.Mount(self.directory, read_only=True)
        return aionoah.Linux(hypervisor="kvm", mounts={GUEST_DIRECTORY: mount, **(mounts or {})})

    def _compile(self, name: str, *words: str | Path) -> Path:
        binary = self.directory / name
        if not binary.exists():
            subprocess.run(["cc", "-O2", "-o", binary, *words], check=True)
        return binary


async def time_native(path: str, *args: str) -> Timed:
    process = await asyncio.create_subprocess_exec(path, *args, stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    return _parse(path, process.returncode, out)


async def time_in_guest(linux: "aionoah.Linux", path: str, *args: str) -> Timed:
    done = await linux.run([path, *args], stdout=subprocess.PIPE)
    return _parse(path, done.returncode, done.stdout)


def _parse(path: str, status: int | None, out: bytes) -> Timed:
    if status != 0:
        raise RuntimeError(f"{path} ended with {status}")
    nanoseconds, result = out.split()
    return Timed(int(nanoseconds) / 1e9, int(result))
