"""System calls without exits: a thread that answers the calls of guests which stay in their virtual machines meanwhile.

Where KVM works in software, leaving the guest is most of a call's time. A virtual CPU that leaves often, while
the host has a processor to spare, gets a mailbox (hypervisor/native/kvm_mailbox.c), from which this thread takes
its calls. What cannot be ended there and then, such as a call that sleeps, is left to the guest's own thread.
"""

from threading import Thread
from typing import TYPE_CHECKING, Final

from aionoah.fs.lending import LENDERS
from aionoah.host.turnstile import Place
from aionoah.host.waiting import kernel_lock
from aionoah.vcpu_borrowing import Borrowing
from aionoah.vcpu_mailbox import VcpuMailbox

if TYPE_CHECKING:
    from aionoah.hypervisor.protocols import Mailboxes, Vcpu
    from aionoah.process.usage import Usage
    from aionoah.syscalls.dispatch import SyscallTable
    from aionoah.vcpu_thread import VcpuThread

_LENT_CALLS: Final = ("read", "write", "pread64", "pwrite64", "lseek")


class CallServer:
    """The server of one instance. It has no thread until a guest is busy enough."""

    def __init__(self, mailboxes: "Mailboxes", table: "SyscallTable") -> None:
        self._mailboxes = mailboxes
        self._table = table
        self._lent_calls: frozenset[int] = frozenset()
        if not table.is_traced:
            numbers = [table.architecture.syscall_numbers[name] for name in _LENT_CALLS]
            mailboxes.answer_alone(numbers)
            self._lent_calls = frozenset(numbers[:-1])
            LENDERS[:] = [mailboxes.lender]
        self._guests: dict[int, tuple[VcpuThread, VcpuMailbox, Vcpu]] = {}
        self._thread: Thread | None = None

    def admit(self, guest: "VcpuThread", vcpu: "Vcpu") -> VcpuMailbox | None:
        """Serve the calls of a virtual CPU until it sleeps or is not busy any more. None if it cannot be. Under the kernel lock."""
        if self._thread is None:
            thread = Thread(target=self._serve, name="aionoah-calls", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no thread is left for us
                return None
            self._thread = thread
        joined = self._mailboxes.join(vcpu)
        if joined is None:
            return None
        number, words, shown = joined
        mailbox = VcpuMailbox(words, shown, Borrowing(self._mailboxes, vcpu, self._lent_calls))
        self._guests[number] = guest, mailbox, vcpu
        return mailbox

    def dismiss(self, guest: "VcpuThread") -> None:
        """Its virtual CPU is about to be closed. Under the kernel lock."""
        for number, (known, mailbox, vcpu) in list(self._guests.items()):
            if known is guest:
                self._mailboxes.leave(vcpu)
                mailbox.close()
                del self._guests[number]

    def count_moved(self, vcpu: "Vcpu", counts: "Usage") -> None:
        """Add what files that are lent have been read and written since the last time. Under the kernel lock."""
        reads, read, writes, written = self._mailboxes.take_moved(vcpu)
        counts.read_calls += reads
        counts.bytes_read += read
        counts.write_calls += writes
        counts.bytes_written += written

    def _serve(self) -> None:
        place = Place()
        next_call, guests, table = self._mailboxes.next_call, self._guests, self._table
        number = -1
        while (number := next_call(number)) >= 0:
            if kernel_lock.is_starving or not kernel_lock.acquire(False):
                kernel_lock.acquire_in_turn(place)
            try:
                if number in guests:
                    guest, mailbox, vcpu = guests[number]
                    if not mailbox.answer(guest, table):
                        self._mailboxes.leave(vcpu)
            finally:
                kernel_lock.release()

    def close(self) -> None:
        """Every guest has ended. Without the kernel lock."""
        self._mailboxes.end_calls()
        if self._thread is not None:
            self._thread.join()
