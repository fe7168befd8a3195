"""Choosing a backend."""

import platform
from typing import Final

from aionoah.hypervisor.errors import HypervisorError
from aionoah.hypervisor.protocols import Machine

BACKENDS: Final = ("auto", "kvm", "unicorn")
ARCHITECTURES: Final = ("x86_64", "aarch64")
_HOST_NAMES: Final = {"AMD64": "x86_64", "arm64": "aarch64"}


def host_architecture() -> str:
    """The host's architecture by Linux's name for it."""
    name = platform.machine()
    return _HOST_NAMES.get(name, name)


def open_machine(backend: str, architecture: str, memory: int) -> Machine:
    """A machine for guests of `architecture` with `memory` bytes; "auto" takes the first backend that works.

    Raises HypervisorError with a sentence for the user.
    """
    if architecture not in ARCHITECTURES:
        raise HypervisorError(
            f"{architecture} is not a guest architecture: take one of {', '.join(ARCHITECTURES)}."
        )
    if backend == "kvm":
        return _open_kvm(architecture, memory)
    if backend == "unicorn":
        return _open_unicorn(architecture, memory)
    if backend != "auto":
        raise HypervisorError(f"{backend} is not a hypervisor: take one of {', '.join(BACKENDS)}.")
    try:
        return _open_kvm(architecture, memory)
    except HypervisorError:
        return _open_unicorn(architecture, memory)


def _open_kvm(architecture: str, memory: int) -> Machine:
    from aionoah.hypervisor.kvm import KvmMachine  # noqa: PLC0415 - only what is used is loaded

    if architecture != "x86_64" or host_architecture() != "x86_64":
        raise HypervisorError(
            f"KVM cannot run {architecture} programs on this {host_architecture()} host: the hypervisor unicorn can."
        )
    return KvmMachine(memory)


def _open_unicorn(architecture: str, memory: int) -> Machine:
    from aionoah.hypervisor.unicorn import UnicornMachine  # noqa: PLC0415

    return UnicornMachine(architecture, memory)
