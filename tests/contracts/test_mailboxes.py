"""Calls without exits: the guest stays in its virtual machine while another thread answers what it asks."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from aionoah.hypervisor._native import lib
from contracts.guest import DATA, RW, STACK, CpuThread, Guest, cpu_threads, pages

from aionoah.hypervisor.protocols import ExitKind, Machine, Mail, Mailbox, Mailboxes

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
WRITE_AND_CALL = bytes.fromhex("488937 4889d8 0f05")  # mov %rsi,(%rdi); mov %rbx,%rax; syscall
pytestmark = pytest.mark.parametrize("machine", ["kvm-x86_64"], indirect=True)
CALLS = {ExitKind.SYSCALL, ExitKind.BUSY_SYSCALL, ExitKind.SERVED_SYSCALL}
HARMLESS = {*CALLS, ExitKind.EXCEPTION, ExitKind.PAGE_FAULT, ExitKind.KICKED}  # a forged answer is an answer
MAILBOXES = lib.KERNEL_BASE + pages(500)  # each the page behind its code


class Server:
    """Answers each call with twice its number, but for LEAVE."""

    def __init__(self, mailboxes: Mailboxes) -> None:
        self.mailboxes = mailboxes
        self.words: dict[int, memoryview] = {}
        self.answered = 0
        self.arguments: list[int] = []
        self.lock = threading.Lock()  # as the kernel lock is held by either side
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        number = None
        while (number := self.mailboxes.next_call(number)) is not None:
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
    joined = thread.call(server.mailboxes.join, thread.vcpu)
    assert joined is not None
    number, server.words[number] = joined


def run(server: Server, thread: CpuThread, at: int, **values: int) -> ExitKind:
    """Run until LEAVE, or what is no call, answering by hand whatever leaves before; joining again, for an idle
    server dismisses everybody.
    """
    guest = thread.guest
    kind = thread.start(at, **values).result()
    while True:
        result = server.collect(thread, kind)
        if kind is ExitKind.KICKED:
            kind = thread.submit(thread.vcpu.run).result()
            continue
        if kind not in CALLS or (result is None and guest.get(thread.vcpu, "rax") == LEAVE):
            return kind
        if kind is ExitKind.BUSY_SYSCALL:
            join(server, thread)
        guest.set(thread.vcpu, rax=2 * guest.get(thread.vcpu, "rax") if result is None else result)
        kind = thread.submit(thread.vcpu.run).result()


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
        _, words = thread.call(mailboxes.join, thread.vcpu) or (0, memoryview(b""))
        assert thread.start(thread.guest.place(SUM), rbx=5, rdi=77).result() is ExitKind.SYSCALL
        assert words[Mailbox.STATE] == Mail.NONE
        assert words[Mailbox.WORDS : Mailbox.WORDS + 2].tolist() == [5, 77]
        assert [thread.guest.get(thread.vcpu, name) for name in ("rax", "rdi")] == [5, 77]


def test_kicks_lose_no_call(machine: Machine, server: Server) -> None:
    with busy_thread(machine) as thread:
        at = thread.guest.place(SUM)
        for _ in range(20):
            join(server, thread)
            running = threading.Event()
            kicker = threading.Thread(target=kick_until, args=(thread, running))
            kicker.start()
            kind = run(server, thread, at, rbx=300, rbp=0)
            running.set()
            kicker.join()
            assert kind in CALLS
            assert thread.guest.get(thread.vcpu, "rbp") == 300 * 301


def kick_until(thread: CpuThread, end: threading.Event) -> None:
    while not end.wait(0.0001):
        thread.vcpu.kick()


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
        for word in range(16):
            for value in (0, 1, 2, 3, 4, 5, 0xFFFF_FFFF_FFFF_FFFF, 1 << 47):
                attack(write_and_call, rdi=MAILBOXES + pages(1) + 8 * word, rsi=value)
        jump = thread.guest.place(bytes.fromhex("ffe7"))  # jmp *%rdi
        for offset in range(256):
            attack(jump, rdi=MAILBOXES + offset, rcx=write_and_call, r11=0x3202, rsi=0)
        thread.guest.set(thread.vcpu, rsp=STACK - 256)
        assert run(server, thread, thread.guest.place(bytes.fromhex("0f20c0"))) is ExitKind.EXCEPTION
