"""System V message queues: msgget(2), msgop(2), msgctl(2); Linux ipc/msg.c."""

from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.ipc import IPC, MSG_CMD, MSGRCV, MsqidDs
from aionoah.process.ipc.ids import READ
from aionoah.process.ipc.messages import Message, MessageQueue, Wanted
from aionoah.syscalls.arguments import Addr, Int, Long, Size
from aionoah.syscalls.registry import syscall

if TYPE_CHECKING:
    from aionoah.process.task import Task

_TYPE_SIZE: Final = 8
_SIGN: Final = 1 << 63
_STAT: Final = (MSG_CMD.STAT, MSG_CMD.STAT_INDEX, MSG_CMD.STAT_ANY)


@syscall
def msgget(task: "Task", key: Int, msgflg: Int) -> int:
    return task.namespaces.ipc.system_v.messages.get(key, msgflg, task).id


@syscall
async def msgsnd(task: "Task", msqid: Int, msgp: Addr, msgsz: Size, msgflg: Int) -> None:
    kind = task.memory.read_word(msgp)
    if msgsz > task.namespaces.ipc.system_v.limits.msgmax or msqid < 0 or not 1 <= kind < _SIGN:
        raise LinuxError(Errno.EINVAL)
    text = task.memory.read(msgp + _TYPE_SIZE, msgsz)
    queue = task.namespaces.ipc.system_v.messages.objects.find(msqid)
    await queue.send(task, Message(kind, text), may_wait=not msgflg & IPC.NOWAIT)


@syscall
async def msgrcv(task: "Task", msqid: Int, msgp: Addr, msgsz: Size, msgtyp: Long, msgflg: Int) -> int:
    if msqid < 0 or msgsz >= _SIGN:
        raise LinuxError(Errno.EINVAL)
    if msgflg & MSGRCV.COPY:
        if msgflg & MSGRCV.EXCEPT or not msgflg & MSGRCV.NOWAIT:
            raise LinuxError(Errno.EINVAL)
        most = task.namespaces.ipc.system_v.limits.msgmax
        task.memory.read(msgp, min(msgsz, most))  # EFAULT before all else
    queue = task.namespaces.ipc.system_v.messages.objects.find(msqid)
    wanted = Wanted.of(msgtyp, msgsz, msgflg)
    message = await queue.receive(task, wanted, may_wait=not msgflg & MSGRCV.NOWAIT)
    text = message.text[:msgsz]
    task.memory.write_word(msgp, message.type)  # as on Linux, a message for a bad address is lost
    task.memory.write(msgp + _TYPE_SIZE, text)
    return len(text)


@syscall
def msgctl(task: "Task", msqid: Int, cmd: Int, buf: Addr) -> int:
    queues = task.namespaces.ipc.system_v.messages
    if msqid < 0 or cmd < 0:
        raise LinuxError(Errno.EINVAL)
    if cmd in (MSG_CMD.INFO, MSG_CMD.INFO_USED):
        task.memory.put(buf, queues.info(of_used=cmd == MSG_CMD.INFO_USED))
        return queues.objects.highest_index
    if cmd in _STAT:
        return _stat(task, msqid, cmd, buf)
    if cmd == MSG_CMD.SET:
        wanted = task.memory.get(MsqidDs, buf)
        _owned(task, msqid).change(wanted, task.credentials, queues.limits.msgmnb)
        return 0
    if cmd == MSG_CMD.RMID:
        queues.remove(_owned(task, msqid))
        return 0
    raise LinuxError(Errno.EINVAL)


def _owned(task: "Task", msqid: int) -> MessageQueue:
    queue = task.namespaces.ipc.system_v.messages.objects.find(msqid)
    queue.require_owner(task.credentials)
    return queue


def _stat(task: "Task", number: int, cmd: int, address: int) -> int:
    objects = task.namespaces.ipc.system_v.messages.objects
    queue = objects.find(number) if cmd == MSG_CMD.STAT else objects.find_index(number)
    if cmd != MSG_CMD.STAT_ANY:
        queue.require(READ, task.credentials)
    task.memory.put(address, queue.status())
    return 0 if cmd == MSG_CMD.STAT else queue.id
