"""Restartable sequences (rseq(2); Linux kernel/rseq.c): a few instructions of a program that work on data of its
CPU, and start again if the thread was interrupted meanwhile.

A thread registers an area in its memory. The kernel keeps the number of its CPU there, and finds there what
sequence it is in; whoever is interrupted in one goes on at its abort handler.
"""

from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.sched import RSEQ_CPU_ID_UNINITIALIZED, Rseq, RseqCs
from aionoah.process.cpu_numbers import NO_CPU

if TYPE_CHECKING:
    from aionoah.process.task import Task

ORIGINAL_SIZE: Final = 32  # of the area, as of Linux 4.18; the only one that need not have later fields
FEATURE_SIZE: Final = Rseq.SIZE  # what we know of it (AT_RSEQ_FEATURE_SIZE)
ALIGNMENT: Final = 32
_CS_OFFSET: Final = 8
_FLAGS_OFFSET: Final = 16
_NODE_OFFSET: Final = 20
_SIGNATURE_SIZE: Final = 4


class Registration:
    """The area of one thread."""

    __slots__ = ("address", "cpu", "is_disturbed", "length", "signature")

    def __init__(self, address: int, length: int, signature: int) -> None:
        self.address = address
        self.length = length
        self.signature = signature  # stands before every abort handler
        self.cpu = NO_CPU  # what the area says
        self.is_disturbed = True  # the area is to be looked at before the guest goes on

    def copy(self) -> "Registration":
        return Registration(self.address, self.length, self.signature)


def register(task: "Task", address: int, length: int, signature: int) -> None:
    """EINVAL, EPERM, EBUSY for a further registration; EINVAL, EFAULT for a bad area."""
    old = task.rseq
    if old is not None:
        if (old.address, old.length) != (address, length):
            raise LinuxError(Errno.EINVAL)
        raise LinuxError(Errno.EBUSY if old.signature == signature else Errno.EPERM)
    if length < FEATURE_SIZE or address % ALIGNMENT or length < ORIGINAL_SIZE:
        raise LinuxError(Errno.EINVAL)
    if address + length > task.architecture.task_size:
        raise LinuxError(Errno.EFAULT)
    task.memory.write_word(address + _CS_OFFSET, 0)  # whatever was there is of no sequence
    task.rseq = Registration(address, length, signature)


def unregister(task: "Task", address: int, length: int, signature: int) -> None:
    """EINVAL, EPERM for what has not been registered so; EFAULT if the area is gone."""
    old = task.rseq
    if old is None or (old.address, old.length) != (address, length):
        raise LinuxError(Errno.EINVAL)
    if old.signature != signature:
        raise LinuxError(Errno.EPERM)
    _write_cpu(task, old, 0, RSEQ_CPU_ID_UNINITIALIZED, 0)
    task.rseq = None


def cpu_of(task: "Task") -> int:
    """The number of the CPU that a thread is on, as it is told in every way."""
    if task.rseq is not None and task.cpu != NO_CPU:
        return task.cpu
    return task.scheduling.cpu_of(task.tid)


def update(task: "Task", area: Registration) -> None:
    """Tell the program where its thread is now, which is alone there: the number is its concurrency id too. EFAULT."""
    area.cpu = task.cpu
    _write_cpu(task, area, task.cpu, task.cpu, task.cpu)


def _write_cpu(task: "Task", area: Registration, start: int, cpu: int, concurrency: int) -> None:
    memory = task.memory
    memory.write(area.address, start.to_bytes(4, "little") + cpu.to_bytes(4, "little"))
    memory.write(area.address + _NODE_OFFSET, bytes(4) + concurrency.to_bytes(4, "little"))


def restart_at(task: "Task", area: Registration, program_counter: int) -> int | None:
    """The thread has been interrupted: where it goes on, if in a sequence. EFAULT, EINVAL for a broken one."""
    pointer = task.memory.read_word(area.address + _CS_OFFSET)
    if not pointer:
        return None
    sequence = _read_sequence(task, area, pointer)
    if not 0 <= program_counter - sequence.start_ip < sequence.post_commit_offset:
        task.memory.write_word(area.address + _CS_OFFSET, 0)
        return None
    if sequence.flags or task.memory.read_word(area.address + _FLAGS_OFFSET, 4):
        raise LinuxError(Errno.EINVAL)  # flags that Linux has given up
    task.memory.write_word(area.address + _CS_OFFSET, 0)
    return sequence.abort_ip


def _read_sequence(task: "Task", area: Registration, pointer: int) -> RseqCs:
    end = task.architecture.task_size
    if pointer >= end:
        raise LinuxError(Errno.EINVAL)
    found = task.memory.get(RseqCs, pointer)
    after = found.start_ip + found.post_commit_offset
    if found.version or max(found.start_ip, after, found.abort_ip) >= end:
        raise LinuxError(Errno.EINVAL)
    if 0 <= found.abort_ip - found.start_ip < found.post_commit_offset:
        raise LinuxError(Errno.EINVAL)
    if task.memory.read_word(found.abort_ip - _SIGNATURE_SIZE, _SIGNATURE_SIZE) != area.signature:
        raise LinuxError(Errno.EINVAL)
    return found
