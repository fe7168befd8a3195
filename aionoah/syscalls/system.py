"""What a program asks of the whole system: uname(2), sysinfo(2), getrandom(2), sethostname(2), syslog(2);
and what it has used: getrusage(2), times(2).
"""

from typing import Final

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.random import GRND
from aionoah.abi.resource import RUSAGE, Rusage
from aionoah.abi.sysinfo import SI_LOAD_SHIFT, Sysinfo
from aionoah.abi.time import NSEC_PER_SEC, USER_TICK_NS, Tms
from aionoah.abi.utsname import NEW_UTS_LEN, NewUtsname
from aionoah.abi.words import signed
from aionoah.host import facts
from aionoah.memory.buffer import Buffer
from aionoah.process.task import Task
from aionoah.process.usage import usage_of_process, usage_of_thread
from aionoah.syscalls.arguments import Addr, Int, Ptr, Size
from aionoah.syscalls.registry import syscall

_RANDOM_CHUNK: Final = 1 << 16


@syscall
def uname(task: Task, buf: Ptr[NewUtsname]) -> None:
    kernel, names = task.kernel, task.namespaces.uts
    task.memory.put(
        buf,
        NewUtsname(
            sysname=b"Linux",
            nodename=names.hostname,
            release=kernel.release,
            version=kernel.version,
            machine=task.architecture.machine,
            domainname=names.domainname,
        ),
    )


@syscall
def sethostname(task: Task, name: Addr, length: Int) -> None:
    task.namespaces.uts.hostname = _get_name(task, name, length)


@syscall
def setdomainname(task: Task, name: Addr, length: Int) -> None:
    task.namespaces.uts.domainname = _get_name(task, name, length)


def _get_name(task: Task, address: int, length: int) -> bytes:
    task.credentials.require_over(CAP.SYS_ADMIN, task.namespaces.uts.owner)
    if not 0 <= length <= NEW_UTS_LEN:
        raise LinuxError(Errno.EINVAL)
    return task.memory.read(address, length).split(b"\0", 1)[0]


@syscall
def sysinfo(task: Task, info: Ptr[Sysinfo]) -> None:
    memory = facts.memory()
    load1, load5, load15 = (int(load * (1 << SI_LOAD_SHIFT)) for load in facts.load_average())
    task.memory.put(
        info,
        Sysinfo(
            uptime=facts.uptime_ns() // NSEC_PER_SEC,
            load1=load1,
            load5=load5,
            load15=load15,
            totalram=memory.total,
            freeram=memory.free,
            sharedram=0,
            bufferram=memory.buffers,
            totalswap=memory.swap_total,
            freeswap=memory.swap_free,
            procs=min(len(task.kernel.tasks), 0xFFFF),
            totalhigh=0,
            freehigh=0,
            mem_unit=1,
        ),
    )


@syscall
def getrandom(task: Task, buf: Addr, count: Size, flags: GRND) -> int:
    if flags.outside(GRND.NONBLOCK | GRND.RANDOM | GRND.INSECURE):
        raise LinuxError(Errno.EINVAL)
    if GRND.RANDOM | GRND.INSECURE in flags:
        raise LinuxError(Errno.EINVAL)
    return _fill(task, task.memory.writable(buf, count)) if count else 0


def _fill(task: Task, buffer: Buffer) -> int:
    """Fill as much as is accessible; EFAULT if that is nothing."""
    total = 0
    while wanted := min(buffer.length, _RANDOM_CHUNK):
        try:
            filled = buffer.fill(task.kernel.random(wanted))
        except LinuxError:
            if total == 0:
                raise
            break
        total += filled
        buffer.advance(filled)
        if filled < wanted:
            break
    return total


@syscall
def syslog(task: Task, kind: Int, buf: Addr, length: Int) -> None:  # noqa: ARG001 - there is no log
    """As for somebody without CAP_SYSLOG: the kernel's log is not for guests, and it is the host's."""
    raise LinuxError(Errno.EPERM)


# -- usage ----------------------------------------------------------------------------------------------


@syscall(partial="Major faults, disk I/O and messages are not counted.")
def getrusage(task: Task, who: RUSAGE, usage: Ptr[Rusage]) -> None:
    if signed(who) == RUSAGE.SELF:
        found = usage_of_process(task.process)
    elif who == RUSAGE.THREAD:
        found = usage_of_thread(task)
    elif signed(who) == RUSAGE.CHILDREN:
        found = task.process.children_usage
    else:
        raise LinuxError(Errno.EINVAL)
    task.memory.put(usage, found.to_abi())


@syscall
def times(task: Task, buf: Ptr[Tms]) -> int:
    if buf:
        own, children = usage_of_process(task.process), task.process.children_usage
        four = (own.user_time_ns, own.system_time_ns, children.user_time_ns, children.system_time_ns)
        task.memory.put(buf, Tms(*map(_ticks, four)))
    return _ticks(facts.uptime_ns())


def _ticks(time_ns: int) -> int:
    return time_ns // USER_TICK_NS
