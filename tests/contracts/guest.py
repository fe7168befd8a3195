"""What the kits need to run guest code: where things lie, and threads that own virtual CPUs."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, TypeVar

from contracts.programs import ISAS

from aionoah.hypervisor.protocols import PAGE_SIZE, AddressSpace, ExitKind, Machine, Prot, Vcpu

T = TypeVar("T")

CODE: Final = 0x40_0000
DATA: Final = 0x60_0000
STACK: Final = 0x7F_0000_0000
NOWHERE: Final = 0x1234_5678_9ABC & ~7

RX: Final = Prot.READ | Prot.EXECUTE
RW: Final = Prot.READ | Prot.WRITE


class Guest:
    """One address space with a page of code and a page of data."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.isa = ISAS[machine.architecture]
        self.space: AddressSpace = machine.new_space()
        self.code = self.add_page(CODE, RX)
        self.data = self.add_page(DATA, RW)
        self._programs: dict[str, int] = {}
        self._free = 0

    def add_page(self, address: int, prot: Prot) -> memoryview:
        """Map a fresh frame, and give the kernel's view of it."""
        frame = self.machine.frames.allocate(1)
        self.space.map(address, frame, 1, prot)
        self.machine.frames.drop(frame, 1)
        return self.machine.frames.view(frame, 1)

    def place(self, code: bytes) -> int:
        """Put code where there is room; returns its address."""
        at, self._free = self._free, self._free + (len(code) + 31 & ~15)
        self.code[at : at + len(code)] = code
        return CODE + at

    def program(self, name: str) -> int:
        if name not in self._programs:
            self._programs[name] = self.place(self.isa.code[name])
        return self._programs[name]

    def set(self, vcpu: Vcpu, **values: int) -> None:
        for name, value in values.items():
            vcpu.registers[self.isa.index(name)] = value & (1 << 64) - 1

    def get(self, vcpu: Vcpu, name: str) -> int:
        return vcpu.registers[self.isa.index(name)]

    def start(self, vcpu: Vcpu, program: str | int, **values: int) -> ExitKind:
        """Run a program from its beginning until it leaves."""
        at = program if isinstance(program, int) else self.program(program)
        self.set(vcpu, pc=at, **values)
        return vcpu.run()

    def word(self, offset: int = 0) -> int:
        return int.from_bytes(self.data[offset : offset + 8], "little")

    def close(self) -> None:
        self.space.close()


class CpuThread:
    """An OS thread with one virtual CPU of a guest."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self._thread = ThreadPoolExecutor(1)
        self.vcpu: Vcpu = self.call(guest.machine.new_vcpu, guest.space)

    def submit(self, function: Callable[..., T], *arguments: object, **keywords: object) -> "Future[T]":
        return self._thread.submit(function, *arguments, **keywords)

    def call(self, function: Callable[..., T], *arguments: object, **keywords: object) -> T:
        return self.submit(function, *arguments, **keywords).result()

    def start(self, program: str | int, **values: int) -> "Future[ExitKind]":
        return self.submit(self.guest.start, self.vcpu, program, **values)

    def close(self) -> None:
        self.vcpu.kick()  # a test that failed may have left it running
        self.call(self.vcpu.close)
        self._thread.shutdown()


@contextmanager
def cpu_threads(guest: Guest, count: int) -> Iterator[list[CpuThread]]:
    threads: list[CpuThread] = []
    try:
        for _ in range(count):
            threads.append(CpuThread(guest))  # noqa: PERF401 - what exists must be closed
        yield threads
    finally:
        for thread in threads:
            thread.close()


def until(condition: Callable[[], bool], running: "Future[ExitKind]") -> None:
    """Watch memory that a running guest changes; its end is the end of our patience."""
    while not condition():
        time.sleep(0)  # lets go of the interpreter, no more
        if running.done():
            raise AssertionError(f"the guest has stopped: {running.result()!r}")


def pages(count: int) -> int:
    return count * PAGE_SIZE
