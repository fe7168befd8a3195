"""Memory mapping calls: mmap(2), munmap(2), mprotect(2), mremap(2), madvise(2), brk(2), mlock(2) and kin."""

from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.mman import MADV, MAP, MCL, MLOCK, MREMAP, MS, PKEY, PROT
from aionoah.abi.mount import MS as MOUNT
from aionoah.syscalls.arguments import Addr, Fd, Int, Size, UInt, ULong
from aionoah.syscalls.registry import syscall

if TYPE_CHECKING:
    from aionoah.process.task import Task

_NO_KEY: Final = -1
_NO_KEYS: Final = "There are no protection keys, as on an x86_64 CPU without them."
_LOCKING: Final = "Pages are filled and counted; the host may still swap them out."


@syscall
def brk(task: "Task", addr: Addr) -> Addr:
    return Addr(task.memory.brk(addr))


@syscall(partial="Huge pages, MAP_SYNC and MAP_DROPPABLE are refused.")
def mmap(task: "Task", addr: Addr, length: Size, prot: PROT, flags: MAP, fd: Fd, offset: ULong) -> Addr:
    if MAP.ANONYMOUS in flags:
        return Addr(task.memory.mmap(addr, length, prot, flags, None, offset))
    file = task.files[fd]
    if O.PATH in file.flags:
        raise LinuxError(Errno.EBADF)
    if prot & PROT.EXEC and file.dentry is not None and file.dentry.mount.flags & MOUNT.NOEXEC:
        raise LinuxError(Errno.EPERM)
    return Addr(task.memory.mmap(addr, length, prot, flags, file, offset))


@syscall
def munmap(task: "Task", addr: Addr, length: Size) -> None:
    task.memory.munmap(addr, length)


@syscall
def mprotect(task: "Task", addr: Addr, length: Size, prot: PROT) -> None:
    task.memory.mprotect(addr, length, prot)


@syscall
def mremap(
    task: "Task", old_address: Addr, old_size: Size, new_size: Size, flags: MREMAP, new_address: Addr
) -> Addr:
    return Addr(task.memory.mremap(old_address, old_size, new_size, flags, new_address))


@syscall
def mseal(task: "Task", addr: Addr, length: Size, flags: ULong) -> None:
    if flags:
        raise LinuxError(Errno.EINVAL)
    task.memory.mseal(addr, length)


@syscall
def remap_file_pages(task: "Task", addr: Addr, size: ULong, prot: ULong, pgoff: ULong, flags: ULong) -> None:
    if prot:
        raise LinuxError(Errno.EINVAL)
    task.memory.remap_file_pages(addr, size, pgoff, flags)


@syscall(partial="MADV_COLLAPSE, MADV_HWPOISON and MADV_SOFT_OFFLINE are refused.")
def madvise(task: "Task", addr: Addr, length: Size, advice: MADV) -> None:
    task.memory.madvise(addr, length, advice)


@syscall(partial="Pages that were mapped at once count as resident before they are touched.")
def mincore(task: "Task", addr: Addr, length: Size, vec: Addr) -> None:
    for chunk in task.memory.mincore(addr, length):
        task.memory.write(vec, chunk)
        vec = Addr(vec + len(chunk))


@syscall
def msync(task: "Task", addr: Addr, length: Size, flags: MS) -> None:
    task.memory.msync(addr, length, flags)


@syscall(partial=_LOCKING)
def mlock(task: "Task", addr: Addr, length: Size) -> None:
    task.memory.mlock(addr, length)


@syscall(partial=_LOCKING)
def mlock2(task: "Task", addr: Addr, length: Size, flags: MLOCK) -> None:
    task.memory.mlock(addr, length, flags)


@syscall
def munlock(task: "Task", addr: Addr, length: Size) -> None:
    task.memory.munlock(addr, length)


@syscall(partial=_LOCKING)
def mlockall(task: "Task", flags: MCL) -> None:
    task.memory.mlockall(flags)


@syscall
def munlockall(task: "Task") -> None:
    task.memory.munlockall()


@syscall(partial=_NO_KEYS)
def pkey_alloc(task: "Task", flags: UInt, access_rights: PKEY) -> None:  # noqa: ARG001
    raise LinuxError(Errno.EINVAL)


@syscall(partial=_NO_KEYS)
def pkey_free(task: "Task", pkey: Int) -> None:  # noqa: ARG001
    raise LinuxError(Errno.EINVAL)


@syscall(partial=_NO_KEYS)
def pkey_mprotect(task: "Task", addr: Addr, length: Size, prot: PROT, pkey: Int) -> None:
    if pkey != _NO_KEY and length:
        raise LinuxError(Errno.EINVAL)
    task.memory.mprotect(addr, length, prot)
