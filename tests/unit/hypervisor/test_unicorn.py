"""The Unicorn backend beyond what every backend promises."""

import threading
from collections.abc import Iterator

import pytest
from contracts.guest import CODE, DATA, RW, RX, Guest, cpu_threads, pages
from unicorn.unicorn_py3.unicorn import UcError

from aionoah.hypervisor.errors import HypervisorError
from aionoah.hypervisor.protocols import ExitKind, Prot
from aionoah.hypervisor.unicorn import UnicornMachine


@pytest.fixture(params=["x86_64", "aarch64"])
def guest(request: pytest.FixtureRequest) -> Iterator[Guest]:
    machine = UnicornMachine(request.param, 64 << 20)
    made = Guest(machine)
    yield made
    made.close()
    machine.close()


@pytest.fixture
def x86() -> Iterator[Guest]:
    machine = UnicornMachine("x86_64", 64 << 20)
    made = Guest(machine)
    yield made
    made.close()
    machine.close()


def test_the_place_of_refused_addresses_has_been_found(guest: Guest) -> None:
    """Without it a fault would name no more than its page."""
    guest.machine.new_vcpu(guest.space).close()
    assert guest.machine.native.address_offset > 0  # type: ignore[attr-defined]


def test_the_promised_cpu_features_are_those_of_cpuid(x86: Guest) -> None:
    vcpu = x86.machine.new_vcpu(x86.space)
    at = x86.place(bytes.fromhex("0fa2 cc"))  # cpuid; int3
    x86.start(vcpu, at, rax=1)
    assert x86.get(vcpu, "rdx") == x86.machine.hwcap
    needed = 1 << 0 | 1 << 9 | 1 << 13 | 1 << 19 | 1 << 20 | 1 << 23  # SSE3 SSSE3 CX16 SSE4.1 SSE4.2 POPCNT
    assert x86.get(vcpu, "rcx") & needed == needed
    assert x86.get(vcpu, "rcx") & (1 << 27 | 1 << 28) == 0  # no OSXSAVE and no AVX: nobody asks XGETBV
    x86.start(vcpu, at, rax=7, rcx=0)
    assert x86.get(vcpu, "rbx") & (1 << 5 | 1 << 16) == 0  # no AVX2 and no AVX-512
    vcpu.close()


def test_code_that_changes_itself(x86: Guest) -> None:
    x86.space.protect(CODE, pages(1), RW | RX)
    # movb $7,1f+1(%rip); 1: mov $1,%eax; syscall
    at = x86.place(bytes.fromhex("c6050100000007 b801000000 0f05"))
    vcpu = x86.machine.new_vcpu(x86.space)
    for _ in range(3):
        assert x86.start(vcpu, at) is ExitKind.SYSCALL
        assert x86.get(vcpu, "rax") == 7
    vcpu.close()


def test_code_that_another_vcpu_has_written(x86: Guest) -> None:
    """Noticed at the next entry at the latest, as a membarrier for instructions would have it."""
    x86.space.protect(CODE, pages(1), RW | RX)
    at = x86.place(bytes.fromhex("b801000000 0f05"))  # mov $1,%eax; syscall
    with cpu_threads(x86, 2) as (runner, writer):
        assert runner.start(at).result() is ExitKind.SYSCALL
        new = int.from_bytes(bytes.fromhex("b809000000 0f05 90"), "little")
        assert writer.start("store", pointer=at, value=new).result() is ExitKind.SYSCALL
        assert runner.start(at).result() is ExitKind.SYSCALL
        assert x86.get(runner.vcpu, "rax") == 9


def test_code_at_two_addresses(guest: Guest) -> None:
    """One frame, mapped twice: writable here, executable there, as compilers with W^X have it."""
    frame = guest.machine.frames.allocate(1)
    guest.space.map(0x7000_0000, frame, 1, RW)
    guest.space.map(0x7100_0000, frame, 1, RX)
    guest.machine.frames.drop(frame, 1)
    vcpu = guest.machine.new_vcpu(guest.space)
    for program in ("sum", "spin"):
        text = guest.isa.code[program].ljust(24, b"\0")
        for place in range(0, 24, 8):
            word = int.from_bytes(text[place : place + 8], "little")
            assert guest.start(vcpu, "store", pointer=0x7000_0000 + place, value=word) is ExitKind.SYSCALL
        if program == "sum":
            assert guest.start(vcpu, 0x7100_0000, value=4) is ExitKind.SYSCALL
            assert guest.get(vcpu, "result") == 10
    with cpu_threads(guest, 1) as (thread,):
        running = thread.start(0x7100_0000)
        thread.vcpu.kick()
        assert running.result() is ExitKind.KICKED
    vcpu.close()


def test_a_frame_that_was_code_and_is_other_code_now(guest: Guest) -> None:
    vcpu = guest.machine.new_vcpu(guest.space)
    for number, program in enumerate(("sum", "syscall", "sum", "illegal")):
        page = guest.add_page(0x7000_0000, RX)  # the same frame every time
        page[:32] = guest.isa.code[program].ljust(32, b"\0")
        kind = guest.start(vcpu, 0x7000_0000, value=4)
        assert kind is (ExitKind.EXCEPTION if program == "illegal" else ExitKind.SYSCALL), number
        guest.space.unmap(0x7000_0000, pages(1))
    vcpu.close()


def test_no_guest_runs_while_the_machine_is_seized(guest: Guest) -> None:
    machine = guest.machine
    assert isinstance(machine, UnicornMachine)
    with cpu_threads(guest, 2) as threads:
        running = [thread.start("atomic", pointer=DATA, value=1 << 40) for thread in threads]
        while not guest.word():
            threading.Event().wait(0)
        for _ in range(20):
            with machine.seized():
                before = guest.word()
                sum(range(20_000))
                assert guest.word() == before
        for thread in threads:
            thread.vcpu.kick()
        assert [future.result() for future in running] == [ExitKind.KICKED] * 2


def test_an_exception_at_the_edge_of_what_is_mapped(guest: Guest) -> None:
    """The backend looks at the bytes on both sides of the program counter, which may not be there."""
    vcpu = guest.machine.new_vcpu(guest.space)
    size = len(guest.isa.code["illegal"])
    guest.code[-size:] = guest.isa.code["illegal"]
    for page in (CODE, guest.space.end - pages(1)):
        if page != CODE:
            guest.add_page(page, RX)[-size:] = guest.isa.code["illegal"]
        at = page + pages(1) - size
        assert guest.start(vcpu, at) is ExitKind.EXCEPTION
        assert guest.get(vcpu, "pc") == at
        code = bytes(vcpu.native.code)  # type: ignore[attr-defined]
        assert code[4 : 4 + size] == guest.isa.code["illegal"]
        assert code[4 + size :] == bytes(4 - size)
    vcpu.close()


def test_a_space_of_another_backend(guest: Guest) -> None:
    with pytest.raises(TypeError):
        guest.machine.new_vcpu(object())  # type: ignore[arg-type]


@pytest.mark.parametrize(("number", "expected"), [(1, MemoryError), (2, HypervisorError)])
def test_errors_of_unicorn_have_words(
    guest: Guest, monkeypatch: pytest.MonkeyPatch, number: int, expected: type[Exception]
) -> None:
    def refuse() -> None:
        raise UcError(number)

    monkeypatch.setattr(guest.machine.cpu, "open_engine", refuse)  # type: ignore[attr-defined]
    with pytest.raises(expected, match=r"virtual CPU"):
        guest.machine.new_vcpu(guest.space)
    # The machine is not left seized.
    guest.space.protect(DATA, pages(1), Prot.READ)


def test_many_page_faults_in_a_row(guest: Guest) -> None:
    """As a program has that touches new memory page by page."""
    vcpu = guest.machine.new_vcpu(guest.space)
    for place in range(300):
        at = 0x7000_0000 + pages(place) + 8
        assert guest.start(vcpu, "store", pointer=at, value=place) is ExitKind.PAGE_FAULT
        assert vcpu.fault == (at, Prot.WRITE)
        page = guest.add_page(at & -pages(1), RW)
        assert vcpu.run() is ExitKind.SYSCALL
        assert int.from_bytes(page[8:16], "little") == place
    vcpu.close()
