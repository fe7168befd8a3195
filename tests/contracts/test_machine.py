"""The contract of Machine: what it says of itself, and that everything can be opened and closed often."""

import gc
import os
from pathlib import Path

import pytest
from contracts.conftest import BACKENDS, open_backend
from contracts.guest import DATA, RW, Guest, cpu_threads, pages, until

from aionoah.hypervisor.kvm import why_unavailable
from aionoah.hypervisor.protocols import PAGE_SIZE, ExitKind, Machine, Prot
from aionoah.hypervisor.registers import AARCH64_REGISTERS, X86_64_REGISTERS


def test_it_says_what_it_is(machine: Machine, request: pytest.FixtureRequest) -> None:
    assert request.node.callspec.params["machine"] == f"{machine.name}-{machine.architecture}"
    assert machine.max_vcpus >= 8
    assert machine.frames.limit == (256 << 20) // PAGE_SIZE


def test_user_space_is_as_large_as_linux_makes_it(machine: Machine) -> None:
    space = machine.new_space()
    full = 1 << 47 if machine.architecture == "x86_64" else 1 << 48
    assert full - (2 << 20) <= space.end <= full
    assert space.end % PAGE_SIZE == 0
    space.close()


def test_the_register_file_is_the_architectures(guest: Guest) -> None:
    vcpu = guest.machine.new_vcpu(guest.space)
    names = {"x86_64": X86_64_REGISTERS, "aarch64": AARCH64_REGISTERS}[guest.machine.architecture]
    assert len(vcpu.registers) == len(names)
    vcpu.close()


def test_many_spaces_one_after_the_other(machine: Machine) -> None:
    before = machine.frames.in_use
    for _ in range(50):
        guest = Guest(machine)
        vcpu = machine.new_vcpu(guest.space)
        assert guest.start(vcpu, "sum", value=3) is ExitKind.SYSCALL
        vcpu.close()
        guest.close()
    assert machine.frames.in_use == before


def test_many_spaces_at_once(machine: Machine) -> None:
    guests = [Guest(machine) for _ in range(12)]
    vcpus = [machine.new_vcpu(guest.space) for guest in guests]
    for place, (guest, vcpu) in enumerate(zip(guests, vcpus, strict=True)):
        assert guest.start(vcpu, "store", pointer=DATA, value=place) is ExitKind.SYSCALL
    for place, (guest, vcpu) in enumerate(zip(guests, vcpus, strict=True)):
        assert guest.word() == place
        vcpu.close()
        guest.close()


def test_vcpus_come_and_go_while_others_run(guest: Guest) -> None:
    """As threads of a program do; each finds the registers of a new vCPU."""
    with cpu_threads(guest, 1) as (steady,):
        running = steady.start("store_spin", pointer=DATA, value=1)
        for _ in range(30):
            with cpu_threads(guest, 1) as (thread,):
                assert thread.vcpu.get_tls() == 0
                assert guest.get(thread.vcpu, "value") == 0
                thread.vcpu.set_tls(DATA)
                assert thread.start("sum", value=5).result() is ExitKind.SYSCALL
                assert guest.get(thread.vcpu, "result") == 15
        steady.vcpu.kick()
        assert running.result() is ExitKind.KICKED


def test_a_new_vcpus_fpu_has_nothing_of_an_older_one(guest: Guest) -> None:
    guest.data[0:16] = b"secrets of a key"
    first = guest.machine.new_vcpu(guest.space)
    clean = first.get_fpu()
    guest.start(first, "vector_load", pointer=DATA)
    first.close()
    second = guest.machine.new_vcpu(guest.space)
    assert second.get_fpu() == clean
    guest.start(second, "vector_store", pointer=DATA + 16)
    assert bytes(guest.data[16:32]) == bytes(16)
    second.close()


def test_two_machines_are_apart(machine: Machine, request: pytest.FixtureRequest) -> None:
    other = open_backend(request.node.callspec.params["machine"])
    first, second = Guest(machine), Guest(other)
    first.data[0] = 1
    assert second.data[0] == 0
    for guest in (first, second):
        vcpu = guest.machine.new_vcpu(guest.space)
        assert guest.start(vcpu, "load", pointer=DATA) is ExitKind.SYSCALL
        assert guest.get(vcpu, "result") == guest.data[0]
        vcpu.close()
        guest.close()
    other.close()


def test_a_file_mapping_is_the_file_for_the_guest_too(guest: Guest, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(2 * PAGE_SIZE))
    fd = os.open(path, os.O_RDWR)
    first = guest.machine.frames.allocate_file(fd, 0, 4, shared=True, writable=True)
    guest.space.map(0x7000_0000, first, 4, RW, is_file=True)
    guest.machine.frames.drop(first, 4)
    vcpu = guest.machine.new_vcpu(guest.space)
    assert guest.start(vcpu, "store", pointer=0x7000_1008, value=0x2A) is ExitKind.SYSCALL
    assert os.pread(fd, 8, 0x1008) == b"\x2a" + bytes(7)
    os.pwrite(fd, b"\x2b", 0x1008)
    assert guest.start(vcpu, "load", pointer=0x7000_1008) is ExitKind.SYSCALL
    assert guest.get(vcpu, "result") == 0x2B
    # Behind the end of the file the host has nothing to give.
    for program in ("load", "store"):
        assert guest.start(vcpu, program, pointer=0x7000_2010) is ExitKind.HOST_FAULT
    # ...until the file grows.
    os.ftruncate(fd, 3 * PAGE_SIZE)
    assert guest.start(vcpu, "store", pointer=0x7000_2010, value=1) is ExitKind.SYSCALL
    assert os.pread(fd, 1, 0x2010) == b"\1"
    vcpu.close()
    os.close(fd)


def test_a_file_that_shrinks_under_a_running_guest(guest: Guest, tmp_path: Path) -> None:
    """The guest has used the page before, and the host takes it away: never the end of the host."""
    path = tmp_path / "file"
    path.write_bytes(b"\1" * 2 * PAGE_SIZE)
    fd = os.open(path, os.O_RDWR)
    first = guest.machine.frames.allocate_file(fd, 0, 2, shared=True, writable=True)
    guest.space.map(0x7000_0000, first, 2, RW, is_file=True)
    guest.machine.frames.drop(first, 2)
    with cpu_threads(guest, 1) as (thread,):
        running = thread.start("store_loop", pointer=0x7000_1010, value=0x2A)
        until(lambda: os.pread(fd, 1, PAGE_SIZE + 0x10) == b"\x2a", running)
        os.ftruncate(fd, PAGE_SIZE)
        assert running.result() is ExitKind.HOST_FAULT
        # The rest of the mapping is as it was.
        assert thread.start("store", pointer=0x7000_0010, value=7).result() is ExitKind.SYSCALL
    assert os.pread(fd, 1, 0x10) == b"\7"
    os.close(fd)


def count_of_resources() -> list[int]:
    return [len(list(Path("/proc/self", name).iterdir())) for name in ("fd", "task")]


def test_closing_frees_descriptors_and_threads(machine: Machine, request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.params["machine"]

    def use() -> None:
        made = open_backend(name)
        guest = Guest(made)
        vcpu = made.new_vcpu(guest.space)
        guest.space.protect(DATA, pages(1), Prot.READ)
        guest.start(vcpu, "sum", value=3)
        vcpu.close()
        guest.close()
        made.close()
        del guest, vcpu
        gc.collect()

    use()  # what is loaded once
    before = count_of_resources()
    for _ in range(5):
        use()
    assert count_of_resources() == before


def test_every_backend_is_here() -> None:
    """A host without /dev/kvm skips KVM, and says so; nothing else may be missing anywhere."""
    for name in BACKENDS:
        if name.startswith("kvm") and why_unavailable():
            pytest.skip(f"KVM IS NOT TESTED: {why_unavailable()}")
        open_backend(name).close()
