"""`aionoah doctor`: what works on this host, what leaving the guest costs, and how to mend what does not work."""

import platform
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from importlib.metadata import version
from statistics import median
from typing import Final

from aionoah.abi.aarch64 import AARCH64
from aionoah.abi.x86_64 import X86_64
from aionoah.hypervisor.errors import HypervisorError
from aionoah.hypervisor.protocols import ExitKind, Machine, Prot, Vcpu
from aionoah.hypervisor.select import host_architecture, open_machine

_MEMORY: Final = 64 << 20
_CODE_ADDRESS: Final = 0x400000
_BATCHES: Final = 20
_CALLS: Final = 100
_LOOPS: Final = {
    X86_64: bytes.fromhex("0f05 ebfc"),  # syscall; jmp back
    AARCH64: bytes.fromhex("010000d4 ffffff17"),  # svc #0; b back
}


def examine(echo: Callable[[str], None]) -> bool:
    """Report on this host; False if nothing can run its own architecture's programs."""
    host = host_architecture()
    echo(f"aionoah {version('aionoah')}, Python {platform.python_version()}, {sys.platform} on {host}")
    works = {}
    for backend, architecture in (("kvm", X86_64), ("unicorn", X86_64), ("unicorn", AARCH64)):
        label = f"{backend} for {architecture.name} programs"
        try:
            cost_us = exit_cost_us(backend, architecture.name)
        except HypervisorError as error:
            echo(f"  no   {label}: {error}")
            continue
        works[backend, architecture.name] = True
        echo(f"  yes  {label}: {cost_us:.1f} µs to leave the guest and come back")
    if sys.platform == "darwin":
        echo("  no   hvf: Hypervisor.framework is not supported yet.")
    if ("kvm", host) not in works and ("unicorn", host) in works:
        echo("Programs run on Unicorn here, correctly but slowly.")
    return any(architecture == host for _, architecture in works)


def exit_cost_us(backend: str, architecture: str) -> float:
    """The median cost of one system call that does nothing, in microseconds. Raises HypervisorError."""
    result: list[float | HypervisorError] = []

    def measure() -> None:
        try:
            with closing(open_machine(backend, architecture, _MEMORY)) as machine:
                result.append(_measure(machine))
        except HypervisorError as error:
            result.append(error)
        except (MemoryError, OSError) as error:
            result.append(HypervisorError(str(error)))

    thread = threading.Thread(target=measure, name="doctor")  # a virtual CPU belongs to its thread
    thread.start()
    thread.join()
    if isinstance(result[0], HypervisorError):
        raise result[0]
    return result[0]


def _measure(machine: Machine) -> float:
    architecture = X86_64 if machine.architecture == "x86_64" else AARCH64
    code = _LOOPS[architecture]
    with closing(machine.new_space()) as space:
        frame = machine.frames.allocate(1)
        machine.frames.view(frame, 1)[: len(code)] = code
        space.map(_CODE_ADDRESS, frame, 1, Prot.READ | Prot.EXECUTE)
        machine.frames.drop(frame, 1)
        with closing(machine.new_vcpu(space)) as vcpu:
            vcpu.registers[architecture.program_counter] = _CODE_ADDRESS
            return median(_batch_us(vcpu) for _ in range(_BATCHES))


def _batch_us(vcpu: Vcpu) -> float:
    start = time.perf_counter()
    for _ in range(_CALLS):
        if vcpu.run() is not ExitKind.SYSCALL:
            raise HypervisorError(f"it opens, but does not run: {vcpu.describe()}")
    return (time.perf_counter() - start) / _CALLS * 1e6
