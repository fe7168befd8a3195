"""The register files that Vcpu.registers shows, word by word."""

from typing import Final

X86_64_REGISTERS: Final = (
    *("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp"),
    *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip", "rflags"),
)
"""In the order of KVM's struct kvm_regs."""

AARCH64_REGISTERS: Final = (*(f"x{n}" for n in range(31)), "sp", "pc", "pstate")
