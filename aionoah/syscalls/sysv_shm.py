"""System V shared memory: shmget(2), shmop(2), shmctl(2); Linux ipc/shm.c."""

from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.ipc import SHM, SHM_CMD, ShmidDs
from aionoah.abi.mman import MAP, PROT
from aionoah.abi.words import WORD_MASK
from aionoah.process.ipc.ids import EXECUTE, READ, WRITE
from aionoah.process.ipc.shared_memory import Segment, SegmentFile
from aionoah.syscalls.arguments import Addr, Int, Size
from aionoah.syscalls.registry import syscall

if TYPE_CHECKING:
    from aionoah.process.task import Task

_PAGE_MASK: Final = 4095
_STAT: Final = (SHM_CMD.STAT, SHM_CMD.STAT_INDEX, SHM_CMD.STAT_ANY)


@syscall(partial="No huge pages (ENOMEM).")
def shmget(task: "Task", key: Int, size: Size, shmflg: Int) -> int:
    return task.namespaces.ipc.system_v.memory.get(key, size, shmflg, task).id


@syscall
def shmat(task: "Task", shmid: Int, shmaddr: Addr, shmflg: Int) -> Addr:
    address = _wanted_address(shmaddr, shmflg)
    prot, rights, access = PROT.READ | PROT.WRITE, READ | WRITE, O.RDWR
    if shmflg & SHM.RDONLY:
        prot, rights, access = PROT.READ, READ, O.RDONLY
    if shmflg & SHM.EXEC:
        prot, rights = prot | PROT.EXEC, rights | EXECUTE
    segment = task.namespaces.ipc.system_v.memory.objects.find(shmid)
    segment.require(rights, task.credentials)
    if address and not shmflg & SHM.REMAP:
        _require_free(task, address, segment.size)
    flags = MAP.SHARED | (MAP.FIXED if shmaddr else 0)
    file = segment.open(access)
    try:
        return Addr(task.memory.mmap(address, segment.size, prot, flags, file, 0))
    finally:
        file.mapped()


def _wanted_address(address: int, flags: int) -> int:
    """Where it is to be attached, 0 for anywhere. EINVAL."""
    if not address:
        if flags & SHM.REMAP:
            raise LinuxError(Errno.EINVAL)
        return 0
    if address & _PAGE_MASK:
        if not flags & SHM.RND:
            raise LinuxError(Errno.EINVAL)
        address &= ~_PAGE_MASK
        if not address and flags & SHM.REMAP:
            raise LinuxError(Errno.EINVAL)
    return address


def _require_free(task: "Task", address: int, size: int) -> None:
    """EINVAL where something is already."""
    if address + size > WORD_MASK or not task.memory.is_free(address, size):
        raise LinuxError(Errno.EINVAL)


@syscall
def shmdt(task: "Task", shmaddr: Addr) -> None:
    """Unmap what is left of one attachment: the areas whose place in the segment fits to the address."""
    if shmaddr & _PAGE_MASK:
        raise LinuxError(Errno.EINVAL)
    found: SegmentFile | None = None
    for start, end, offset, file in list(task.memory.files(shmaddr)):
        if not isinstance(file, SegmentFile) or start - shmaddr != offset:
            continue
        if found is None:
            found = file
        elif file is not found or start - shmaddr >= found.segment.size:
            continue
        task.memory.munmap(start, end - start)
    if found is None:
        raise LinuxError(Errno.EINVAL)


@syscall(partial="SHM_LOCK is noted; the host may still swap.")
def shmctl(task: "Task", shmid: Int, cmd: Int, buf: Addr) -> int:
    memory = task.namespaces.ipc.system_v.memory
    if cmd < 0 or shmid < 0:
        raise LinuxError(Errno.EINVAL)
    if cmd in (SHM_CMD.INFO, SHM_CMD.INFO_USED):
        task.memory.put(buf, memory.info() if cmd == SHM_CMD.INFO else memory.used())
        return memory.objects.highest_index
    if cmd in _STAT:
        return _stat(task, shmid, cmd, buf)
    if cmd in (SHM_CMD.LOCK, SHM_CMD.UNLOCK):
        memory.lock(memory.objects.find(shmid), task, is_locked=cmd == SHM_CMD.LOCK)
        return 0
    if cmd == SHM_CMD.SET:
        wanted = task.memory.get(ShmidDs, buf)
        _owned(task, shmid).change_permissions(wanted.shm_perm)
        return 0
    if cmd == SHM_CMD.RMID:
        _owned(task, shmid).remove()
        return 0
    raise LinuxError(Errno.EINVAL)


def _owned(task: "Task", shmid: int) -> Segment:
    segment = task.namespaces.ipc.system_v.memory.objects.find(shmid)
    segment.require_owner(task.credentials)
    return segment


def _stat(task: "Task", number: int, cmd: int, address: int) -> int:
    objects = task.namespaces.ipc.system_v.memory.objects
    segment = objects.find(number) if cmd == SHM_CMD.STAT else objects.find_index(number)
    if cmd != SHM_CMD.STAT_ANY:
        segment.require(READ, task.credentials)
    task.memory.put(address, segment.status())
    return 0 if cmd == SHM_CMD.STAT else segment.id
