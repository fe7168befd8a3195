"""Which backend is taken, and what is said when none can be."""

import platform
from contextlib import closing

import pytest

from aionoah.hypervisor import kvm, select
from aionoah.hypervisor.errors import HypervisorError
from aionoah.hypervisor.select import ARCHITECTURES, BACKENDS, host_architecture, open_machine

MEMORY = 64 << 20


@pytest.mark.parametrize(
    ("name", "linux_name"),
    [
        ("x86_64", "x86_64"),
        ("AMD64", "x86_64"),
        ("arm64", "aarch64"),
        ("aarch64", "aarch64"),
        ("riscv64", "riscv64"),
    ],
)
def test_the_hosts_architecture_by_linuxs_name(
    monkeypatch: pytest.MonkeyPatch, name: str, linux_name: str
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: name)
    assert host_architecture() == linux_name


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_unicorn_runs_everything(architecture: str) -> None:
    with closing(open_machine("unicorn", architecture, MEMORY)) as machine:
        assert (machine.name, machine.architecture) == ("unicorn", architecture)


def test_auto_takes_kvm_where_it_works() -> None:
    if reason := kvm.why_unavailable():
        pytest.skip(f"KVM IS NOT TESTED: {reason}")
    with closing(open_machine("auto", "x86_64", MEMORY)) as machine:
        assert machine.name == "kvm"


def test_auto_takes_unicorn_for_another_architecture() -> None:
    other = "aarch64" if host_architecture() == "x86_64" else "x86_64"
    with closing(open_machine("auto", other, MEMORY)) as machine:
        assert (machine.name, machine.architecture) == ("unicorn", other)


def test_auto_takes_unicorn_without_kvm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm, "why_unavailable", lambda: "/dev/kvm is not here.")
    with closing(open_machine("auto", "x86_64", MEMORY)) as machine:
        assert machine.name == "unicorn"


def test_kvm_that_is_asked_for_says_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm, "why_unavailable", lambda: "/dev/kvm is not here.")
    monkeypatch.setattr(select, "host_architecture", lambda: "x86_64")
    with pytest.raises(HypervisorError, match=r"^/dev/kvm is not here\.$"):
        open_machine("kvm", "x86_64", MEMORY)


@pytest.mark.parametrize(
    ("host", "guest"), [("aarch64", "x86_64"), ("x86_64", "aarch64"), ("riscv64", "x86_64")]
)
def test_kvm_runs_x86_64_on_x86_64_only(monkeypatch: pytest.MonkeyPatch, host: str, guest: str) -> None:
    monkeypatch.setattr(select, "host_architecture", lambda: host)
    with pytest.raises(HypervisorError, match=f"KVM cannot run {guest} programs on this {host} host"):
        open_machine("kvm", guest, MEMORY)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_architecture_that_nobody_runs(backend: str) -> None:
    with pytest.raises(
        HypervisorError, match=r"m68k is not a guest architecture: take one of x86_64, aarch64\."
    ):
        open_machine(backend, "m68k", MEMORY)


@pytest.mark.parametrize("backend", ["", "KVM", "hvf", "none"])
def test_a_backend_that_is_none(backend: str) -> None:
    with pytest.raises(
        HypervisorError, match=f"^{backend} is not a hypervisor: take one of auto, kvm, unicorn"
    ):
        open_machine(backend, "x86_64", MEMORY)
