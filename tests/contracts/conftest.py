"""Every kit runs on every backend. Only KVM may be missing, and only where the host has none to give."""

from collections.abc import Iterator

import pytest
from contracts.guest import CpuThread, Guest

from aionoah.hypervisor.kvm import KvmMachine, why_unavailable
from aionoah.hypervisor.protocols import Machine, Vcpu
from aionoah.hypervisor.unicorn import UnicornMachine

MEMORY = 256 << 20
BACKENDS = ("kvm-x86_64", "unicorn-x86_64", "unicorn-aarch64")


def open_backend(name: str) -> Machine:
    backend, architecture = name.split("-")
    if backend == "unicorn":
        return UnicornMachine(architecture, MEMORY)
    if reason := why_unavailable():
        pytest.skip(f"KVM IS NOT TESTED: {reason}")
    return KvmMachine(MEMORY)


@pytest.fixture(params=BACKENDS)
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A machine that has got back every frame when the test is over."""
    made = open_backend(request.param)
    its_own = made.frames.in_use
    yield made
    in_use = made.frames.in_use
    made.close()
    assert in_use == its_own, "frames were lost"


@pytest.fixture
def guest(machine: Machine) -> Iterator[Guest]:
    made = Guest(machine)
    yield made
    made.close()


@pytest.fixture
def vcpu(guest: Guest) -> Iterator[Vcpu]:
    made = guest.machine.new_vcpu(guest.space)
    yield made
    made.close()


@pytest.fixture
def thread(guest: Guest) -> Iterator[CpuThread]:
    """A virtual CPU of `guest` on a thread of its own."""
    made = CpuThread(guest)
    yield made
    made.close()
