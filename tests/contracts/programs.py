"""Tiny guest programs as bytes, with their assembly beside them, and the registers they use.

Every program reads its operands from `pointer` and `value`; `result` is where it leaves its answer and
where a system call finds its own.
"""

from dataclasses import dataclass
from typing import Final

from aionoah.hypervisor.registers import AARCH64_REGISTERS, X86_64_REGISTERS


@dataclass(frozen=True)
class Isa:
    """One guest architecture as the tests see it."""

    names: tuple[str, ...]
    roles: dict[str, str]
    code: dict[str, bytes]

    def index(self, name: str) -> int:
        """Position in the register file of a register, by its own name or its role here."""
        return self.names.index(self.roles.get(name, name))


X86_64: Final = Isa(
    names=X86_64_REGISTERS,
    roles={"number": "rax", "result": "rax", "pointer": "rdi", "value": "rsi", "pc": "rip", "sp": "rsp"},
    code={
        name: bytes.fromhex(text)
        for name, text in {
            "syscall": "0f05 0f05",  # syscall; syscall
            "spin": "ebfe",  # jmp .
            "count": "48ffc0 ebfb",  # 1: inc %rax; jmp 1b
            "load": "488b07 0f05",  # mov (%rdi),%rax; syscall
            "store": "488937 0f05",  # mov %rsi,(%rdi); syscall
            "push": "56 0f05",  # push %rsi; syscall
            "jump": "ffe7",  # jmp *%rdi
            "wait": "483937 75fb 0f05",  # 1: cmp %rsi,(%rdi); jne 1b; syscall
            "store_spin": "488937 ebfe",  # mov %rsi,(%rdi); jmp .
            "store_loop": "488937 ebfb",  # 1: mov %rsi,(%rdi); jmp 1b
            "load_loop": "488b07 ebfb",  # 1: mov (%rdi),%rax; jmp 1b
            "illegal": "0f0b",  # ud2
            "breakpoint": "cc",  # int3
            "divide": "31c9 f7f1",  # xor %ecx,%ecx; div %ecx
            "atomic": "f048ff07 48ffce 75f7 0f05",  # 1: lock incq (%rdi); dec %rsi; jnz 1b; syscall
            "sum": "31c0 4801f0 48ffce 75f8 0f05",  # xor %eax,%eax; 1: add %rsi,%rax; dec %rsi; jnz 1b; syscall
            "tls": "64488b042500000000 0f05",  # mov %fs:0,%rax; syscall
            "vector": "0f101f 0f111e 0f05",  # movups (%rdi),%xmm3; movups %xmm3,(%rsi); syscall
            "vector_load": "0f101f 0f05",  # movups (%rdi),%xmm3; syscall
            "vector_store": "0f111f 0f05",  # movups %xmm3,(%rdi); syscall
        }.items()
    },
)

AARCH64: Final = Isa(
    names=AARCH64_REGISTERS,
    roles={"number": "x8", "result": "x0", "pointer": "x1", "value": "x2"},
    code={
        name: bytes.fromhex(text)
        for name, text in {
            "syscall": "010000d4 010000d4",  # svc #0; svc #0
            "spin": "00000014",  # b .
            "count": "00040091 ffffff17",  # 1: add x0,x0,#1; b 1b
            "load": "200040f9 010000d4",  # ldr x0,[x1]; svc #0
            "store": "220000f9 010000d4",  # str x2,[x1]; svc #0
            "push": "e20f1ff8 010000d4",  # str x2,[sp,#-16]!; svc #0
            "jump": "20001fd6",  # br x1
            "wait": "230040f9 7f0002eb c1ffff54 010000d4",  # 1: ldr x3,[x1]; cmp x3,x2; b.ne 1b; svc #0
            "store_spin": "220000f9 00000014",  # str x2,[x1]; b .
            "store_loop": "220000f9 ffffff17",  # 1: str x2,[x1]; b 1b
            "load_loop": "200040f9 ffffff17",  # 1: ldr x0,[x1]; b 1b
            "illegal": "00000000",  # udf #0
            "breakpoint": "000020d4",  # brk #0
            # 1: ldaxr x3,[x1]; add x3,x3,#1; stlxr w4,x3,[x1]; cbnz w4,1b; subs x2,x2,#1; b.ne 1b; svc #0
            "atomic": "23fc5fc8 63040091 23fc04c8 a4ffff35 420400f1 61ffff54 010000d4",
            # mov x0,#0; 1: add x0,x0,x2; subs x2,x2,#1; b.ne 1b; svc #0
            "sum": "000080d2 0000028b 420400f1 c1ffff54 010000d4",
            "tls": "40d03bd5 000040f9 010000d4",  # mrs x0,tpidr_el0; ldr x0,[x0]; svc #0
            "vector": "2300c03d 4300803d 010000d4",  # ldr q3,[x1]; str q3,[x2]; svc #0
            "vector_load": "2300c03d 010000d4",  # ldr q3,[x1]; svc #0
            "vector_store": "2300803d 010000d4",  # str q3,[x1]; svc #0
        }.items()
    },
)

ISAS: Final = {"x86_64": X86_64, "aarch64": AARCH64}

PRIVILEGED_X86_64: Final = {
    assembly: bytes.fromhex(text)
    for assembly, text in {
        "hlt": "f4",
        "cli": "fa",
        "sti": "fb",
        "clts": "0f06",
        "mov %rax,%cr3": "0f22d8",
        "mov %cr0,%rax": "0f20c0",
        "mov %rax,%dr7": "0f23f8",
        "out %al,(%dx)": "ee",
        "out %al,$0x80": "e680",
        "in (%dx),%al": "ec",
        "insb": "6c",
        "wrmsr": "0f30",
        "rdmsr": "0f32",
        "lgdt (%rdi)": "0f0117",
        "lidt (%rdi)": "0f011f",
        "ltr %ax": "0f00d8",
        "lldt %ax": "0f00d0",
        "swapgs": "0f01f8",
        "invlpg (%rdi)": "0f013f",
        "wbinvd": "0f09",
        "xsetbv": "0f01d1",
        "sysretq": "480f07",
        "sysexit": "0f35",
        "sysenter": "0f34",
        "iretq": "48cf",  # to ring 0: the stack is forged
        "lretq": "48cb",
        "mov %eax,%ss": "8ed0",
        "int $0x80": "cd80",
        "int $0x0e": "cd0e",
        "int $0x0d": "cd0d",
    }.items()
}

PRIVILEGED_AARCH64: Final = {
    assembly: bytes.fromhex(text)
    for assembly, text in {
        "msr daifset,#2": "df4203d5",
        "msr ttbr0_el1,x0": "002018d5",
        "mrs x0,sctlr_el1": "001038d5",
        "msr vbar_el1,x0": "00c018d5",
        "mrs x0,currentel": "404238d5",
        "mrs x0,pmccntr_el0": "009d3bd5",
        "msr spsel,#1": "bf4100d5",
        "tlbi vmalle1": "1f8708d5",
        "hvc #0": "020000d4",
        "smc #0": "030000d4",
        "eret": "e0039fd6",
    }.items()
}
