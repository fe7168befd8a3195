"""Guest code has no privilege: whatever it tries is refused, or does nothing."""

import pytest
from aionoah.hypervisor._native import lib
from contracts.conftest import open_backend
from contracts.guest import CODE, DATA, RW, STACK, Guest, pages
from contracts.programs import PRIVILEGED_AARCH64, PRIVILEGED_X86_64

from aionoah.hypervisor.protocols import ExceptionKind, ExitKind, Machine, Vcpu

REFUSALS = {ExceptionKind.PROTECTION, ExceptionKind.ILLEGAL_INSTRUCTION}
PRIVILEGED = {"x86_64": PRIVILEGED_X86_64, "aarch64": PRIVILEGED_AARCH64}
RING_0 = (0x10, 0x202, STACK - 256, 0x18)  # cs, rflags, rsp, ss of a forged frame

ATTEMPTS = [
    (backend, assembly)
    for backend in ("kvm-x86_64", "unicorn-x86_64", "unicorn-aarch64")
    for assembly in PRIVILEGED[backend.split("-")[1]]
]


def forge_frame(stack: memoryview, target: int) -> int:
    """An interrupt frame that would return to ring 0; gives its address."""
    frame = b"".join(word.to_bytes(8, "little") for word in (target, *RING_0))
    stack[-len(frame) - 64 : -64] = frame
    return STACK - len(frame) - 64


@pytest.mark.parametrize(("backend", "assembly"), ATTEMPTS)
def test_a_privileged_instruction_is_refused(backend: str, assembly: str) -> None:
    machine = open_backend(backend)
    guest = Guest(machine)
    vcpu = machine.new_vcpu(guest.space)
    stack = guest.add_page(STACK - pages(1), RW)
    code = PRIVILEGED[machine.architecture][assembly]
    at = guest.place(code + guest.isa.code["syscall"])
    sp = forge_frame(stack, guest.program("syscall"))
    kind = guest.start(vcpu, at, pointer=DATA, sp=sp)
    assert kind is ExitKind.EXCEPTION, (kind, vcpu.describe())
    assert vcpu.exception.kind in REFUSALS
    # Where its I/O bitmap lets OUT through, KVM reports it with the CPU behind the instruction.
    assert guest.get(vcpu, "pc") in (
        {at, at + len(code)} if machine.name == "kvm" and "out" in assembly else {at}
    )
    assert guest.get(vcpu, "sp") == sp
    # ...and the guest is none the worse for it.
    assert guest.start(vcpu, "sum", value=4) is ExitKind.SYSCALL
    assert guest.get(vcpu, "result") == 10
    vcpu.close()
    guest.close()
    machine.close()


X86_BACKENDS = pytest.mark.parametrize("machine", ["kvm-x86_64", "unicorn-x86_64"], indirect=True)


@X86_BACKENDS
def test_nothing_behind_a_refused_instruction_is_done(guest: Guest, vcpu: Vcpu) -> None:
    for instruction in ("ec", "ee", "f4", "0f34"):  # in (%dx),%al; out %al,(%dx); hlt; sysenter
        at = guest.place(
            bytes.fromhex(instruction + "48ffc3 488937 0f05")
        )  # inc %rbx; mov %rsi,(%rdi); syscall
        assert guest.start(vcpu, at, rbx=1, rdi=DATA, rsi=7) is ExitKind.EXCEPTION
        assert guest.get(vcpu, "rbx") == 1
        assert guest.word() == 0


@X86_BACKENDS
def test_popf_does_not_raise_the_io_privilege(guest: Guest, vcpu: Vcpu) -> None:
    guest.add_page(STACK - pages(1), RW)
    # pushf; orq $0x3000,(%rsp); popfq; pushf; pop %rax; syscall
    at = guest.place(bytes.fromhex("9c 48810c2400300000 9d 9c 58 0f05"))
    assert guest.start(vcpu, at, sp=STACK - 64) is ExitKind.SYSCALL
    assert guest.get(vcpu, "rax") & 0x3000 == 0
    assert guest.get(vcpu, "rax") & 0x200  # interrupts stay on


@X86_BACKENDS
def test_a_hypercall_does_nothing_for_the_guest(guest: Guest, vcpu: Vcpu) -> None:
    for hypercall in ("0f01c1", "0f01d9"):  # vmcall, vmmcall
        at = guest.place(bytes.fromhex(hypercall) + guest.isa.code["syscall"])
        kind = guest.start(vcpu, at, rax=1)
        assert kind is ExitKind.SYSCALL or vcpu.exception.kind in REFUSALS
        assert guest.start(vcpu, "sum", value=4) is ExitKind.SYSCALL


@X86_BACKENDS
def test_int_3_and_int_4_are_allowed(guest: Guest, vcpu: Vcpu) -> None:
    for code, expected in (("cd03", ExceptionKind.BREAKPOINT), ("cd04", ExceptionKind.OVERFLOW)):
        at = guest.place(bytes.fromhex(code))
        assert guest.start(vcpu, at) is ExitKind.EXCEPTION
        assert vcpu.exception.kind is expected
        assert guest.get(vcpu, "rip") == at + 2


@X86_BACKENDS
def test_a_real_exception_behind_bytes_that_look_like_int(guest: Guest, vcpu: Vcpu) -> None:
    at = guest.place(bytes.fromhex("eb02 cd05 f4"))  # jmp over two bytes; hlt
    assert guest.start(vcpu, at) is ExitKind.EXCEPTION
    assert guest.get(vcpu, "rip") == at + 4


# -- the kernel's own pages under KVM ----------------------------------------------------------------------

KERNEL_PAGES = 96  # more than it has for one vCPU

KVM_ONLY = pytest.mark.parametrize("machine", ["kvm-x86_64"], indirect=True)


def is_unprivileged(guest: Guest, vcpu: Vcpu) -> None:
    """Fails if the guest can read CR0, which takes ring 0; and the guest still works."""
    at = guest.place(bytes.fromhex("0f20c0 0f05"))  # mov %cr0,%rax; syscall
    assert guest.start(vcpu, at, rsp=STACK - 256) is ExitKind.EXCEPTION
    assert vcpu.exception.kind in REFUSALS
    assert guest.start(vcpu, "sum", value=4) is ExitKind.SYSCALL
    assert guest.get(vcpu, "rax") == 10


@KVM_ONLY
def test_kernel_pages_hold_nothing_for_the_guest(guest: Guest, vcpu: Vcpu) -> None:
    """Most cannot be read; stores into those that can are harmless to everybody else."""
    neighbour = Guest(guest.machine)
    other = guest.machine.new_vcpu(neighbour.space)
    refused = 0
    for page in range(KERNEL_PAGES):
        for offset in (0, 8, 0x18, 0x800, 0xFF8):
            for program in ("load", "store"):
                address = lib.KERNEL_BASE + pages(page) + offset
                kind = guest.start(vcpu, program, pointer=address, value=0xFFFF_FFFF_FFFF_FFFF)
                assert kind in {ExitKind.SYSCALL, ExitKind.PAGE_FAULT, ExitKind.EXCEPTION}, vcpu.describe()
                refused += kind is not ExitKind.SYSCALL
    assert refused > KERNEL_PAGES * 8
    is_unprivileged(guest, vcpu)
    assert neighbour.start(other, "sum", value=4) is ExitKind.SYSCALL
    other.close()
    neighbour.close()


@KVM_ONLY
def test_kernel_pages_are_no_place_to_jump_to(guest: Guest, vcpu: Vcpu) -> None:
    """Not even with a forged interrupt frame on the stack and in every register that SYSCALL uses."""
    stack = guest.add_page(STACK - pages(1), RW)
    ring_0 = guest.place(bytes.fromhex("0f20c0 0f05"))
    sp = forge_frame(stack, ring_0)
    for page in range(KERNEL_PAGES):
        for offset in (*range(64), 0x100, 0x800, 0xFFF):
            vcpu.registers[:] = memoryview(bytes(8 * len(vcpu.registers))).cast("Q")
            guest.set(vcpu, rcx=ring_0, r11=0x3202, rsp=sp)
            target = lib.KERNEL_BASE + pages(page) + offset
            kind = guest.start(vcpu, "jump", pointer=target, rax=0x7E57)
            if kind is ExitKind.SYSCALL:
                # It found the way a system call goes, and is where it said it came from: at the
                # privileged instruction, without privilege, with nothing done yet.
                assert guest.get(vcpu, "rax") == 0x7E57
            else:
                assert kind in {ExitKind.PAGE_FAULT, ExitKind.EXCEPTION}, vcpu.describe()
    is_unprivileged(guest, vcpu)


@KVM_ONLY
@pytest.mark.parametrize("way", ["ljmp", "lret", "iret"])
def test_no_way_leads_to_32_bit_code(guest: Guest, vcpu: Vcpu, way: str) -> None:
    """SYSCALL there would enter the kernel at another place (MSR_CSTAR)."""
    stack = guest.add_page(STACK - pages(1), RW)
    target = guest.place(bytes.fromhex("0f05 ebfe"))  # syscall; jmp .
    instruction = {"ljmp": "ff2c24", "lret": "cb", "iret": "cf"}[way]  # with operands of 32 bits
    for selector in range(0x20, 0x24):
        at = guest.place(bytes.fromhex(instruction))
        words = (target, selector, 0x202, DATA, 0x2B)
        stack[-64:-44] = b"".join(word.to_bytes(4, "little") for word in words)
        assert guest.start(vcpu, at, rsp=STACK - 64) is ExitKind.EXCEPTION, vcpu.describe()
        assert vcpu.exception.kind in REFUSALS
        assert guest.get(vcpu, "rip") == at


@KVM_ONLY
@pytest.mark.parametrize("sp", [DATA, 1 << 47, 1 << 63, 0x9999_9999_9999_9999])
def test_a_system_call_leaves_no_privilege_behind(guest: Guest, vcpu: Vcpu, sp: int) -> None:
    """Wherever the stack is: a KVM in software interprets instructions while it is nowhere."""
    at = guest.place(bytes.fromhex("0f05 0f20c0 0f05"))  # syscall; mov %cr0,%rax; syscall
    for _ in range(3):
        assert guest.start(vcpu, at, rsp=sp) is ExitKind.SYSCALL
        assert vcpu.run() is ExitKind.EXCEPTION, vcpu.describe()
        assert vcpu.exception.kind in REFUSALS
        assert guest.get(vcpu, "rip") == at + 2
        assert guest.start(vcpu, "sum", value=4) is ExitKind.SYSCALL


@KVM_ONLY
def test_the_guest_cannot_map_over_the_kernel(guest: Guest, vcpu: Vcpu) -> None:
    assert guest.space.end <= lib.KERNEL_BASE
    assert guest.start(vcpu, "jump", pointer=guest.space.end) is not ExitKind.SYSCALL
    assert guest.code is not None
    assert guest.space.end > CODE


@pytest.mark.parametrize("machine", ["unicorn-aarch64"], indirect=True)
class TestAarch64UserMode:
    """What Linux lets a program do at EL0 works."""

    def run(self, machine: Machine, code: str, **values: int) -> tuple[Guest, Vcpu]:
        guest = Guest(machine)
        vcpu = machine.new_vcpu(guest.space)
        assert guest.start(vcpu, guest.place(bytes.fromhex(code)), **values) is ExitKind.SYSCALL
        return guest, vcpu

    @staticmethod
    def close(guest: Guest, vcpu: Vcpu) -> None:
        vcpu.close()
        guest.close()

    def test_identification_registers_are_emulated(self, machine: Machine) -> None:
        guest, vcpu = self.run(machine, "000038d5 010000d4")  # mrs x0,midr_el1; svc #0
        assert guest.get(vcpu, "x0") == 0x410F_D083  # Cortex-A72 r0p3
        self.close(guest, vcpu)

    def test_cache_type_and_counter_can_be_read(self, machine: Machine) -> None:
        # mrs x0,ctr_el0; mrs x1,dczid_el0; mrs x2,cntvct_el0; svc #0
        guest, vcpu = self.run(machine, "20003bd5 e1003bd5 42e03bd5 010000d4")
        assert guest.get(vcpu, "x0") >> 31
        assert guest.get(vcpu, "x1") & 0x10 == 0  # DC ZVA is allowed
        self.close(guest, vcpu)

    def test_caches_can_be_cleaned(self, machine: Machine) -> None:
        # dc cvau,x1; dsb ish; ic ivau,x1; isb; svc #0
        self.close(*self.run(machine, "217b0bd5 9f3b03d5 21750bd5 df3f03d5 010000d4", x1=DATA))

    def test_blocks_can_be_zeroed(self, machine: Machine) -> None:
        guest = Guest(machine)
        vcpu = machine.new_vcpu(guest.space)
        guest.data[:128] = b"x" * 128
        at = guest.place(bytes.fromhex("21740bd5 010000d4"))  # dc zva,x1; svc #0
        assert guest.start(vcpu, at, x1=DATA) is ExitKind.SYSCALL
        assert bytes(guest.data[:64]) == bytes(64)
        assert guest.start(vcpu, at, x1=DATA + pages(4)) is ExitKind.PAGE_FAULT
        self.close(guest, vcpu)

    def test_hints_do_not_stop_the_guest(self, machine: Machine) -> None:
        # yield; wfe; wfi; svc #0
        guest, vcpu = self.run(machine, "3f2003d5 5f2003d5 7f2003d5 010000d4")
        assert guest.get(vcpu, "pc") == CODE + 16
        self.close(guest, vcpu)

    def test_pointer_tags_are_ignored(self, machine: Machine) -> None:
        guest = Guest(machine)
        vcpu = machine.new_vcpu(guest.space)
        guest.data[0:8] = (5).to_bytes(8, "little")
        assert guest.start(vcpu, "load", pointer=DATA | 0xAB << 56) is ExitKind.SYSCALL
        assert guest.get(vcpu, "x0") == 5
        assert guest.start(vcpu, "load", pointer=DATA + pages(9) | 0xAB << 56) is ExitKind.PAGE_FAULT
        assert vcpu.fault.address == DATA + pages(9)
        self.close(guest, vcpu)

    def test_an_unaligned_exclusive_access(self, machine: Machine) -> None:
        guest = Guest(machine)
        vcpu = machine.new_vcpu(guest.space)
        at = guest.place(bytes.fromhex("207c5fc8"))  # ldxr x0,[x1]
        assert guest.start(vcpu, at, x1=DATA + 3) is ExitKind.EXCEPTION
        assert vcpu.exception.kind is ExceptionKind.ALIGNMENT
        assert guest.get(vcpu, "pc") == at
        self.close(guest, vcpu)
