"""The contract of Vcpu: registers, system calls, exceptions, thread pointer and FPU."""

import struct

import pytest
from contracts.guest import CODE, DATA, NOWHERE, RW, RX, STACK, Guest, pages

from aionoah.hypervisor.protocols import NO_CALL, ExceptionKind, ExitKind, Prot, Vcpu

WORD = 0x1122_3344_5566_7788


def test_a_new_vcpu_has_no_registers_set(guest: Guest, vcpu: Vcpu) -> None:
    flags = {guest.isa.names.index(name) for name in ("rflags", "pstate") if name in guest.isa.names}
    assert [word for index, word in enumerate(vcpu.registers) if word and index not in flags] == []
    assert vcpu.registers.format == "Q"
    assert len(vcpu.registers) == len(guest.isa.names)


def test_a_system_call_shows_number_and_arguments_and_goes_on(guest: Guest, vcpu: Vcpu) -> None:
    assert guest.start(vcpu, "syscall", number=39, pointer=1, value=2) is ExitKind.SYSCALL
    assert [guest.get(vcpu, name) for name in ("number", "pointer", "value")] == [39, 1, 2]
    size = len(guest.isa.code["syscall"]) // 2
    assert guest.get(vcpu, "pc") == guest.program("syscall") + size
    guest.set(vcpu, result=1234)
    assert vcpu.run() is ExitKind.SYSCALL  # the next one
    assert guest.get(vcpu, "result") == 1234
    assert guest.get(vcpu, "pc") == guest.program("syscall") + 2 * size


def test_all_registers_survive_an_exit(guest: Guest, vcpu: Vcpu) -> None:
    """What the kernel sets is what the program gets, SYSCALL's own registers included: the first
    system call brings us to a place of our choice with every register chosen.
    """
    guest.start(vcpu, "syscall")
    spared = {"rsp", "sp", "rip", "pc", "rflags", "pstate"}
    chosen = {
        name: 0x1000_0000_0000 + place for place, name in enumerate(guest.isa.names) if name not in spared
    }
    guest.set(vcpu, **chosen, sp=STACK)
    # A breakpoint shows them without overwriting any.
    guest.start(vcpu, "breakpoint")
    assert {name: guest.get(vcpu, name) for name in chosen} == chosen
    assert guest.get(vcpu, "sp") == STACK
    guest.start(vcpu, "syscall")
    overwritten = {"rcx", "r11"}
    left = {name: value for name, value in chosen.items() if name not in overwritten}
    assert {name: guest.get(vcpu, name) for name in left} == left


def test_syscall_leaves_its_return_address_and_flags(guest: Guest, vcpu: Vcpu) -> None:
    if "rcx" not in guest.isa.names:
        pytest.skip("of x86_64 only")
    guest.start(vcpu, "syscall", rflags=0x202 | 0x8D5)
    assert guest.get(vcpu, "rcx") == guest.get(vcpu, "rip")
    assert guest.get(vcpu, "r11") & 0x8D5 == 0x8D5
    assert guest.get(vcpu, "rflags") & 0x8D5 == 0x8D5


def test_condition_flags_survive_an_exit(guest: Guest, vcpu: Vcpu) -> None:
    name, bits = ("pstate", 0xA000_0000) if "pstate" in guest.isa.names else ("rflags", 0x8C1)
    guest.start(vcpu, "syscall", **{name: bits})
    assert guest.get(vcpu, name) & bits == bits
    guest.set(vcpu, **{name: 0x200})
    vcpu.run()
    assert guest.get(vcpu, name) & bits == 0


def test_flags_that_are_not_the_programs_do_not_take(guest: Guest, vcpu: Vcpu) -> None:
    """IOPL 3 would let it use ports; EL1 would let it do anything."""
    name, bits = ("pstate", 0x5) if "pstate" in guest.isa.names else ("rflags", 0x3000)
    guest.start(vcpu, "syscall", **{name: bits})
    assert guest.get(vcpu, name) & bits == 0


def test_computing_without_leaving(guest: Guest, vcpu: Vcpu) -> None:
    assert guest.start(vcpu, "sum", value=100_000) is ExitKind.SYSCALL
    assert guest.get(vcpu, "result") == 100_000 * 100_001 // 2


def test_loads_and_stores_reach_the_frames(guest: Guest, vcpu: Vcpu) -> None:
    assert guest.start(vcpu, "store", pointer=DATA + 16, value=WORD) is ExitKind.SYSCALL
    assert guest.word(16) == WORD
    guest.data[24:32] = (WORD + 1).to_bytes(8, "little")
    assert guest.start(vcpu, "load", pointer=DATA + 24) is ExitKind.SYSCALL
    assert guest.get(vcpu, "result") == WORD + 1


# -- page faults -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "prot", "missing"),
    [
        ("load", None, Prot.READ),
        ("store", None, Prot.WRITE),
        ("jump", None, Prot.EXECUTE),
        ("load", Prot.NONE, Prot.READ),
        ("store", Prot.NONE, Prot.WRITE),
        ("store", Prot.READ, Prot.WRITE),
        ("store", RX, Prot.WRITE),
        ("jump", Prot.READ, Prot.EXECUTE),
        ("jump", RW, Prot.EXECUTE),
    ],
)
def test_a_refused_access_is_a_page_fault_and_can_be_tried_again(
    guest: Guest, vcpu: Vcpu, program: str, prot: Prot | None, missing: Prot
) -> None:
    page, at = 0x5000_0000, 0x5000_0128
    if prot is not None:
        guest.add_page(page, prot)
    assert guest.start(vcpu, program, pointer=at, value=WORD, result=0) is ExitKind.PAGE_FAULT
    assert vcpu.fault == (at, missing)
    assert guest.get(vcpu, "pc") == (at if program == "jump" else guest.program(program))
    if prot is None:
        guest.add_page(page, missing | Prot.READ)
    else:
        guest.space.protect(page, pages(1), missing | Prot.READ)
    found = guest.space.extent(page)
    assert found is not None
    memory = found.memory[page - found.start :]
    memory[0x128:0x130] = guest.isa.code["syscall"][:8].ljust(8, b"\0")
    assert vcpu.run() is ExitKind.SYSCALL
    if program == "store":
        assert int.from_bytes(memory[0x128:0x130], "little") == WORD
    elif program == "load":
        assert guest.get(vcpu, "result") == int.from_bytes(memory[0x128:0x130], "little")
    else:
        assert guest.get(vcpu, "pc") == at + len(guest.isa.code["syscall"]) // 2


def test_a_fault_names_the_first_bad_byte_of_an_access(guest: Guest, vcpu: Vcpu) -> None:
    """As Linux's si_addr does on both architectures, for accesses that cross into a bad page."""
    assert guest.start(vcpu, "load", pointer=DATA + pages(1) - 3) is ExitKind.PAGE_FAULT
    assert vcpu.fault == (DATA + pages(1), Prot.READ)


def test_pushing_on_a_missing_stack(guest: Guest, vcpu: Vcpu) -> None:
    assert guest.start(vcpu, "push", sp=STACK, value=WORD) is ExitKind.PAGE_FAULT
    assert vcpu.fault.access is Prot.WRITE
    assert STACK - 16 <= vcpu.fault.address < STACK
    assert guest.get(vcpu, "sp") == STACK
    stack = guest.add_page(STACK - pages(1), RW)
    assert vcpu.run() is ExitKind.SYSCALL
    where = guest.get(vcpu, "sp") & pages(1) - 1
    assert int.from_bytes(stack[where : where + 8], "little") == WORD


def test_a_call_that_gives_way_may_be_answered_by_the_machine_but_not_always(
    guest: Guest, vcpu: Vcpu
) -> None:
    program, number = guest.program("syscall"), 24
    behind_first = program + len(guest.isa.code["syscall"]) // 2

    def is_told_of(called: int, yield_call: int) -> bool:
        guest.set(vcpu, pc=program, number=called)
        assert vcpu.run(yield_call) is ExitKind.SYSCALL
        is_first = guest.get(vcpu, "pc") == behind_first
        assert is_first or guest.get(vcpu, "result") == 0
        return is_first

    assert any(is_told_of(number, number) for _ in range(32))
    assert all(is_told_of(number, NO_CALL) for _ in range(32))
    assert all(is_told_of(number + 1, number) for _ in range(32))


def test_unmapped_means_gone(guest: Guest, vcpu: Vcpu) -> None:
    assert guest.start(vcpu, "load", pointer=DATA) is ExitKind.SYSCALL
    guest.space.unmap(DATA, pages(1))
    assert guest.start(vcpu, "load", pointer=DATA) is ExitKind.PAGE_FAULT
    guest.add_page(DATA, RW)[:8] = WORD.to_bytes(8, "little")
    assert guest.start(vcpu, "load", pointer=DATA) is ExitKind.SYSCALL
    assert guest.get(vcpu, "result") == WORD


def test_protect_takes_rights_away_at_once(guest: Guest, vcpu: Vcpu) -> None:
    for prot, program in ((Prot.READ, "store"), (Prot.NONE, "load")):
        guest.space.protect(DATA, pages(1), RW)
        assert guest.start(vcpu, "store", pointer=DATA) is ExitKind.SYSCALL
        guest.space.protect(DATA, pages(1), prot)
        assert guest.start(vcpu, program, pointer=DATA) is ExitKind.PAGE_FAULT


def test_execution_can_be_taken_away(guest: Guest, vcpu: Vcpu) -> None:
    assert guest.start(vcpu, "syscall") is ExitKind.SYSCALL
    guest.space.protect(CODE, pages(1), RW)
    assert guest.start(vcpu, "syscall") is ExitKind.PAGE_FAULT
    assert vcpu.fault == (guest.program("syscall"), Prot.EXECUTE)


def test_moved_memory_is_found_at_its_new_place_only(guest: Guest, vcpu: Vcpu) -> None:
    guest.start(vcpu, "store", pointer=DATA, value=WORD)
    guest.space.move(DATA, NOWHERE & -pages(1), pages(1))
    assert guest.start(vcpu, "load", pointer=NOWHERE & -pages(1)) is ExitKind.SYSCALL
    assert guest.get(vcpu, "result") == WORD
    assert guest.start(vcpu, "load", pointer=DATA) is ExitKind.PAGE_FAULT


def test_another_frame_at_the_same_address(guest: Guest, vcpu: Vcpu) -> None:
    """What a copy on write does: the page must be the new one at the next instruction."""
    guest.start(vcpu, "store", pointer=DATA, value=1)
    guest.space.unmap(DATA, pages(1))
    guest.add_page(DATA, RW)[:8] = (2).to_bytes(8, "little")
    guest.start(vcpu, "load", pointer=DATA)
    assert guest.get(vcpu, "result") == 2


def test_code_that_the_kernel_changes_is_noticed(guest: Guest, vcpu: Vcpu) -> None:
    at = guest.program("sum")
    guest.start(vcpu, "sum", value=10)
    guest.space.protect(CODE, pages(1), RW)
    guest.code[at - CODE :][:4] = guest.isa.code["syscall"][:4]
    guest.space.protect(CODE, pages(1), RX)
    assert guest.start(vcpu, at, value=10, result=77) is ExitKind.SYSCALL
    assert guest.get(vcpu, "result") == 77


def test_writable_code_that_the_kernel_changes_is_noticed(guest: Guest, vcpu: Vcpu) -> None:
    guest.space.protect(CODE, pages(1), RW | RX)
    at = guest.program("sum")
    guest.start(vcpu, "sum", value=10)
    found = guest.space.extent(at)
    assert found is not None
    found.memory[at - found.start :][:4] = guest.isa.code["syscall"][:4]
    assert guest.start(vcpu, at, value=10, result=77) is ExitKind.SYSCALL
    assert guest.get(vcpu, "result") == 77


def test_frames_of_another_space_are_out_of_reach(guest: Guest, vcpu: Vcpu) -> None:
    other = Guest(guest.machine)
    other.add_page(0x7000_0000, RW)[:8] = WORD.to_bytes(8, "little")
    assert guest.start(vcpu, "load", pointer=0x7000_0000) is ExitKind.PAGE_FAULT
    other_vcpu = guest.machine.new_vcpu(other.space)
    assert other.start(other_vcpu, "load", pointer=0x7000_0000) is ExitKind.SYSCALL
    assert other.get(other_vcpu, "result") == WORD
    other_vcpu.close()
    other.close()


def test_wild_addresses_are_refused(guest: Guest, vcpu: Vcpu) -> None:
    for address in (0, 8, NOWHERE, guest.space.end, 1 << 47, 1 << 48, 0x8000_0000_0000_0000, -4096, -8):
        for program in ("load", "store", "jump"):
            kind = guest.start(vcpu, program, pointer=address)
            if kind is ExitKind.EXCEPTION:
                assert vcpu.exception.kind is ExceptionKind.PROTECTION, hex(address)
            else:
                assert kind is ExitKind.PAGE_FAULT, hex(address)
    assert guest.start(vcpu, "syscall") is ExitKind.SYSCALL


# -- exceptions --------------------------------------------------------------------------------------------


def test_an_illegal_instruction(guest: Guest, vcpu: Vcpu) -> None:
    assert guest.start(vcpu, "illegal") is ExitKind.EXCEPTION
    assert vcpu.exception.kind is ExceptionKind.ILLEGAL_INSTRUCTION
    assert guest.get(vcpu, "pc") == guest.program("illegal")


def test_a_breakpoint(guest: Guest, vcpu: Vcpu) -> None:
    assert guest.start(vcpu, "breakpoint") is ExitKind.EXCEPTION
    assert vcpu.exception.kind is ExceptionKind.BREAKPOINT
    # INT3 is a trap, BRK a fault.
    behind = len(guest.isa.code["breakpoint"]) if "rip" in guest.isa.names else 0
    assert guest.get(vcpu, "pc") == guest.program("breakpoint") + behind


def test_division_by_zero(guest: Guest, vcpu: Vcpu) -> None:
    if "divide" not in guest.isa.code:
        pytest.skip("aarch64 divides by zero without an exception")
    assert guest.start(vcpu, "divide") is ExitKind.EXCEPTION
    assert vcpu.exception.kind is ExceptionKind.DIVIDE
    assert guest.get(vcpu, "pc") == guest.program("divide") + 2


def test_single_steps(guest: Guest, vcpu: Vcpu) -> None:
    if "rflags" not in guest.isa.names:
        pytest.skip("a program steps itself by the trap flag of x86_64 only")
    assert guest.start(vcpu, "sum", value=3, rflags=0x302) is ExitKind.EXCEPTION
    assert vcpu.exception.kind is ExceptionKind.SINGLE_STEP
    assert guest.get(vcpu, "pc") == guest.program("sum") + 2  # behind xor %eax,%eax


def test_the_kernel_can_go_on_elsewhere_after_an_exception(guest: Guest, vcpu: Vcpu) -> None:
    """What the delivery of a signal does."""
    guest.start(vcpu, "illegal")
    assert guest.start(vcpu, "sum", value=4) is ExitKind.SYSCALL
    assert guest.get(vcpu, "result") == 10


# -- thread pointer and FPU --------------------------------------------------------------------------------


def test_the_thread_pointer(guest: Guest, vcpu: Vcpu) -> None:
    assert vcpu.get_tls() == 0
    guest.data[64:72] = WORD.to_bytes(8, "little")
    vcpu.set_tls(DATA + 64)
    assert guest.start(vcpu, "tls") is ExitKind.SYSCALL
    assert guest.get(vcpu, "result") == WORD
    assert vcpu.get_tls() == DATA + 64


def test_vector_registers_pass_through_memory(guest: Guest, vcpu: Vcpu) -> None:
    guest.data[0:16] = bytes(range(16))
    assert guest.start(vcpu, "vector", pointer=DATA, value=DATA + 32) is ExitKind.SYSCALL
    assert bytes(guest.data[32:48]) == bytes(range(16))


def test_the_fpu_state_survives_exits(guest: Guest, vcpu: Vcpu) -> None:
    guest.data[0:16] = b"vector registers"
    guest.start(vcpu, "vector_load", pointer=DATA)
    guest.start(vcpu, "illegal")
    guest.start(vcpu, "vector_store", pointer=DATA + 16)
    assert bytes(guest.data[16:32]) == b"vector registers"


def test_the_fpu_state_can_be_saved_and_restored(guest: Guest, vcpu: Vcpu) -> None:
    guest.data[0:16] = b"the first vector"
    guest.start(vcpu, "vector_load", pointer=DATA)
    saved = vcpu.get_fpu()
    assert vcpu.get_fpu() == saved
    assert b"the first vector" in saved
    guest.data[0:16] = b"and a second one"
    guest.start(vcpu, "vector_load", pointer=DATA)
    assert vcpu.get_fpu() != saved
    vcpu.set_fpu(saved)
    guest.start(vcpu, "vector_store", pointer=DATA + 16)
    assert bytes(guest.data[16:32]) == b"the first vector"


def test_an_edited_fpu_state_is_what_the_guest_sees(guest: Guest, vcpu: Vcpu) -> None:
    """What sigreturn does with a frame that the handler has changed."""
    guest.data[0:16] = b"the first vector"
    guest.start(vcpu, "vector_load", pointer=DATA)
    vcpu.set_fpu(vcpu.get_fpu().replace(b"the first vector", b"what was put in."))
    guest.start(vcpu, "vector_store", pointer=DATA + 16)
    assert bytes(guest.data[16:32]) == b"what was put in."


def test_a_new_vcpus_fpu_is_as_execve_leaves_it(guest: Guest, vcpu: Vcpu) -> None:
    state = vcpu.get_fpu()
    if "rip" in guest.isa.names:
        assert struct.unpack_from("<H", state, 0)[0] == 0x37F
        assert struct.unpack_from("<I", state, 24)[0] == 0x1F80
    else:
        assert state == bytes(528)


def test_a_state_that_the_cpu_would_refuse(guest: Guest, vcpu: Vcpu) -> None:
    guest.start(vcpu, "vector_load", pointer=DATA)  # the header names SSE state from now on
    state = bytearray(vcpu.get_fpu())
    if "rip" in guest.isa.names:
        for offset, bad in ((24, b"\xff\xff\xff\xff"), (512, b"\xff" * 8), (528, b"\1")):
            wrong = state.copy()
            wrong[512] |= 3
            wrong[offset : offset + len(bad)] = bad
            with pytest.raises(ValueError, match=r"XSAVE|MXCSR"):
                vcpu.set_fpu(bytes(wrong))
    else:
        with pytest.raises(ValueError, match="528"):
            vcpu.set_fpu(bytes(state[:-1]))
    assert vcpu.get_fpu() == bytes(state)


def test_describe_has_words(guest: Guest, vcpu: Vcpu) -> None:
    guest.start(vcpu, "syscall")
    assert f"{guest.get(vcpu, 'pc'):x}" in vcpu.describe()
