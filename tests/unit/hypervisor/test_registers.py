"""The register files are those of the architectures' own structures."""

from aionoah.hypervisor.registers import AARCH64_REGISTERS, X86_64_REGISTERS


def test_x86_64_is_struct_kvm_regs() -> None:
    assert X86_64_REGISTERS[:8] == ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp")
    assert X86_64_REGISTERS[8:16] == tuple(f"r{n}" for n in range(8, 16))
    assert X86_64_REGISTERS[16:] == ("rip", "rflags")


def test_aarch64_is_struct_user_pt_regs() -> None:
    assert AARCH64_REGISTERS[:31] == tuple(f"x{n}" for n in range(31))
    assert AARCH64_REGISTERS[31:] == ("sp", "pc", "pstate")


def test_no_name_comes_twice() -> None:
    for names in (X86_64_REGISTERS, AARCH64_REGISTERS):
        assert len(set(names)) == len(names)
