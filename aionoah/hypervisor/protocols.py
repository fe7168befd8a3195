"""The hypervisor border: what a backend gives to the kernel above it.

Three implementations share it: kvm.py, unicorn.py, and hvf.py to come. What Hypervisor.framework
imposes is part of the contract: a vCPU is created, run and closed on one OS thread; there may be one
VM for the whole host process, so an AddressSpace is no more than a page-table root; and frames reach
the guest only through `AddressSpace.map`, so that a backend may map host memory coarsely and lazily.

Nothing here knows Linux: no errno, no system call number, no signal.

All methods but `Vcpu.run`, `Vcpu.kick` and `Mailboxes.next_call` are called under the kernel lock.
"""

from collections.abc import Sequence
from enum import IntEnum, IntFlag
from typing import Any, Final, NamedTuple, Protocol, Self

PAGE_SIZE: Final = 4096
NO_CALL: Final = -1


class Prot(IntFlag):
    """Access rights of a guest page. No right at all keeps the frame and lets nobody in."""

    NONE = 0
    READ = 1
    WRITE = 2
    EXECUTE = 4


class ExitKind(IntEnum):
    """Why a vCPU left the guest. The numbers are those of native/kvm.h."""

    SYSCALL = 1  # SYSCALL or SVC #0; the program counter is behind the instruction
    PAGE_FAULT = 2  # the page tables refuse an access: `fault` says where and what
    EXCEPTION = 3  # any other exception of the guest: `exception` says which
    KICKED = 4  # kick() was called since the last return from run()
    HOST_FAULT = 5  # the host has no page behind the frame (beyond the end of a mapped file)
    BROKEN = 6  # the backend itself failed: `describe` has its words
    BUSY_SYSCALL = 7  # SYSCALL, of a vCPU that leaves often: with a mailbox it would be cheaper
    SERVED_SYSCALL = 8  # SYSCALL that was found in the mailbox meanwhile, and may have been answered


class Fault(NamedTuple):
    """A refused access to guest memory."""

    address: int
    access: Prot  # the one right that was missing


class ExceptionKind(IntEnum):
    """CPU exceptions by what they mean, the same for every architecture."""

    DIVIDE = 1
    SINGLE_STEP = 2
    BREAKPOINT = 3
    ILLEGAL_INSTRUCTION = 4
    PROTECTION = 5  # #GP: a non-canonical address, a privileged instruction
    ALIGNMENT = 6
    FLOATING_POINT = 7
    OVERFLOW = 8
    OTHER = 9
    STACK = 10  # #SS: a non-canonical stack pointer; #NP: a segment that is not there


class GuestException(NamedTuple):
    kind: ExceptionKind
    vector: int  # the architecture's own number: x86 vector, or ESR_EL1.EC
    error_code: int


class Extent(NamedTuple):
    """Guest pages that are neighbours in guest memory and in host memory, with the same rights."""

    start: int  # guest virtual address, page-aligned
    end: int
    prot: Prot
    memory: memoryview  # the bytes themselves, writable for the kernel whatever `prot` says
    is_file: bool  # touching it may fail on the host: go through Frames.copy_in and copy_out


class Frames(Protocol):
    """Guest-physical memory: one reserved, sparse host region cut into frames of PAGE_SIZE bytes.

    A frame is named by its index. Every mapping of a frame in an AddressSpace holds one reference;
    whoever allocates holds one too and drops it when the mapping has been made.
    """

    @property
    def limit(self) -> int:
        """Frames that may be in use at once; shared pages of files do not count."""
        ...

    @property
    def in_use(self) -> int: ...

    @property
    def invalidations(self) -> int:
        """Changes whenever a running guest may have seen a HOST_FAULT for no fault of its file."""
        ...

    def allocate(self, count: int) -> int:
        """First index of `count` neighbouring zero frames, each with one reference. MemoryError."""
        ...

    def allocate_file(self, fd: int, offset: int, count: int, *, shared: bool, writable: bool) -> int:
        """Like allocate, the frames being a mapping of a host file. MemoryError, OSError.

        The host mapping is MAP_SHARED if `shared`, else MAP_PRIVATE; `writable` matters for shared.
        """
        ...

    def hold(self, first: int, count: int) -> None: ...

    def drop(self, first: int, count: int) -> None:
        """Give references back; a frame without any returns to the host."""
        ...

    def view(self, first: int, count: int) -> memoryview:
        """The bytes of neighbouring frames, for as long as the caller holds them."""
        ...

    def populate(self, view: memoryview) -> None:
        """The pages of (part of) an Extent, not of a file, will all be used soon."""
        ...

    def copy_in(self, view: memoryview) -> bytes:
        """A copy of (part of) an Extent whose is_file is set; OSError(EFAULT) where the host has no page."""
        ...

    def copy_out(self, view: memoryview, data: bytes | bytearray | memoryview) -> None:
        """Copy data over such a part of the same length; OSError(EFAULT) where the host has no page."""
        ...

    def load(self, word: memoryview, *, is_file: bool) -> int:
        """An aligned 32-bit word (four bytes of an Extent) in one access, while guests may change it.

        OSError(EFAULT) where the host has no page.
        """
        ...

    def compare_exchange(self, word: memoryview, expected: int, new: int, *, is_file: bool) -> int:
        """Put `new` in the place of `expected` in such a word, atomically also for guests that run; if
        there is something else, leave it. Returns what was there. OSError(EFAULT) as load.
        """
        ...


class AddressSpace(Protocol):
    """One guest virtual address space: page tables and the backend's idea of them.

    Addresses and lengths are multiples of PAGE_SIZE below `end`.
    """

    end: int  # first address that a program may not use
    open_vcpus: int  # of it

    def reserve_vcpus(self, count: int) -> None:
        """Make sure that so many vCPUs more can be had, by any threads. MemoryError if the host has no more."""
        ...

    def map(self, address: int, first_frame: int, count: int, prot: Prot, *, is_file: bool = False) -> None:
        """Put neighbouring frames at neighbouring pages, taking a reference of each.

        The pages must be empty. `is_file`: the frames came from `allocate_file`. MemoryError if there
        is no memory for page tables; then nothing is mapped.
        """
        ...

    def unmap(self, address: int, length: int) -> None:
        """Empty the pages and drop their references. Pages that are empty already stay so."""
        ...

    def protect(self, address: int, length: int, prot: Prot, *, exclusive: bool = False) -> None:
        """New rights for the pages that are mapped; it holds for running vCPUs at return.

        `exclusive`: pages whose frames others hold too get no write access (they are to be copied first).
        """
        ...

    def fork(self, child: Self, address: int, length: int, *, share: bool) -> None:
        """Show these pages at the same place in another space, where nothing is mapped. Unless `share`,
        neither may write to them any more; it holds at return. MemoryError.
        """
        ...

    def unshare(self, address: int, length: int, prot: Prot) -> None:
        """Copy the mapped pages whose frames others hold too, and give all of them these rights.

        MemoryError, also if the host has no page behind a frame; pages before it have been done.
        """
        ...

    def move(self, old: int, new: int, length: int) -> None:
        """Move mappings to empty pages, empty places included (mremap)."""
        ...

    def extent(self, address: int) -> Extent | None:
        """The mapped neighbourhood of an address, PROT_NONE included; None where nothing is mapped."""
        ...

    @property
    def mapped(self) -> int:
        """How many pages have a frame, with any rights."""
        ...

    @property
    def most_mapped(self) -> int:
        """The most that `mapped` has ever been."""
        ...

    def resident(self, address: int, count: int) -> Sequence[bool]:
        """For each page, whether a frame is mapped there (with any rights)."""
        ...

    def next_mapped(self, address: int, end: int) -> int:
        """The first page from an address on that has a frame, `end` if there is none before that. Empty parts, however
        large, cost next to nothing.
        """
        ...

    def close(self) -> None:
        """Drop every reference. No vCPU of this space may be open."""
        ...


class CpuState(Protocol):
    """What a program has in its CPU."""

    registers: memoryview  # 64-bit words in the order of the architecture's register file (registers.py)

    def get_fpu(self) -> bytes:
        """The floating-point and vector state in the architecture's own layout (XSAVE; FPSIMD)."""
        ...

    def set_fpu(self, state: bytes) -> None:
        """ValueError for a state that the CPU would refuse."""
        ...

    def reset_fpu(self) -> None:
        """The floating-point and vector state of a fresh thread."""
        ...


class Vcpu(CpuState, Protocol):
    """A virtual CPU, owned by the OS thread that created it."""

    fault: Fault  # after PAGE_FAULT
    exception: GuestException  # after EXCEPTION

    def run(self, yield_call: int = NO_CALL) -> ExitKind:
        """Enter the guest with the present registers until something leaves it. Releases the GIL.

        `yield_call` is the number of a call that does nothing but let others go first: the machine may do that by
        itself, and tell only of some of them.
        """
        ...

    def rest(self) -> None:
        """Its thread is about to sleep: others need not wait for it to enter the guest again."""
        ...

    def kick(self) -> None:
        """Make the present or the next run() return KICKED soon. From any thread; never lost."""
        ...

    def get_tls(self) -> int:
        """The thread pointer: FS base on x86_64, TPIDR_EL0 on aarch64."""
        ...

    def set_tls(self, value: int) -> None: ...

    def get_gs_base(self) -> int:
        """The base of GS, which x86_64 programs may use as they like; x86_64 only."""
        ...

    def set_gs_base(self, value: int) -> None: ...

    def set_cpu_number(self, number: int) -> None:
        """What programs read with RDPID and RDTSCP, where there is a way to say it."""
        ...

    def user_time_ns(self) -> int:
        """Time in the guest since it was opened, which may count what the host took the CPU away for. From any thread."""
        ...

    def describe(self) -> str:
        """What the backend can say of its state, for a BROKEN exit."""
        ...

    def close(self) -> None: ...


class Mailbox(IntEnum):
    """The 64-bit words in which a vCPU waits for the answer to a call without leaving. The guest may write to them."""

    STATE = 0  # Mail
    RESULT = 4  # what the result register is to be, if ANSWERED
    WORDS = 8  # the first of seven: number and arguments of the call
    END = 15
    REGISTERS = 16  # in the order of the architecture's register file
    FPU = 128  # up to the end of the page


class Mail(IntEnum):
    """The states of a mailbox."""

    NONE = 0
    POSTED = 1
    ANSWERED = 2
    TAKEN = 3  # by next_call
    REFUSED = 4  # the vCPU is to leave, with SERVED_SYSCALL
    SHOW = 5  # the registers are wanted: next_call will come with the same number, or the vCPU leaves with SERVED_SYSCALL
    SHOWN = 6
    ENTER = 7  # it is to go on with the registers that it would have shown


class Mailboxes(Protocol):
    """Calls without exits, for vCPUs that have said BUSY_SYSCALL."""

    def join(self, vcpu: Any) -> "tuple[int, memoryview, CpuState | None] | None":  # noqa: ANN401 - one of this machine's
        """From now on the vCPU posts its calls, in these words, and `next_call` finds them under this number: until it
        leaves, or nobody has posted any for a while. None if it cannot. On the vCPU's thread.

        The state is for SHOW and ENTER, None if there is no room for it: of the registers, the stack pointer and flags
        are those of the call that has been taken, all others of the program once it has shown them. The guest may write to it.
        """
        ...

    def leave(self, vcpu: Any) -> None:  # noqa: ANN401
        """The vCPU leaves the guest for every call again; one may have been taken already."""
        ...

    @property
    def lender(self) -> "Lender":
        """Of the files that `next_call` reads and writes itself."""
        ...

    def answer_alone(self, calls: Sequence[int]) -> None:
        """From now on, `next_call` makes these calls itself where they are about files that are lent: the numbers of
        read, write, pread64, pwrite64 and lseek. Once.
        """
        ...

    def lend(self, vcpu: Any, number: int, loan: object) -> None:  # noqa: ANN401
        """The vCPU may use a loan as this descriptor of its guest's."""
        ...

    def take_moved(self, vcpu: Any) -> tuple[int, int, int, int]:  # noqa: ANN401
        """What calls of the vCPU's that `next_call` has made have moved since this was last asked: reads, their bytes, writes,
        and theirs.
        """
        ...

    def next_call(self, last: int) -> int:
        """Wait, without any lock and on one thread only, for a call: the number of the mailbox; -1 after `end_calls`.
        `last` is what it has returned before, which has been dealt with; -1 at first.
        """
        ...

    def end_calls(self) -> None:
        """From any thread."""
        ...


class Lender(Protocol):
    """What lends open files of the host to vCPUs, of any machine; see fs/lending.py."""

    def begin(self, fd: int, *, may_read: bool, may_write: bool, position: int) -> object | None:
        """A loan of a descriptor; None if there can be none."""
        ...

    def end(self, loan: object) -> int:
        """The position, in bytes. Nobody uses the file any more."""
        ...

    def forget(self) -> None:
        """No vCPU has any loan now, though none has ended."""
        ...


class Machine(Protocol):
    """Guest-physical memory and the way to run code in it. Thread-safe only under the kernel lock."""

    name: str  # "kvm", "unicorn", …
    architecture: str  # of the guest: "x86_64" or "aarch64"
    max_vcpus: int  # of one address space
    hwcap: int  # what the CPU can do, for AT_HWCAP: CPUID(1).EDX on x86_64, Linux's HWCAP bits on aarch64
    fpu_features: int  # x86_64: XCR0, which says what Vcpu.get_fpu holds; else 0
    fpu_size: int  # bytes of what Vcpu.get_fpu gives

    @property
    def frames(self) -> Frames: ...

    def keep_clocks(self, frame: int) -> bool:
        """Keep the frame, a page of zeros, telling guests the host's clocks (native/clock_page.h).

        False where guests have no counter of the host's to go by; the page then stays as it is, and they
        have to ask the kernel. Once in the life of a machine.
        """
        ...

    def barrier(self) -> None:
        """Every vCPU of the machine that runs executes a full memory barrier and a serialising instruction."""
        ...

    @property
    def spinners(self) -> memoryview | None:
        """One word: how many threads have just left their guests, of any machine, and spin before run() returns. None if
        they never do.
        """
        ...

    def open_mailboxes(self) -> Mailboxes | None:
        """From now on vCPUs may say BUSY_SYSCALL. None where nothing is gained by mailboxes. Once."""
        ...

    def new_space(self) -> AddressSpace:
        """An empty address space. MemoryError, OSError."""
        ...

    def new_vcpu(self, space: Any) -> Vcpu:  # noqa: ANN401 - one that new_space of this machine has made
        """A vCPU with all registers zero, in user mode; it belongs to the calling thread."""
        ...

    def close(self) -> None:
        """Free everything; spaces and vCPUs must be closed."""
        ...
