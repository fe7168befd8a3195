"""Signals that are read: signalfd(2)."""

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.signal import SFD, SIGSET_SIZE
from aionoah.fs.signalfd import SignalFile
from aionoah.process.task import Task
from aionoah.syscalls.arguments import Addr, Fd, Size
from aionoah.syscalls.registry import syscall


@syscall
def signalfd(task: Task, fd: Fd, mask: Addr, size: Size) -> int:
    return signalfd4(task, fd, mask, size, SFD(0))


@syscall
def signalfd4(task: Task, fd: Fd, mask: Addr, size: Size, flags: SFD) -> int:
    if size != SIGSET_SIZE:
        raise LinuxError(Errno.EINVAL)
    signals = task.memory.read_word(mask)
    if flags.outside(SFD.CLOEXEC | SFD.NONBLOCK):
        raise LinuxError(Errno.EINVAL)
    if fd == -1:
        file = SignalFile(signals, O(O.RDWR | (flags & O.NONBLOCK)))
        return task.files.add(file, cloexec=SFD.CLOEXEC in flags)

    known = task.files[fd]
    if not isinstance(known, SignalFile):
        raise LinuxError(Errno.EINVAL)
    known.set_signals(signals)
    return fd
