"""The contract of Vcpu.kick: from any thread, and never lost."""

from threading import Thread

import pytest
from contracts.guest import DATA, CpuThread, Guest, cpu_threads, until

from aionoah.hypervisor.protocols import ExitKind, Vcpu

ROUNDS = 1000


def test_a_kick_before_run_is_kept(guest: Guest, vcpu: Vcpu) -> None:
    vcpu.kick()
    assert guest.start(vcpu, "spin") is ExitKind.KICKED
    assert guest.get(vcpu, "pc") == guest.program("spin")


def test_kicks_do_not_add_up(guest: Guest, vcpu: Vcpu) -> None:
    for _ in range(5):
        vcpu.kick()
    assert guest.start(vcpu, "spin") is ExitKind.KICKED
    assert guest.start(vcpu, "sum", value=3) is ExitKind.SYSCALL


def test_a_kick_leaves_the_registers_alone(guest: Guest, vcpu: Vcpu) -> None:
    vcpu.kick()
    before = list(vcpu.registers)
    guest.set(vcpu, pc=guest.program("spin"))
    vcpu.run()
    pc = guest.isa.index("pc")
    flags = {guest.isa.names.index(name) for name in ("rflags", "pstate") if name in guest.isa.names}
    for index, word in enumerate(vcpu.registers):
        if index != pc and index not in flags:
            assert word == before[index], guest.isa.names[index]


def test_kicking_a_spinning_guest(guest: Guest, thread: CpuThread) -> None:
    for round_number in range(1, 20):
        running = thread.start("store_spin", pointer=DATA, value=round_number)
        until(lambda wanted=round_number: guest.word() == wanted, running)  # type: ignore[misc]
        thread.vcpu.kick()
        assert running.result() is ExitKind.KICKED


def test_every_kick_of_many_is_acknowledged(guest: Guest, thread: CpuThread) -> None:
    """One half meets the guest before the entry or on its way in, the other half inside."""
    for round_number in range(1, ROUNDS + 1):
        running = thread.start("store_loop", pointer=DATA, value=round_number)
        if round_number % 2:
            until(lambda wanted=round_number: guest.word() == wanted, running)  # type: ignore[misc]
        thread.vcpu.kick()
        assert running.result() is ExitKind.KICKED
        assert guest.get(thread.vcpu, "value") == round_number
        inside = range(len(guest.isa.code["store_loop"]))
        assert guest.get(thread.vcpu, "pc") - guest.program("store_loop") in inside


def test_kicks_do_not_disturb_a_computation(guest: Guest, thread: CpuThread) -> None:
    """Wherever the guest is interrupted, it goes on exactly there."""
    count = 3_000_000

    def run_to_the_end() -> None:
        kicked = 0
        while not kicked:  # it takes a millisecond, in which the other thread may not have had its turn
            guest.set(thread.vcpu, pc=guest.program("sum"), value=count)
            while (kind := thread.vcpu.run()) is ExitKind.KICKED:
                kicked += 1
            assert kind is ExitKind.SYSCALL
            assert guest.get(thread.vcpu, "result") == count * (count + 1) // 2

    running = thread.submit(run_to_the_end)
    while not running.done():
        thread.vcpu.kick()
    running.result()


def test_kicks_race_with_system_calls(guest: Guest, thread: CpuThread) -> None:
    """A kick that comes while the guest leaves for another reason is for the next run."""
    calls = 500

    def run_calls() -> int:
        kicked = done = 0
        guest.set(thread.vcpu, pc=guest.program("syscall"))
        while done < calls:
            kind = thread.vcpu.run()
            assert kind in {ExitKind.KICKED, ExitKind.SYSCALL}
            if kind is ExitKind.SYSCALL:
                done += 1
                guest.set(thread.vcpu, pc=guest.program("syscall"))
            else:
                kicked += 1
                assert guest.get(thread.vcpu, "pc") == guest.program("syscall")
        return kicked

    running = thread.submit(run_calls)
    while not running.done():
        thread.vcpu.kick()
    running.result()


@pytest.mark.parametrize("machine", ["kvm-x86_64", "unicorn-x86_64"], indirect=True)
def test_kicks_race_with_breakpoints(guest: Guest, thread: CpuThread) -> None:
    """The program counter is behind the instruction: an exception that a kick made one forget would not come again."""
    at, breakpoints = guest.place(bytes.fromhex("48ffc3 cc ebfa")), 2000  # 1: inc %rbx; int3; jmp 1b

    def run_to_the_end() -> int:
        seen = 0
        guest.set(thread.vcpu, pc=at, rbx=0)
        while guest.get(thread.vcpu, "rbx") < breakpoints:
            kind = thread.vcpu.run()
            assert kind in {ExitKind.KICKED, ExitKind.EXCEPTION}
            seen += kind is ExitKind.EXCEPTION
        return seen

    running = thread.submit(run_to_the_end)
    while not running.done():
        thread.vcpu.kick()
    assert breakpoints - 1 <= running.result() <= breakpoints  # the last may be yet to come


def test_several_threads_may_kick(guest: Guest, thread: CpuThread) -> None:
    running = thread.start("store_spin", pointer=DATA, value=1)
    until(lambda: guest.word() == 1, running)
    kickers = [Thread(target=thread.vcpu.kick) for _ in range(8)]
    for kicker in kickers:
        kicker.start()
    for kicker in kickers:
        kicker.join()
    assert running.result() is ExitKind.KICKED


def test_a_kick_reaches_its_own_vcpu_only(guest: Guest) -> None:
    with cpu_threads(guest, 2) as (first, second):
        one = first.start("store_spin", pointer=DATA, value=1)
        until(lambda: guest.word() == 1, one)
        two = second.start("store_spin", pointer=DATA + 8, value=2)
        until(lambda: guest.word(8) == 2, two)
        first.vcpu.kick()
        assert one.result() is ExitKind.KICKED
        assert not two.done()
        second.vcpu.kick()
        assert two.result() is ExitKind.KICKED


def test_kicking_a_closed_vcpu_is_harmless(guest: Guest) -> None:
    vcpu = guest.machine.new_vcpu(guest.space)
    vcpu.close()
    vcpu.kick()


def test_a_vcpu_made_after_a_kicked_one_has_no_kick(guest: Guest) -> None:
    """A backend may give a closed vCPU's remains to the next one."""
    first = guest.machine.new_vcpu(guest.space)
    first.kick()
    first.close()
    second = guest.machine.new_vcpu(guest.space)
    assert guest.start(second, "sum", value=3) is ExitKind.SYSCALL
    second.close()
