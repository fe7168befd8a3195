"""System V semaphores: semget(2), semop(2), semctl(2); Linux ipc/sem.c."""

import struct
import time
from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.ipc import SEM_CMD, SEM_UNDO, SEMID_STRUCTS, Sembuf
from aionoah.abi.time import Timespec
from aionoah.clocks.duration import nanoseconds
from aionoah.process.ipc.ids import READ, WRITE
from aionoah.process.ipc.semaphores import VALUE_MAX, Operation, SemaphoreSet
from aionoah.process.ipc.undo import UndoList
from aionoah.syscalls.arguments import Addr, In, Int, UInt, ULong
from aionoah.syscalls.registry import syscall

if TYPE_CHECKING:
    from aionoah.process.task import Task

_STAT: Final = (SEM_CMD.STAT, SEM_CMD.STAT_INDEX, SEM_CMD.STAT_ANY)
_ONE: Final = (SEM_CMD.GETVAL, SEM_CMD.GETPID, SEM_CMD.GETNCNT, SEM_CMD.GETZCNT)


@syscall
def semget(task: "Task", key: Int, nsems: Int, semflg: Int) -> int:
    return task.namespaces.ipc.system_v.semaphores.get(key, nsems, semflg, task).id


@syscall
async def semop(task: "Task", semid: Int, sops: In[Sembuf], nsops: UInt) -> None:
    await _operate(task, semid, sops, nsops, None)


@syscall
async def semtimedop(task: "Task", semid: Int, sops: In[Sembuf], nsops: UInt, limit: In[Timespec]) -> None:
    await _operate(task, semid, sops, nsops, task.memory.get(Timespec, limit) if limit else None)


async def _operate(task: "Task", semid: int, sops: int, count: int, limit: Timespec | None) -> None:
    if count > task.namespaces.ipc.system_v.limits.semopm:
        raise LinuxError(Errno.E2BIG)
    if count < 1:
        raise LinuxError(Errno.EINVAL)
    data = task.memory.read(sops, count * Sembuf.SIZE)
    if semid < 0:
        raise LinuxError(Errno.EINVAL)
    deadline_ns = None if limit is None else time.monotonic_ns() + nanoseconds(limit)
    operations = [Operation(*row) for row in Sembuf.rows(data)]
    semaphores = task.namespaces.ipc.system_v.semaphores.objects.find(semid)
    if max(operation.number for operation in operations) >= len(semaphores):
        raise LinuxError(Errno.EFBIG)
    is_altering = any(operation.change for operation in operations)
    semaphores.require(WRITE if is_altering else READ, task.credentials)
    undo = None
    if any(operation.flags & SEM_UNDO for operation in operations):
        undo = task.semaphore_undo = task.semaphore_undo or UndoList()
    await semaphores.operate(task, operations, undo, deadline_ns)


@syscall
def semctl(task: "Task", semid: Int, semnum: Int, cmd: Int, arg: ULong) -> int:
    if semid < 0:
        raise LinuxError(Errno.EINVAL)
    if cmd in (SEM_CMD.INFO, SEM_CMD.INFO_USED):
        task.memory.put(arg, task.namespaces.ipc.system_v.semaphores.info(of_used=cmd == SEM_CMD.INFO_USED))
        return task.namespaces.ipc.system_v.semaphores.objects.highest_index
    if cmd in _STAT:
        return _stat(task, semid, cmd, Addr(arg))
    if cmd == SEM_CMD.SETVAL:
        _set_value(task, semid, semnum, arg & 0xFFFF_FFFF)
        return 0
    if cmd in _ONE:
        return _look(task, semid, semnum, cmd)
    if cmd in (SEM_CMD.GETALL, SEM_CMD.SETALL):
        _all(task, semid, cmd, Addr(arg))
        return 0
    if cmd == SEM_CMD.SET:
        wanted = task.memory.get(SEMID_STRUCTS[task.architecture.name], arg)
        _owned(task, semid).change_permissions(wanted.sem_perm)
        return 0
    if cmd == SEM_CMD.RMID:
        task.namespaces.ipc.system_v.semaphores.remove(_owned(task, semid))
        return 0
    raise LinuxError(Errno.EINVAL)


def _owned(task: "Task", semid: int) -> SemaphoreSet:
    semaphores = task.namespaces.ipc.system_v.semaphores.objects.find(semid)
    semaphores.require_owner(task.credentials)
    return semaphores


def _stat(task: "Task", number: int, cmd: int, address: Addr) -> int:
    objects = task.namespaces.ipc.system_v.semaphores.objects
    found = objects.find(number) if cmd == SEM_CMD.STAT else objects.find_index(number)
    if cmd != SEM_CMD.STAT_ANY:
        found.require(READ, task.credentials)
    kind = SEMID_STRUCTS[task.architecture.name]
    task.memory.put(address, kind(found.permissions(), found.operated, found.changed, len(found)))
    return 0 if cmd == SEM_CMD.STAT else found.id


def _set_value(task: "Task", semid: int, number: int, value: int) -> None:
    if value > VALUE_MAX:
        raise LinuxError(Errno.ERANGE)
    semaphores = task.namespaces.ipc.system_v.semaphores.objects.find(semid)
    semaphores.at(number)
    semaphores.require(WRITE, task.credentials)
    semaphores.set_value(number, value, task.process.pid)


def _look(task: "Task", semid: int, number: int, cmd: int) -> int:
    semaphores = task.namespaces.ipc.system_v.semaphores.objects.find(semid)
    semaphores.require(READ, task.credentials)
    semaphore = semaphores.at(number)
    if cmd == SEM_CMD.GETVAL:
        return semaphore.value
    if cmd == SEM_CMD.GETPID:
        return semaphore.pid
    return semaphores.count_waiting(number, for_zero=cmd == SEM_CMD.GETZCNT)


def _all(task: "Task", semid: int, cmd: int, address: Addr) -> None:
    """GETALL and SETALL: an array of unsigned short."""
    semaphores = task.namespaces.ipc.system_v.semaphores.objects.find(semid)
    semaphores.require(READ if cmd == SEM_CMD.GETALL else WRITE, task.credentials)
    form = struct.Struct(f"<{len(semaphores)}H")
    if cmd == SEM_CMD.GETALL:
        task.memory.write(address, form.pack(*(one.value for one in semaphores.semaphores)))
        return
    values = form.unpack(task.memory.read(address, form.size))
    if max(values) > VALUE_MAX:
        raise LinuxError(Errno.ERANGE)
    semaphores.set_all(values, task.process.pid)
