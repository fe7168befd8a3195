"""The memory of one process: what system calls, the loader, /proc and the vCPU threads see of it."""

from collections.abc import Callable, Hashable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from aionoah.abi.architecture import PAGE_SHIFT
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.resource import RLIM_INFINITY
from aionoah.hypervisor.protocols import AddressSpace, Machine, Prot
from aionoah.memory import (
    advice,
    faults,
    forced,
    forking,
    heap,
    locking,
    mappings,
    remapping,
)
from aionoah.memory.backing import FileBacking, FramesBacking, MappableFile
from aionoah.memory.faults import FaultResult
from aionoah.memory.futex_key import shared_key
from aionoah.memory.guest_memory import GuestMemory
from aionoah.memory.mm import Execution, Limit, Mm, page_align
from aionoah.memory.vma import ACCESS, VM

if TYPE_CHECKING:
    from aionoah.memory.dumping import DumpedArea
    from aionoah.memory.policy import Policy
    from aionoah.memory.vma import Vma


class MapsLine(NamedTuple):
    """One area, as a line of /proc/PID/maps has it."""

    start: int
    end: int
    prot: int  # PROT
    is_shared: bool
    offset: int  # in bytes
    device: int
    inode: int
    name: bytes  # b"[heap]" and the like; empty for a file, whose path the reader's root decides
    file: MappableFile | None
    flags: int  # memory.vma.VM, for VmFlags of smaps


class MappedFile(NamedTuple):
    """An area that shows a file, from `offset` bytes on."""

    start: int
    end: int
    offset: int
    file: MappableFile


class Usage(NamedTuple):
    """Sizes in pages, for statm and status."""

    total: int
    resident: int
    text: int
    data: int
    stack: int
    locked: int


class Strings(NamedTuple):
    """Where execve has put a program's arguments and environment, which lie side by side."""

    argument_start: int
    argument_end: int
    environment_start: int
    environment_end: int


class Contents(NamedTuple):
    """Where execve has put a program's code, and its initialized data."""

    code_start: int
    code_end: int
    data_start: int
    data_end: int


def _unlimited(_: int) -> int:
    return RLIM_INFINITY


class Memory(GuestMemory):
    """One address space; every address and length is in bytes and may be any 64-bit word.

    All calls are made under the kernel lock. System calls raise LinuxError as their man pages say.
    """

    def __init__(
        self,
        machine: Machine,
        *,
        mmap_base: int,
        limit: Limit = _unlimited,
        space: AddressSpace | None = None,
    ) -> None:
        """An empty space. MemoryError, OSError.

        `mmap_base`: below it mappings are placed (Architecture.mmap_base, randomized or not). `limit`
        gives the present soft limit for an RLIMIT (Limits.soft); for a process with CAP_IPC_LOCK it is
        to give RLIM_INFINITY for RLIMIT_MEMLOCK. `space` is one to be used instead of a new one.
        """
        self._machine = machine
        self._references = 1
        self.barrier_registrations = 0  # of membarrier(2): commands
        self.signal_return = 0  # where handlers return to that bring no SA_RESTORER; 0 if they cannot
        self._mm = Mm(machine, mmap_base, limit, space)
        super().__init__(self._mm.pages)

    @property
    def space(self) -> AddressSpace:
        """For Machine.new_vcpu. Only this object may change it."""
        return self._mm.pages.space

    on_close: tuple[Callable[[], None], ...] = ()
    """What else ends with the address space."""

    strings: Strings | None = None
    contents: Contents | None = None
    initial_stack_pointer = 0

    def close(self) -> None:
        """Give everything back, files too. No vCPU may use the space any more."""
        for act in self.on_close:
            act()
        self._mm.pages.close()
        self._mm.vmas.clear()

    # -- system calls -------------------------------------------------------------------------------

    def mmap(
        self,
        address: int,
        length: int,
        prot: int,
        flags: int,
        file: MappableFile | None = None,
        offset: int = 0,
    ) -> int:
        """Returns the address. `file` is None for MAP_ANONYMOUS, `offset` is in bytes (mmap(2))."""
        return mappings.mmap(self._mm, address, length, prot, flags, file, offset)

    def munmap(self, address: int, length: int) -> None:
        mappings.munmap(self._mm, address, length)

    def mprotect(self, address: int, length: int, prot: int) -> None:
        mappings.mprotect(self._mm, address, length, prot)

    def mremap(self, old: int, old_length: int, new_length: int, flags: int, new: int = 0) -> int:
        return remapping.mremap(self._mm, old, old_length, new_length, flags, new)

    def madvise(self, address: int, length: int, advice_: int) -> None:
        advice.madvise(self._mm, address, length, advice_)

    def mincore(self, address: int, length: int) -> Iterator[bytes]:
        """A byte for each page, a stretch at a time; ENOMEM comes when it gets to a gap."""
        return advice.mincore(self._mm, address, length)

    def msync(self, address: int, length: int, flags: int) -> None:
        advice.msync(self._mm, address, length, flags)

    def mlock(self, address: int, length: int, flags: int = 0) -> None:
        """As mlock2 does, or without flags mlock."""
        locking.mlock(self._mm, address, length, flags)

    def munlock(self, address: int, length: int) -> None:
        locking.munlock(self._mm, address, length)

    def mlockall(self, flags: int) -> None:
        locking.mlockall(self._mm, flags)

    def munlockall(self) -> None:
        locking.munlockall(self._mm)

    def mseal(self, address: int, length: int) -> None:
        from aionoah.memory import sealing  # noqa: PLC0415 - few want that

        sealing.mseal(self._mm, address, length)

    def remap_file_pages(self, address: int, length: int, page: int, flags: int) -> None:
        remapping.remap_file_pages(self._mm, address, length, page, flags)

    @property
    def execution(self) -> Execution:
        """How memory may become executable."""
        return self._mm.execution

    @execution.setter
    def execution(self, rule: Execution) -> None:
        self._mm.execution = rule

    def bind(self, address: int, length: int, mode: int, nodes: int) -> None:
        """mbind: `mode` with its flags, and a bit for each node."""
        from aionoah.memory import policy  # noqa: PLC0415 - few want any

        policy.bind(self._mm, address, length, mode, nodes)

    def set_home_node(self, address: int, length: int, node: int) -> None:
        from aionoah.memory import policy  # noqa: PLC0415

        policy.set_home(self._mm, address, length, node)

    def policy_at(self, address: int) -> "Policy | None":
        """What mbind has set there. EFAULT where nothing is."""
        vma = self._mm.vmas.find(address)
        if vma is None:
            raise LinuxError(Errno.EFAULT)
        return vma.policy

    def node_of(self, address: int) -> int:
        """Of the page at an address. EFAULT where nothing is, ENOENT where no page is yet."""
        self.policy_at(address)
        if not self._mm.pages.is_resident(address):
            raise LinuxError(Errno.ENOENT)
        return 0

    def brk(self, address: int) -> int:
        """Where the heap ends now; the old place if it may not move."""
        return heap.brk(self._mm, address)

    # -- for execve -----------------------------------------------------------------------------------

    def set_brk(self, start: int, *, image_data_length: int = 0) -> None:
        """Where the heap starts, and how many bytes of data RLIMIT_DATA counts before it."""
        heap.set_brk(self._mm, start, image_data_length)

    def setup_stack(self, top: int, size: int, *, is_executable: bool = False) -> None:
        """Map the initial stack, `size` bytes that end at `top`; it grows as it is touched. ENOMEM."""
        heap.setup_stack(self._mm, top, size, is_executable=is_executable)

    def find_room(self, length: int) -> int:
        """Where a mapping of so many bytes would go now. ENOMEM."""
        return self._mm.choose_address(0, page_align(length), 0, is_anonymous=False)

    def map_frames(
        self,
        hint: int,
        first_frame: int,
        count: int,
        prot: int,
        name: bytes,
        *,
        is_shared: bool = False,
    ) -> int:
        """Map pages of the kernel's own, such as the vDSO, near a hint (0: anywhere); returns the address.

        The caller keeps its references of the frames. Nobody can make them writable later. ENOMEM.
        """
        mm, length = self._mm, count << PAGE_SHIFT
        address = mm.choose_address(page_align(hint), length, 0, is_anonymous=False)
        flags = prot & ACCESS | VM.MAYREAD | VM.MAYEXEC | VM.DONTEXPAND
        flags |= prot & VM.WRITE and VM.MAYWRITE
        flags |= (VM.SHARED | VM.MAYSHARE) if is_shared else 0
        mm.pages.frames.hold(first_frame, count)
        backing = FramesBacking(mm.pages.frames, first_frame, count, name)
        try:
            mappings.map_backing(mm, address, length, flags, backing, name=name)
        finally:
            backing.drop()
        return address

    # -- for futexes ------------------------------------------------------------------------------------

    def futex_key(self, address: int, *, is_private: bool, writes: bool = False) -> Hashable:
        """What the waiters of a word are found by. EINVAL if it is misaligned, EFAULT.

        `is_private`: nobody but the threads of this memory uses it; whether it is there is then for
        the next access to find out. `writes`: the operation may change the word.
        """
        if address & 3:
            raise LinuxError(Errno.EINVAL)
        self.check_range(address, 4)
        if is_private:
            return self, address
        return shared_key(self, self._mm.vmas, address, writes=writes)

    @property
    def has_one_user(self) -> bool:
        """Whether no other thread, nor a parent by vfork, is in this memory."""
        return self._references == 1

    # -- for clone --------------------------------------------------------------------------------------

    def fork(self, limit: Limit) -> "Memory":
        """A copy for a child, which `limit` is asked for; ENOMEM."""
        child = Memory.__new__(Memory)
        child._machine, child._references = self._machine, 1  # noqa: SLF001 - of our own class
        child.signal_return = self.signal_return
        child.strings, child.contents = self.strings, self.contents
        child.initial_stack_pointer = self.initial_stack_pointer
        child.barrier_registrations = self.barrier_registrations
        child._mm = forking.fork(self._mm, self._machine, limit)  # noqa: SLF001
        GuestMemory.__init__(child, child._mm.pages)  # noqa: SLF001
        return child

    def hold(self) -> "Memory":
        """A further task uses this memory."""
        self._references += 1
        return self

    def drop(self) -> None:
        """A task and its virtual CPU use it no more; the last one closes it."""
        self._references -= 1
        if self._references == 0:
            self.close()

    @property
    def is_closed(self) -> bool:
        """Whether nobody uses it any more."""
        return self._references == 0

    # -- for debuggers --------------------------------------------------------------------------------

    def peek(self, address: int, length: int) -> bytes:
        """What is there, as much as is, whether the program may read it or not."""
        return forced.read(self, self._mm, address, length)

    def poke(self, address: int, data: bytes) -> int:
        """Write what a debugger may, program text too; how much that was."""
        return forced.write(self, self._mm, address, data)

    # -- for core dumps -------------------------------------------------------------------------------

    def dumped_areas(self, kinds: int) -> "list[DumpedArea]":
        """All areas, and how much of each a core dump of these kinds of memory (abi.core.DUMP) has."""
        from aionoah.memory import dumping  # noqa: PLC0415 - few programs dump

        return dumping.dumped_areas(self, self._mm, kinds)

    def dumped_pieces(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Of one area, what is not zeros: addresses and bytes, and no bytes where it has looked at enough of zeros."""
        from aionoah.memory import dumping  # noqa: PLC0415 - as above

        return dumping.dumped_pieces(self, self._mm, start, end)

    # -- for the vCPU threads -------------------------------------------------------------------------

    def fault(self, address: int, access: Prot) -> FaultResult:
        """Answer a page fault: grow a stack, fill what has been mapped lazily, or say what is wrong."""
        return faults.fault(self._mm, address, access)

    def forget_lost_pages(self) -> bool:
        """The host had no page behind a frame. If a file has been cut short, the next access faults properly."""
        return faults.forget_lost_pages(self._mm)

    # -- for /proc ------------------------------------------------------------------------------------

    def maps(self) -> Iterator[MapsLine]:
        """The areas by address, as they are now."""
        return iter([self._line(vma) for vma in self._mm.vmas])

    def is_free(self, address: int, length: int) -> bool:
        """Whether nothing is mapped there."""
        return self._mm.vmas.is_empty(address, address + length)

    def files(self, start: int) -> Iterator[MappedFile]:
        """What shows files from an address on."""
        for vma in self._mm.vmas.overlapping(start, self._mm.task_size):
            if isinstance(vma.backing, FileBacking):
                yield MappedFile(vma.start, vma.end, vma.offset, vma.backing.file)

    def usage(self) -> Usage:
        vmas = self._mm.vmas
        return Usage(
            vmas.total_pages,
            self.space.mapped,
            vmas.text_pages,
            vmas.data_pages,
            vmas.stack_pages,
            vmas.locked_pages,
        )

    @property
    def resident(self) -> int:
        """Bytes that are resident now."""
        return self.space.mapped << PAGE_SHIFT

    @property
    def peak_resident(self) -> int:
        """The most bytes that have been resident at once."""
        return self.space.most_mapped << PAGE_SHIFT

    @property
    def peak_total(self) -> int:
        """The most bytes that have been mapped at once."""
        return self._mm.vmas.most_pages << PAGE_SHIFT

    @property
    def heap(self) -> tuple[int, int]:
        """Where the heap starts, and where brk has put its end."""
        return self._mm.start_brk, self._mm.brk

    @property
    def stack_start(self) -> int:
        """Where the initial stack ends, being the place it starts to grow from."""
        return self._mm.start_stack

    def _line(self, vma: "Vma") -> MapsLine:
        backing = vma.backing
        file = backing.file if isinstance(backing, FileBacking) else None
        device, inode = backing.device_and_inode() if backing is not None else (0, 0)
        return MapsLine(
            vma.start,
            vma.end,
            vma.flags & ACCESS,
            vma.is_shared,
            vma.offset if not vma.name else 0,
            device,
            inode,
            self._name(vma),
            file,
            vma.flags,
        )

    def _name(self, vma: "Vma") -> bytes:
        if vma.name:
            return vma.name
        if vma.backing is not None:
            return b"/dev/zero (deleted)" if isinstance(vma.backing, FramesBacking) else b""
        if self._mm.is_heap(vma):
            return b"[heap]"
        return b"[stack]" if self._mm.is_stack(vma) else b""
