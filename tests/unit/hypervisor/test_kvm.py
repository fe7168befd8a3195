"""What is KVM's own, beside the contract that all backends keep: when it is refused, and what it holds."""

import errno
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from harness.resources import resources

from aionoah.hypervisor import kvm
from aionoah.hypervisor.errors import HypervisorError
from aionoah.hypervisor.kvm import KvmMachine, why_unavailable
from aionoah.hypervisor.registers import X86_64_REGISTERS

MEMORY = 64 << 20


class Library:
    """The C core, with some of its functions failing."""

    def __init__(self, **failing: int) -> None:
        self._failing = failing

    def __getattr__(self, name: str) -> Any:
        if name not in self._failing:
            return getattr(kvm_lib, name)

        def fail(*_: object) -> Any:
            kvm.ffi.errno = self._failing[name]
            return kvm.ffi.NULL if name in {"kvm_machine_open", "kvm_space_prepare", "kvm_vcpu_open"} else -1

        return fail


kvm_lib = kvm.lib


@pytest.fixture
def machine() -> Iterator[KvmMachine]:
    if reason := why_unavailable():
        pytest.skip(f"KVM IS NOT TESTED: {reason}")
    made = KvmMachine(MEMORY)
    yield made
    made.close()


# -- availability -------------------------------------------------------------------------------------------


def test_a_host_whose_core_has_no_kvm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm, "lib", object())
    assert why_unavailable() == "KVM runs x86_64 programs on x86_64 Linux hosts only."


def test_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "exists", lambda path: path != "/dev/kvm")
    assert "/dev/kvm does not exist" in str(why_unavailable())


@pytest.mark.parametrize(
    ("mode", "group", "advice"),
    [
        (0o660, 1, "sudo usermod -aG daemon $USER"),
        (0o600, 1, "sudo chown $USER /dev/kvm"),
        (0o660, 0, "sudo chown $USER /dev/kvm"),
        (0o660, 54321, "sudo chown $USER /dev/kvm"),
    ],
)
def test_no_permission(monkeypatch: pytest.MonkeyPatch, mode: int, group: int, advice: str) -> None:
    """The group that has it is named, if it has it, and is not root's."""
    device = os.stat_result((0o020000 | mode, 0, 0, 1, 0, group, 0, 0, 0, 0))
    monkeypatch.setattr(os.path, "exists", lambda _: True)
    monkeypatch.setattr(os, "access", lambda path, _: path != "/dev/kvm")
    monkeypatch.setattr(os, "stat", lambda _: device)
    assert f"/dev/kvm may not be opened: run `{advice}`" in str(why_unavailable())


@pytest.mark.parametrize("reason", ["One sentence.", "Another."])
def test_a_machine_that_cannot_be_is_said_to_be(monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    monkeypatch.setattr(kvm, "why_unavailable", lambda: reason)
    with pytest.raises(HypervisorError, match=reason):
        KvmMachine(MEMORY)


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENODEV, errno.EBUSY])
def test_a_device_that_opens_and_does_not_work(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """In a container whose devices are restricted, say."""
    before = resources()
    monkeypatch.setattr(kvm, "why_unavailable", lambda: None)
    monkeypatch.setattr(kvm, "lib", Library(kvm_machine_open=number))
    with pytest.raises(
        HypervisorError, match=rf"^KVM does not work here \({os.strerror(number)}\): the hypervisor unicorn"
    ):
        KvmMachine(MEMORY)
    assert not resources().more_than(before)


# -- limits of the host ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.EMFILE, MemoryError), (errno.ENFILE, MemoryError), (errno.EPERM, HypervisorError)],
)
def test_no_more_virtual_machines(
    machine: KvmMachine, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(kvm, "lib", Library(kvm_space_prepare=number))
        with pytest.raises(kind, match=f"another virtual machine: {os.strerror(number)}"):
            machine.new_space()
    machine.new_space().close()


def test_no_memory_for_page_tables(machine: KvmMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(kvm, "lib", Library(kvm_space_open=errno.ENOMEM))
        with pytest.raises(MemoryError, match="another virtual machine"):
            machine.new_space()
    machine.new_space().close()


@pytest.mark.parametrize(("number", "kind"), [(errno.EMFILE, MemoryError), (errno.EIO, HypervisorError)])
def test_no_more_virtual_cpus(
    machine: KvmMachine, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    space = machine.new_space()
    with monkeypatch.context() as patched:
        patched.setattr(kvm, "lib", Library(kvm_vcpu_open=number))
        with pytest.raises(kind, match=f"another virtual CPU: {os.strerror(number)}"):
            machine.new_vcpu(space)
    assert space.open_vcpus == 0
    machine.new_vcpu(space).close()
    space.close()


def test_registers_that_kvm_refuses(machine: KvmMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    space = machine.new_space()
    vcpu = machine.new_vcpu(space)
    failing = {f"kvm_vcpu_{name}": errno.EIO for name in ("get_tls", "set_tls", "get_fpu", "set_fpu")}
    with monkeypatch.context() as patched:
        patched.setattr(kvm, "lib", Library(**failing))
        for call in (vcpu.get_tls, vcpu.get_gs_base, vcpu.get_fpu):
            with pytest.raises(HypervisorError, match="Input/output error"):
                call()
        with pytest.raises(ValueError, match="canonical"):
            vcpu.set_tls(1)
        with pytest.raises(ValueError, match="XSAVE"):
            vcpu.set_fpu(bytes(576))
    vcpu.close()
    space.close()


# -- what it is, and what it holds -----------------------------------------------------------------------------


def test_facts(machine: KvmMachine) -> None:
    assert machine.max_vcpus >= 4
    assert machine.hwcap & 1 << 25, "SSE"
    assert machine.fpu_features & 0b11 == 0b11
    assert machine.fpu_size >= 576
    assert machine.syscall_ring in {0, 3}


def test_the_register_file_has_kvms_order(machine: KvmMachine) -> None:
    space = machine.new_space()
    vcpu = machine.new_vcpu(space)
    assert len(vcpu.registers) == len(X86_64_REGISTERS)
    vcpu.registers[X86_64_REGISTERS.index("r12")] = 0x1234
    assert "r12=0x1234" in vcpu.describe()
    vcpu.close()
    space.close()


def test_both_segment_bases(machine: KvmMachine) -> None:
    space = machine.new_space()
    vcpu = machine.new_vcpu(space)
    vcpu.set_tls(0x1000)
    vcpu.set_gs_base(0x2000)
    assert (vcpu.get_tls(), vcpu.get_gs_base()) == (0x1000, 0x2000)
    vcpu.close()
    space.close()


def test_a_state_that_is_too_long(machine: KvmMachine) -> None:
    space = machine.new_space()
    vcpu = machine.new_vcpu(space)
    with pytest.raises(ValueError, match="XSAVE"):
        vcpu.set_fpu(bytes(1 << 20))
    vcpu.close()
    space.close()


def test_open_vcpus_are_counted(machine: KvmMachine) -> None:
    space = machine.new_space()
    vcpus = [machine.new_vcpu(space) for _ in range(3)]
    assert space.open_vcpus == 3
    for vcpu in vcpus:
        vcpu.close()
    assert space.open_vcpus == 0
    space.close()


def test_everything_is_freed_by_the_end(machine: KvmMachine) -> None:
    before = resources()
    second = KvmMachine(MEMORY)
    for _ in range(10):
        space = second.new_space()
        second.new_vcpu(space).close()
        space.close()
    second.close()
    assert not resources().more_than(before)


def test_a_single_machine_makes_no_spare_ones(machine: KvmMachine) -> None:
    before = resources()
    space = machine.new_space()
    assert machine.workshop._thread is None
    space.close()
    machine.workshop.close()
    assert not resources().more_than(before)


def test_what_waits_to_be_freed_is_bounded(machine: KvmMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the thread is that frees."""
    before, is_busy = resources(), threading.Lock()

    def free(space: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            with is_busy:
                pass
        kvm_lib.kvm_space_free(space)

    slow = Library()
    slow.kvm_space_free = free  # type: ignore[attr-defined]
    monkeypatch.setattr(kvm, "lib", slow)
    with is_busy:
        for _ in range(100):
            machine.new_space().close()
        assert len(machine.workshop._remains) < 40
    machine.workshop.close()
    assert not machine.workshop._remains
    assert not resources().more_than(before)


def test_spare_machines_are_used_and_freed(machine: KvmMachine) -> None:
    before = resources()
    made = KvmMachine(MEMORY)
    spaces = [made.new_space() for _ in range(2)]
    while not made.workshop._spares:
        time.sleep(0)
    spare = made.workshop._spares[0]
    spaces.append(made.new_space())
    assert spaces[-1].native == spare
    for space in spaces:
        made.new_vcpu(space).close()
        space.close()
    made.close()
    assert not resources().more_than(before)
