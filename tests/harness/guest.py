"""Guest programs: compiled once a session, run natively and in aionoah, with the same output."""

import os
import platform
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

import aionoah
from aionoah.hypervisor.kvm import why_unavailable

_PATIENCE_S = 200  # what takes longer hangs, and is ended before the watchdog ends all tests
_USER_NAMESPACES = "/proc/sys/kernel/unprivileged_userns_clone"  # most kernels let everybody make them
PROGRAMS = Path(__file__).parent.parent / "guest" / "programs"


class Target(NamedTuple):
    """A backend, and how programs for it are compiled."""

    name: str
    hypervisor: str
    architecture: str
    compiler: Sequence[str]

    @property
    def native(self) -> "Target":
        """What the same source is compiled for to ask the real kernel: the host's own architecture, because
        an emulator of user programs has system calls, and mistakes, of its own.
        """
        return self if self.architecture == platform.machine() else STATIC


STATIC = Target("kvm-static", "kvm", "x86_64", ("gcc", "-static"))
DYNAMIC = Target("kvm-dynamic", "kvm", "x86_64", ("gcc",))
MUSL = Target("kvm-musl", "kvm", "x86_64", ("musl-gcc", "-static"))
UNICORN = Target("unicorn-static", "unicorn", "x86_64", ("gcc", "-static"))
AARCH64 = Target("unicorn-aarch64", "unicorn", "aarch64", ("aarch64-linux-gnu-gcc", "-static"))


class Outcome(NamedTuple):
    status: int
    output: str
    errors: str


def need_tool(name: str) -> None:
    """Skip without a tool, but fail where CI should have installed it."""
    if shutil.which(name) is None:
        message = f"{name} is not installed"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


def need_backend(target: Target) -> None:
    """Only a host without KVM may go without it, and says so."""
    if target.hypervisor == "kvm" and (reason := why_unavailable()):
        pytest.skip(f"NOT TESTED ON KVM: {reason}")


class Compiler:
    """Compiles test programs, each once for each target."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(self, source: str, target: Target, *flags: str) -> Path:
        need_tool(target.compiler[0])
        binary = self.directory / f"{source}-{target.name}"
        if not binary.exists():
            binary.parent.mkdir(exist_ok=True)
            command = [*target.compiler, "-O1", "-g", "-Wall", "-o", binary, PROGRAMS / f"{source}.c", *flags]
            subprocess.run(command, check=True)
        return binary


def run_natively(command: Sequence[str | Path], directory: Path, data: bytes = b"") -> Outcome:
    # As a guest's program begins: whoever has had a virtual CPU on this thread has blocked its kick.
    mask = signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        done = subprocess.run(
            command, input=data, capture_output=True, cwd=directory, timeout=_PATIENCE_S, check=False
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return Outcome(
        done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )


async def run_in_guest(
    target: Target,
    command: Sequence[str | Path],
    directory: Path,
    data: bytes = b"",
    network: str = "host",
) -> Outcome:
    """Run with `directory` visible and writable at the same path as on the host."""
    places = {str(path): path for path in {directory, Path(command[0]).parent} if path.is_absolute()}
    async with aionoah.Linux(
        hypervisor=target.hypervisor, architecture=target.architecture, mounts=places, network=network
    ) as linux:
        await linux.files.write(_USER_NAMESPACES, b"1")
        done = await linux.run(command, input=data, capture_output=True, cwd=directory, timeout=_PATIENCE_S)
    return Outcome(
        done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )
