"""Several virtual CPUs of one address space, and changes to it while they run."""

import operator
from functools import partial

from contracts.guest import DATA, RW, RX, CpuThread, Guest, cpu_threads, pages, until

from aionoah.hypervisor.protocols import ExitKind, Prot


def test_stores_of_one_are_loads_of_the_other(guest: Guest) -> None:
    with cpu_threads(guest, 2) as (writer, reader):
        waiting = reader.start("wait", pointer=DATA, value=0x600D)
        writing = writer.start("store_spin", pointer=DATA, value=0x600D)
        assert waiting.result() is ExitKind.SYSCALL
        writer.vcpu.kick()
        assert writing.result() is ExitKind.KICKED


def test_they_wait_for_each_other_in_turn(guest: Guest) -> None:
    """Neither may starve the other, were there but one CPU for both."""
    with cpu_threads(guest, 2) as threads:
        for turn in range(1, 50):
            first, second = threads[turn % 2], threads[1 - turn % 2]
            waiting = first.start("wait", pointer=DATA + 8, value=turn)
            spinning = second.start("store_spin", pointer=DATA + 8, value=turn)
            assert waiting.result() is ExitKind.SYSCALL
            second.vcpu.kick()
            spinning.result()


def test_who_stays_outside_holds_nobody_up(guest: Guest) -> None:
    """Whether its thread rests or only takes its time."""
    with cpu_threads(guest, 2) as (slow, other):
        for is_resting in (True, False):
            assert slow.start("sum", value=1).result() is ExitKind.SYSCALL
            if is_resting:
                slow.vcpu.rest()
            for value in range(1, 20):
                assert other.start("sum", value=value).result() is ExitKind.SYSCALL
                assert guest.get(other.vcpu, "result") == value * (value + 1) // 2


def test_the_kernels_stores_are_seen_by_a_running_guest(guest: Guest, thread: CpuThread) -> None:
    running = thread.start("wait", pointer=DATA + 16, value=77)
    guest.data[16:24] = (77).to_bytes(8, "little")
    assert running.result() is ExitKind.SYSCALL


def test_atomic_instructions_are_atomic(guest: Guest) -> None:
    count = 200_000
    with cpu_threads(guest, 3) as threads:
        running = [thread.start("atomic", pointer=DATA, value=count) for thread in threads]
        assert [future.result() for future in running] == [ExitKind.SYSCALL] * 3
    assert guest.word() == 3 * count


def test_the_kernels_exchanges_are_atomic(guest: Guest, thread: CpuThread) -> None:
    """Neither loses an addition of the other."""
    count, added = 100_000, 0
    running = thread.start("atomic", pointer=DATA, value=count)
    frames, word = guest.machine.frames, guest.data[:4]
    while not running.done():
        old = frames.load(word, is_file=False)
        added += frames.compare_exchange(word, old, old + 1, is_file=False) == old
    assert running.result() is ExitKind.SYSCALL
    assert guest.word() == count + added


def test_registers_are_each_vcpus_own(guest: Guest) -> None:
    with cpu_threads(guest, 3) as threads:
        running = [thread.start("sum", value=100_000 + place) for place, thread in enumerate(threads)]
        for place, future in enumerate(running):
            assert future.result() is ExitKind.SYSCALL
            n = 100_000 + place
            assert guest.get(threads[place].vcpu, "result") == n * (n + 1) // 2


def test_protect_stops_the_stores_of_a_running_guest(guest: Guest, thread: CpuThread) -> None:
    """When protect() returns, no store is made any more: fork depends on it."""
    for value in range(1, 30):
        running = thread.start("store_loop", pointer=DATA, value=value)
        until(lambda wanted=value: guest.word() == wanted, running)  # type: ignore[misc]
        guest.space.protect(DATA, pages(1), Prot.READ)
        guest.data[0:8] = bytes(8)
        assert running.result() is ExitKind.PAGE_FAULT
        assert guest.word() == 0
        assert thread.vcpu.fault == (DATA, Prot.WRITE)
        guest.space.protect(DATA, pages(1), RW)


def test_unmap_takes_a_page_from_a_running_guest(guest: Guest, thread: CpuThread) -> None:
    frames = guest.machine.frames
    for value in range(1, 30):
        frame = frames.allocate(1)
        guest.space.map(0x7000_0000, frame, 1, RW)
        memory = frames.view(frame, 1)
        running = thread.start("store_loop", pointer=0x7000_0000, value=value)
        until(partial(operator.contains, memory[0:1], value), running)
        guest.space.unmap(0x7000_0000, pages(1))
        memory[0:8] = bytes(8)
        assert running.result() is ExitKind.PAGE_FAULT
        assert bytes(memory[0:8]) == bytes(8)
        frames.drop(frame, 1)


def test_move_takes_a_page_from_a_running_guest(guest: Guest, thread: CpuThread) -> None:
    running = thread.start("store_loop", pointer=DATA, value=5)
    until(lambda: guest.word() == 5, running)
    guest.space.move(DATA, 0x7100_0000, pages(1))
    assert running.result() is ExitKind.PAGE_FAULT
    assert thread.vcpu.fault == (DATA, Prot.WRITE)


def test_code_can_be_taken_from_a_running_guest(guest: Guest, thread: CpuThread) -> None:
    running = thread.start("store_loop", pointer=DATA, value=5)
    until(lambda: guest.word() == 5, running)
    guest.space.protect(guest.program("store_loop") & -pages(1), pages(1), Prot.READ)
    assert running.result() is ExitKind.PAGE_FAULT
    assert thread.vcpu.fault.access is Prot.EXECUTE


def test_a_page_that_is_mapped_meanwhile_is_there(guest: Guest, thread: CpuThread) -> None:
    running = thread.start("store_loop", pointer=DATA, value=5)
    until(lambda: guest.word() == 5, running)
    for place in range(50):
        guest.add_page(0x7200_0000 + pages(place), RW if place % 2 else RX)
    thread.vcpu.kick()
    assert running.result() is ExitKind.KICKED
    for place in range(50):
        assert thread.start("load", pointer=0x7200_0000 + pages(place)).result() is ExitKind.SYSCALL


def test_guests_of_two_spaces_run_at_the_same_addresses(guest: Guest) -> None:
    other = Guest(guest.machine)
    with cpu_threads(guest, 1) as (mine,), cpu_threads(other, 1) as (theirs,):
        first = mine.start("store_spin", pointer=DATA, value=1)
        second = theirs.start("store_spin", pointer=DATA, value=2)
        until(lambda: guest.word() == 1, first)
        until(lambda: other.word() == 2, second)
        assert guest.word() == 1
        for thread, running in ((mine, first), (theirs, second)):
            thread.vcpu.kick()
            assert running.result() is ExitKind.KICKED
    other.close()


def test_a_frame_shared_by_two_spaces(guest: Guest) -> None:
    other = Guest(guest.machine)
    frame = guest.machine.frames.allocate(1)
    for space in (guest.space, other.space):
        space.map(0x7300_0000, frame, 1, RW)
    guest.machine.frames.drop(frame, 1)
    with cpu_threads(guest, 1) as (mine,), cpu_threads(other, 1) as (theirs,):
        waiting = mine.start("wait", pointer=0x7300_0000, value=3)
        writing = theirs.start("store_spin", pointer=0x7300_0000, value=3)
        assert waiting.result() is ExitKind.SYSCALL
        theirs.vcpu.kick()
        writing.result()
    other.close()


def test_fork_stops_the_stores_of_a_running_parent(guest: Guest, thread: CpuThread) -> None:
    """The child must see one moment of the parent's memory, however long it looks."""
    for value in range(1, 20):
        running = thread.start("store_loop", pointer=DATA, value=value)
        until(lambda wanted=value: guest.word() == wanted, running)  # type: ignore[misc]
        child = guest.machine.new_space()
        guest.space.fork(child, DATA, pages(1), share=False)
        guest.data[0:8] = bytes(8)
        assert running.result() is ExitKind.PAGE_FAULT
        assert guest.word() == 0
        # A copy on write lets the parent go on, without the child.
        guest.space.unshare(DATA, pages(1), RW)
        again = thread.submit(thread.vcpu.run)
        found = guest.space.extent(DATA)
        assert found is not None
        own, shared = found.memory[DATA - found.start :], guest.data
        until(partial(operator.contains, own[0:1], value), again)
        thread.vcpu.kick()
        assert again.result() is ExitKind.KICKED
        assert shared[0] == 0
        child.close()
        guest.data = own
