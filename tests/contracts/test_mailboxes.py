"""Calls without exits: the guest stays in its virtual machine while another thread answers what it asks."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
from aionoah.hypervisor._native import lib
from contracts.guest import DATA, NOWHERE, RW, STACK, CpuThread, Guest, cpu_threads, pages
from contracts.programs import X86_64

from aionoah.hypervisor.protocols import CpuState, ExitKind, Machine, Mail, Mailbox, Mailboxes, Prot

LEAVE = 0x7E57  # the call that the server here refuses
FLAGS = 0x401  # direction and carry
SUM = bytes.fromhex(  # 1: mov %rbx,%rax; syscall; add %rax,%rbp; dec %rbx; jnz 1b; mov $0x7e57,%eax; syscall
    "4889d8 0f05 4801c5 48ffcb 75f3 b8577e0000 0f05"
)
KEEP_FLAGS = (
    bytes.fromhex(  # std; stc; mov %rbx,%rax; syscall; pushf; pop %rbx; cld; mov $0x7e57,%eax; syscall
        "fdf9 4889d8 0f05 9c5b fc b8577e0000 0f05"
    )
)
STEP_TO = bytes.fromhex("68020300009d ffe7")  # push $0x302 (a trap after each step); popf; jmp *%rdi
WRITE_AND_CALL = bytes.fromhex("488937 4889d8 0f05")  # mov %rsi,(%rdi); mov %rbx,%rax; syscall
pytestmark = pytest.mark.parametrize("machine", ["kvm-x86_64"], indirect=True)
CALLS = {ExitKind.SYSCALL, ExitKind.BUSY_SYSCALL, ExitKind.SERVED_SYSCALL}
HARMLESS = {*CALLS, ExitKind.EXCEPTION, ExitKind.PAGE_FAULT, ExitKind.KICKED}  # a forged answer is an answer
_RCX, _R11 = Mailbox.REGISTERS + 16, Mailbox.REGISTERS + 17  # the place behind the call, and flags
CODE_SIZE = 640  # more than it has
MAILBOXES = lib.KERNEL_BASE + pages(500)  # each the page behind its code


class Server:
    """Answers each call with twice its number, but for LEAVE."""

    def __init__(self, mailboxes: Mailboxes) -> None:
        self.mailboxes = mailboxes
        self.words: dict[int, memoryview] = {}
        self.shown: CpuState | None = None
        self.answered = 0
        self.arguments: list[int] = []
        self.lock = threading.Lock()  # as the kernel lock is held by either side
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        number = -1
        while (number := self.mailboxes.next_call(number)) >= 0:
            with self.lock:
                words = self.words[number]
                if words[Mailbox.STATE] == Mail.TAKEN:
                    self._answer(words)

    def _answer(self, words: memoryview) -> None:
        call, *self.arguments = words[Mailbox.WORDS : Mailbox.END].tolist()
        if call == LEAVE:
            words[Mailbox.STATE] = Mail.REFUSED
        else:
            self.answered += 1
            words[Mailbox.RESULT] = 2 * call
            words[Mailbox.STATE] = Mail.ANSWERED

    def collect(self, thread: CpuThread, kind: ExitKind) -> int | None:
        """As who runs the vCPU does: the result, if the call has been answered."""
        if kind is not ExitKind.SERVED_SYSCALL:
            return None
        with self.lock:
            words = self.words[next(iter(self.words))]
            state, words[Mailbox.STATE] = words[Mailbox.STATE], Mail.NONE
            return words[Mailbox.RESULT] if state == Mail.ANSWERED else None

    def close(self) -> None:
        self.mailboxes.end_calls()
        self.thread.join()


def opened(machine: Any) -> Mailboxes:
    mailboxes: Mailboxes | None = machine.open_mailboxes()
    if machine.syscall_ring == 0 or len(os.sched_getaffinity(0)) < 2:
        assert mailboxes is None
        pytest.skip(
            "CALLS WITHOUT EXITS ARE NOT TESTED: leaving the guest is cheap here, or there is one CPU only"
        )
    assert mailboxes is not None
    return mailboxes


@pytest.fixture
def server(machine: Machine) -> Iterator[Server]:
    made = Server(opened(machine))
    yield made
    made.close()


@contextmanager
def busy_thread(machine: Machine) -> Iterator[CpuThread]:
    """A thread whose virtual CPU has asked for a mailbox."""
    guest = Guest(machine)
    try:
        with cpu_threads(guest, 1) as (thread,):
            while (
                thread.start("syscall").result() is not ExitKind.BUSY_SYSCALL
            ):  # a loaded machine is not quick
                pass
            yield thread
    finally:
        guest.close()


def join(server: Server, thread: CpuThread) -> None:
    thread.call(_join, server, thread)


def _join(server: Server, thread: CpuThread) -> None:
    joined = server.mailboxes.join(thread.vcpu)
    assert joined is not None
    number, words, server.shown = joined
    server.words[number] = words


def run(server: Server, thread: CpuThread, at: int, **values: int) -> ExitKind:
    """Run until LEAVE, or what is no call, answering by hand whatever leaves before; joining again, for an idle
    server dismisses everybody.
    """
    return thread.call(_run, server, thread, at, values)


def _run(server: Server, thread: CpuThread, at: int, values: dict[str, int]) -> ExitKind:
    """On the vCPU's thread, for a server that has nothing to do does not wait until another thread is awake."""
    guest, vcpu = thread.guest, thread.vcpu
    kind = guest.start(vcpu, at, **values)
    while True:
        result = server.collect(thread, kind)
        if kind is not ExitKind.KICKED:
            if kind not in CALLS or (result is None and guest.get(vcpu, "rax") == LEAVE):
                return kind
            if kind is ExitKind.BUSY_SYSCALL:
                _join(server, thread)
            guest.set(vcpu, rax=2 * guest.get(vcpu, "rax") if result is None else result)
        kind = vcpu.run()


def run_until_served(server: Server, thread: CpuThread, at: int, **values: int) -> None:
    before = server.answered
    while server.answered == before:
        join(server, thread)
        assert run(server, thread, at, **values) in CALLS


def test_calls_are_answered_without_an_exit(machine: Machine, server: Server) -> None:
    with busy_thread(machine) as thread:
        guest = thread.guest
        arguments = {"rdi": 1, "rsi": 2, "rdx": 3, "r10": 4, "r8": 5, "r9": 6}
        run_until_served(server, thread, guest.place(SUM), rbx=1000, rbp=0, **arguments)
        assert guest.get(thread.vcpu, "rbp") == 1000 * 1001
        assert server.arguments == [1, 2, 3, 4, 5, 6]
        assert {name: guest.get(thread.vcpu, name) for name in arguments} == arguments


def test_flags_are_the_programs(machine: Machine, server: Server) -> None:
    with busy_thread(machine) as thread:
        thread.guest.add_page(STACK - pages(1), RW)
        run_until_served(server, thread, thread.guest.place(KEEP_FLAGS), rbx=7, rsp=STACK - 64)
        assert thread.guest.get(thread.vcpu, "rbx") & FLAGS == FLAGS


def test_nobody_answers(machine: Machine) -> None:
    """The vCPU leaves by itself."""
    mailboxes = opened(machine)
    with busy_thread(machine) as thread:
        _, words, _ = thread.call(mailboxes.join, thread.vcpu) or (0, memoryview(b""), None)
        assert thread.start(thread.guest.place(SUM), rbx=5, rdi=77).result() is ExitKind.SYSCALL
        assert words[Mailbox.STATE] == Mail.NONE
        assert words[Mailbox.WORDS : Mailbox.WORDS + 2].tolist() == [5, 77]
        assert [thread.guest.get(thread.vcpu, name) for name in ("rax", "rdi")] == [5, 77]


def test_a_virtual_cpu_is_used_again(machine: Machine) -> None:
    """Though its last thread has died of something else while it waited for an answer."""
    mailboxes = opened(machine)
    with busy_thread(machine) as first:
        _, words, _ = first.call(mailboxes.join, first.vcpu) or (0, memoryview(b""), None)
        words[Mailbox.STATE] = Mail.REFUSED
        first.call(first.vcpu.close)
        first.vcpu = first.call(machine.new_vcpu, first.guest.space)
        assert first.start("syscall").result() in {ExitKind.SYSCALL, ExitKind.BUSY_SYSCALL}


@contextmanager
def kicked(thread: CpuThread) -> Iterator[None]:
    end = threading.Event()

    def kick() -> None:
        while not end.wait(0.0001):
            thread.vcpu.kick()

    kicker = threading.Thread(target=kick)
    kicker.start()
    try:
        yield
    finally:
        end.set()
        kicker.join()


def test_kicks_lose_no_call(machine: Machine, server: Server) -> None:
    with busy_thread(machine) as thread:
        at = thread.guest.place(SUM)
        for _ in range(20):
            join(server, thread)
            with kicked(thread):
                assert run(server, thread, at, rbx=300, rbp=0) in CALLS
            assert thread.guest.get(thread.vcpu, "rbp") == 300 * 301


def test_an_answer_is_had_once(machine: Machine) -> None:
    """Whoever is interrupted where the answer stands has it: the next call, which nobody serves, is another one."""
    mailboxes = opened(machine)
    with busy_thread(machine) as thread:
        guest = thread.guest
        guest.add_page(STACK - pages(1), RW)
        at, call = guest.place(STEP_TO), guest.place(bytes.fromhex("0f05"))
        _, words, _ = thread.call(mailboxes.join, thread.vcpu) or (0, memoryview(b""), None)
        thread.call(mailboxes.leave, thread.vcpu)
        ends = []
        for offset in range(CODE_SIZE):
            words[Mailbox.STATE], words[_RCX], words[_R11] = Mail.ANSWERED, call, 0x202
            ends.append(thread.start(at, rdi=MAILBOXES + offset, rsp=STACK - 64).result())
        assert ExitKind.SERVED_SYSCALL in ends  # before the answer is had, it is what has become of that call
        assert {ExitKind.SYSCALL, ExitKind.BUSY_SYSCALL}.intersection(ends)


# 1: mov $0x5a5a,%eax; syscall; dec %rdi; jnz 1b; mov $0x7e57,%eax; syscall
CHANGES = bytes.fromhex("b85a5a0000 0f05 48ffcf 75f4 b8577e0000 0f05")
CHANGE = 0x5A5A
CHANGED = ("rbx", "rbp", "r8", "r9", "r10", "r12", "r13", "r14", "r15", "rdx", "rsi", "rsp")
XMM3, IN_USE, SSE = slice(208, 216), 512, 2  # of an XSAVE image


class Changer(Server):
    """Counts in the program's registers, each time that it is called."""

    is_showing = False
    changes = 0

    def _answer(self, words: memoryview) -> None:
        if self.is_showing:
            assert self.shown is not None
            self.changes += 1
            change(self.shown)
            words[Mailbox.STATE] = Mail.ENTER
            self.is_showing = False
        elif words[Mailbox.WORDS] == CHANGE:
            self.is_showing = True
            words[Mailbox.STATE] = Mail.SHOW
        else:
            super()._answer(words)

    def end_call(self, thread: CpuThread) -> None:
        """Of a vCPU that has left."""
        assert self.shown is not None
        with self.lock:
            words = self.words[next(iter(self.words))]
            state, words[Mailbox.STATE] = words[Mailbox.STATE], Mail.NONE
            self.is_showing = False
            if state == Mail.ENTER:
                thread.vcpu.registers[:] = self.shown.registers
                thread.vcpu.set_fpu(self.shown.get_fpu())
            else:
                change(thread.vcpu)


def change(cpu: CpuState) -> None:
    for name in CHANGED:
        cpu.registers[X86_64.index(name)] += 1
    fpu = bytearray(cpu.get_fpu())
    fpu[XMM3] = (int.from_bytes(fpu[XMM3], "little") + 1).to_bytes(8, "little")
    fpu[IN_USE] |= SSE
    cpu.set_fpu(bytes(fpu))


@pytest.fixture
def changer(machine: Machine) -> Iterator[Changer]:
    made = Changer(opened(machine))
    yield made
    made.close()


def _run_changes(changer: Changer, thread: CpuThread, count: int) -> None:
    guest, vcpu = thread.guest, thread.vcpu
    vcpu.reset_fpu()
    kind = guest.start(vcpu, guest.program("changes"), rdi=count, **dict.fromkeys(CHANGED, 0))
    while kind not in CALLS or guest.get(vcpu, "rax") != LEAVE:
        assert kind in {*CALLS, ExitKind.KICKED}, vcpu.describe()
        if kind is ExitKind.SERVED_SYSCALL:
            changer.end_call(thread)
        elif kind in CALLS:
            change(vcpu)
            _join(changer, thread)
        kind = vcpu.run()


@pytest.mark.parametrize("disturbed", [nullcontext, kicked])
def test_registers_are_shown_and_changed(
    machine: Machine, changer: Changer, disturbed: Callable[[CpuThread], AbstractContextManager[None]]
) -> None:
    """Wherever the vCPU is kicked meanwhile, each call changes them once."""
    with busy_thread(machine) as thread, disturbed(thread):
        thread.guest.isa.code["changes"] = CHANGES
        end = time.monotonic() + 20  # a busy machine gets no further
        while changer.changes < 10_000 and (changer.changes < 1_000 or time.monotonic() < end):
            join(changer, thread)
            thread.call(_run_changes, changer, thread, 500)
            found = {name: thread.guest.get(thread.vcpu, name) for name in CHANGED}
            assert found == dict.fromkeys(CHANGED, 500)
            assert int.from_bytes(thread.call(thread.vcpu.get_fpu)[XMM3], "little") == 500


@pytest.mark.parametrize("sp", [DATA, 1 << 47, 1 << 63, 0x9999_9999_9999_9999])
def test_a_system_call_leaves_no_privilege_behind(machine: Machine, server: Server, sp: int) -> None:
    """Wherever the stack is: a KVM in software interprets instructions while it is nowhere."""
    with busy_thread(machine) as thread:
        guest = thread.guest
        at = guest.place(bytes.fromhex("0f05 0f20c0 0f05"))  # syscall; mov %cr0,%rax; syscall
        for _ in range(100):
            join(server, thread)
            assert run(server, thread, at, rax=3, rsp=sp) is ExitKind.EXCEPTION, thread.vcpu.describe()
            assert guest.get(thread.vcpu, "rip") == at + 2


def test_forged_mail(machine: Machine, server: Server) -> None:
    """Whatever a program writes to its mailbox, it gets no further than by a call."""

    def attack(at: int, **values: int) -> None:
        join(server, thread)
        running = thread.start(at, rbx=LEAVE, rax=LEAVE, **values)
        with suppress(TimeoutError):  # it may have brought itself to wait for ever
            running.result(0.05)
        while not running.done():
            thread.vcpu.kick()
        server.collect(thread, running.result())
        assert running.result() in HARMLESS, thread.vcpu.describe()

    with busy_thread(machine) as thread:
        write_and_call = thread.guest.place(WRITE_AND_CALL)
        for word in (
            *range(34),
            Mailbox.FPU + 3,
            Mailbox.FPU + 64,
            Mailbox.FPU + 65,
        ):  # MXCSR, and XSAVE's header
            for value in (*range(8), 0xFFFF_FFFF_FFFF_FFFF, 1 << 47):
                attack(write_and_call, rdi=MAILBOXES + pages(1) + 8 * word, rsi=value)
        jump = thread.guest.place(bytes.fromhex("ffe7"))  # jmp *%rdi
        for offset in range(CODE_SIZE):
            attack(jump, rdi=MAILBOXES + offset, rcx=write_and_call, r11=0x3202, rsi=0)
        thread.guest.set(thread.vcpu, rsp=STACK - 256)
        assert run(server, thread, thread.guest.place(bytes.fromhex("0f20c0"))) is ExitKind.EXCEPTION


# -- files that are lent -------------------------------------------------------------------------------------

# 1: mov %rbx,%rax; syscall; add %rax,%r12; dec %rbp; jnz 1b; mov $0x7e57,%eax; syscall
TRANSFERS = bytes.fromhex("4889d8 0f05 4901c4 48ffcd 75f3 b8577e0000 0f05")
READ, WRITE, READ_AT, WRITE_AT, SEEK = range(1 << 30, (1 << 30) + 5)  # far more than bytes are moved
FD = 3
TEXT = bytes(range(256)) * 64


class Borrower:
    """A vCPU that has been lent a file under the number FD."""

    def __init__(self, server: Server, thread: CpuThread, fd: int, *, may_write: bool = True) -> None:
        self.server = server
        self.thread = thread
        self.at = thread.guest.place(TRANSFERS)
        server.mailboxes.answer_alone([READ, WRITE, READ_AT, WRITE_AT, SEEK])
        self.loan = server.mailboxes.lender.begin(fd, may_read=True, may_write=may_write, position=0)
        assert self.loan is not None
        self.lend()

    def lend(self) -> None:
        assert self.loan is not None
        self.server.mailboxes.lend(self.thread.vcpu, FD, self.loan)

    def call(
        self, number: int, address: int = DATA, count: int = 8, offset: int = 0, fd: int = FD
    ) -> tuple[int, int]:
        """Make a call a hundred times: how often the server did it alone, and the sum of what it answered then. The others
        get twice the number.
        """
        words = {"rdi": fd, "rsi": address, "rdx": count, "r10": offset}
        assert run(self.server, self.thread, self.at, rbx=number, rbp=100, r12=0, **words) in CALLS
        others, total = divmod(self.thread.guest.get(self.thread.vcpu, "r12"), 2 * number)
        return 100 - others, total

    def call_until_done(self, number: int, *words: int) -> tuple[int, int]:
        """On a machine that is busy with something else nobody may have looked into the mailbox in time."""
        while (found := self.call(number, *words))[0] == 0:
            pass
        return found

    def end(self) -> int:
        loan, self.loan = self.loan, None
        assert loan is not None
        return self.server.mailboxes.lender.end(loan)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "file"
    path.write_bytes(TEXT)
    fd = os.open(path, os.O_RDWR)
    yield fd
    os.close(fd)


def test_a_lent_file_is_read(machine: Machine, server: Server, file: int) -> None:
    with busy_thread(machine) as thread:
        borrower = Borrower(server, thread, file)
        times, done = borrower.call_until_done(READ)
        assert done == 8 * times
        assert borrower.end() == done
        reads, read, *others = server.mailboxes.take_moved(thread.vcpu)
        assert (reads >= times, read, others) == (True, done, [0, 0])
        assert server.mailboxes.take_moved(thread.vcpu) == (0, 0, 0, 0)
        assert bytes(thread.guest.data[:8]) == TEXT[done - 8 : done]


def test_a_lent_file_is_written(machine: Machine, server: Server, file: int) -> None:
    with busy_thread(machine) as thread:
        borrower = Borrower(server, thread, file)
        thread.guest.data[100:105] = b"hello"
        times, done = borrower.call_until_done(WRITE, DATA + 100, 5)
        assert borrower.end() == done == 5 * times
        assert os.pread(file, done + 1, 0) == b"hello" * times + TEXT[done : done + 1]


def test_a_place_leaves_the_position(machine: Machine, server: Server, file: int) -> None:
    with busy_thread(machine) as thread:
        borrower = Borrower(server, thread, file)
        times, done = borrower.call_until_done(READ_AT, DATA, 16, 1000)
        assert done == 16 * times
        assert bytes(thread.guest.data[:16]) == TEXT[1000:1016]
        times, done = borrower.call_until_done(WRITE_AT, DATA, 16, 5000)
        assert done == 16 * times
        assert os.pread(file, 16, 5000) == TEXT[1000:1016]
        assert borrower.end() == 0


def test_positions_are_set(machine: Machine, server: Server, file: int) -> None:
    with busy_thread(machine) as thread:
        borrower = Borrower(server, thread, file)
        times, total = borrower.call_until_done(SEEK, 700, os.SEEK_SET)
        assert total == 700 * times
        times, _ = borrower.call_until_done(SEEK, 3, os.SEEK_CUR)
        for address, whence in ((-1, os.SEEK_SET), (-10_000, os.SEEK_CUR), (0, os.SEEK_END), (0, 9)):
            assert borrower.call(SEEK, address, whence)[0] == 0
        assert borrower.end() == 700 + 3 * times


def test_nothing_is_behind_the_end(machine: Machine, server: Server, file: int) -> None:
    with busy_thread(machine) as thread:
        borrower = Borrower(server, thread, file)
        os.ftruncate(file, 20)
        borrower.call_until_done(READ)
        while borrower.call_until_done(READ)[1]:
            pass
        assert borrower.end() == 20


def test_what_cannot_be_done_is_left_to_others(machine: Machine, server: Server, file: int) -> None:
    with busy_thread(machine) as thread:
        guest = thread.guest
        guest.add_page(DATA + pages(1), Prot.READ)
        borrower = Borrower(server, thread, file)
        borrower.call_until_done(READ_AT)
        impossible = [
            (READ, NOWHERE & ~7, 8),
            (READ, DATA + pages(1), 8),  # may not be written
            (READ, DATA + pages(1) - 4, 8),
            (WRITE, DATA + pages(2) - 4, 8),
            (READ, lib.KERNEL_BASE - 4, 8),
            (READ, MAILBOXES + pages(1), 8),
            (READ, (1 << 64) - 4, 8),
            (READ, DATA, 0),
            (READ, DATA, 1 << 63),
            (READ_AT, DATA, 8, -1),
            (WRITE_AT, DATA, 8, (1 << 63) - 1),
            (READ, DATA, 8, 0, FD + 1),
            (READ, DATA, 8, 0, -1),
            (SEEK + 1, DATA, 8),
        ]
        for number, *words in impossible:
            assert borrower.call(number, *words)[0] == 0, (number, words)
        assert borrower.call_until_done(WRITE_AT, DATA + pages(1))[0]
        assert borrower.end() == 0


def test_a_file_that_may_not_be_written(machine: Machine, server: Server, file: int) -> None:
    with busy_thread(machine) as thread:
        borrower = Borrower(server, thread, file, may_write=False)
        borrower.call_until_done(READ_AT)
        assert borrower.call(WRITE)[0] == borrower.call(WRITE_AT)[0] == 0
        borrower.end()


def test_who_has_forgotten_asks(machine: Machine, server: Server, file: int) -> None:
    with busy_thread(machine) as thread:
        borrower = Borrower(server, thread, file)
        borrower.call_until_done(READ_AT)
        server.mailboxes.lender.forget()
        assert borrower.call(READ_AT)[0] == 0
        borrower.lend()
        borrower.call_until_done(READ_AT)
        borrower.end()
        assert borrower.call(READ_AT)[0] == 0


def test_memory_that_goes_is_not_written_any_more(machine: Machine, server: Server, file: int) -> None:
    """It is unmapped while the file is read into it: whoever has the frames then keeps what he writes there."""
    count = 256
    os.pwrite(file, b"x" * pages(count), 0)
    with busy_thread(machine) as thread:
        space, frames = thread.guest.space, machine.frames
        borrower = Borrower(server, thread, file)
        address = DATA + pages(8)
        for _ in range(50):
            first = frames.allocate(count)
            space.map(address, first, count, RW)
            frames.drop(first, count)
            reading = threading.Thread(target=borrower.call, args=(READ_AT, address, pages(count)))
            reading.start()
            view = frames.view(first, count)
            while not view[0] and reading.is_alive():
                time.sleep(0)  # lets go of the interpreter, no more
            space.unmap(address, pages(count))
            assert frames.allocate(count) == first
            view[:] = bytes(pages(count))
            reading.join()
            assert not any(view[:: pages(1)])
            frames.drop(first, count)
        borrower.end()
