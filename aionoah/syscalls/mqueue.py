"""POSIX message queues: mq_open(2), mq_timedsend(2), mq_timedreceive(2), mq_notify(2), mq_getsetattr(2),
mq_unlink(2); Linux ipc/mqueue.c.
"""

from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.mqueue import MQ_PRIO_MAX, NOTIFY, NOTIFY_COOKIE_LEN, MqAttr
from aionoah.abi.siginfo import SI, Sigevent, SigInfoQueue
from aionoah.abi.signal import SIG, SIGEV
from aionoah.abi.time import Timespec
from aionoah.clocks.duration import nanoseconds
from aionoah.fs.file import WouldBlock
from aionoah.fs.mqueue import QueueFile, Size
from aionoah.process.futex import Deadline
from aionoah.process.ipc.posix_queue import Message
from aionoah.signals.generate import send_to_process
from aionoah.syscalls.arguments import Addr, Fd, In, Mode, Path, Ptr, UInt
from aionoah.syscalls.arguments import Size as ByteCount
from aionoah.syscalls.registry import syscall

if TYPE_CHECKING:
    from aionoah.net.netlink.socket import NetlinkSocket
    from aionoah.process.task import Process, Task

_OPEN_FLAGS: Final = O.ACCMODE | O.CREAT | O.EXCL | O.NONBLOCK


@syscall
def mq_open(task: "Task", name: Path, oflag: O, mode: Mode, attr: In[MqAttr]) -> int:
    size = None
    if attr:
        wanted = task.memory.get(MqAttr, attr)
        size = Size(wanted.mq_maxmsg, wanted.mq_msgsize)
    if not name:
        raise LinuxError(Errno.ENOENT)
    with task.files.reserve() as (fd,):
        queues = task.namespaces.ipc.message_queues
        file = queues.open(task.fs, name, O(oflag & _OPEN_FLAGS), mode, size)
        task.files.install(fd, file, cloexec=True)  # always
    return fd


@syscall
def mq_unlink(task: "Task", name: Path) -> None:
    if not name:
        raise LinuxError(Errno.ENOENT)
    task.namespaces.ipc.message_queues.unlink(task.fs, name)


def _queue_file(task: "Task", fd: int) -> QueueFile:
    """EBADF for anything but a queue."""
    file = task.files[fd]
    if not isinstance(file, QueueFile):
        raise LinuxError(Errno.EBADF)
    return file


def _deadline(task: "Task", address: int) -> Deadline | None:
    """A time of CLOCK_REALTIME; None for no address. EFAULT, EINVAL."""
    if not address:
        return None
    return Deadline(nanoseconds(task.memory.get(Timespec, address)), is_realtime=True)


@syscall
async def mq_timedsend(
    task: "Task", mqdes: Fd, msg: Addr, length: ByteCount, priority: UInt, limit: In[Timespec]
) -> None:
    deadline = _deadline(task, limit)
    if priority >= MQ_PRIO_MAX:
        raise LinuxError(Errno.EINVAL)
    file = _queue_file(task, mqdes)
    if not file.is_writable:
        raise LinuxError(Errno.EBADF)
    if length > file.queue.max_size:
        raise LinuxError(Errno.EMSGSIZE)
    message = Message(priority, task.memory.read(msg, length))
    try:
        file.queue.send_nowait(task, message)
    except WouldBlock:
        if file.is_nonblocking:
            raise LinuxError(Errno.EAGAIN) from None
        file.hold()
        try:
            await file.queue.send(task, message, deadline)
        finally:
            file.drop()
    file.queue_inode.touched()


@syscall
async def mq_timedreceive(
    task: "Task", mqdes: Fd, msg: Addr, length: ByteCount, priority: Addr, limit: In[Timespec]
) -> int:
    deadline = _deadline(task, limit)
    file = _queue_file(task, mqdes)
    if not file.is_readable:
        raise LinuxError(Errno.EBADF)
    if length < file.queue.max_size:
        raise LinuxError(Errno.EMSGSIZE)
    try:
        message = file.queue.receive_nowait()
    except WouldBlock:
        if file.is_nonblocking:
            raise LinuxError(Errno.EAGAIN) from None
        file.hold()
        try:
            message = await file.queue.receive(task, deadline)
        finally:
            file.drop()
    file.queue_inode.touched()
    if priority:
        task.memory.write_word(priority, message.priority, 4)  # a message for a bad address is lost
    task.memory.write(msg, message.text)
    return len(message.text)


@syscall
def mq_getsetattr(task: "Task", mqdes: Fd, new: In[MqAttr], old: Ptr[MqAttr]) -> None:
    wanted = task.memory.get(MqAttr, new) if new else None
    if wanted is not None and wanted.mq_flags & ~O.NONBLOCK:
        raise LinuxError(Errno.EINVAL)
    file = _queue_file(task, mqdes)
    queue, flags = file.queue, file.flags & O.NONBLOCK
    if wanted is not None:
        file.flags = O(file.flags & ~O.NONBLOCK | wanted.mq_flags)
    if old:
        task.memory.put(old, MqAttr(flags, queue.max_messages, queue.max_size, len(queue)))


# -- notification ---------------------------------------------------------------------------------------------


@syscall
def mq_notify(task: "Task", mqdes: Fd, sevp: In[Sigevent]) -> None:
    event = task.memory.get(Sigevent, sevp) if sevp else None
    notification = _notification(task, event) if event is not None else None
    try:
        file = _queue_file(task, mqdes)
        if notification is None:
            file.queue.forget_notification(task.process)
            return
        file.queue.notify(notification)
    except LinuxError:
        if notification is not None:
            notification.discard()
        raise
    table, queue, process = task.files, file.queue, task.process

    def left(closing: object) -> None:
        """Who closes any descriptor of the queue wants no notification any more."""
        if closing is table:
            queue.forget_notification(process)

    file.when_left = left
    file.queue_inode.touched()


def _notification(task: "Task", event: Sigevent) -> "_Silence":
    """What the event asks for. EINVAL, EFAULT, EBADF, ENOTSOCK."""
    kind, signal = event.sigev_notify, event.sigev_signo
    if kind == SIGEV.NONE:
        return _Silence(task.process)
    if kind == SIGEV.SIGNAL:
        if not 0 <= signal <= SIG.RTMAX:
            raise LinuxError(Errno.EINVAL)
        return _Signal(task.process, signal, event.sigev_value)
    if kind != SIGEV.THREAD:
        raise LinuxError(Errno.EINVAL)
    cookie = task.memory.read(event.sigev_value, NOTIFY_COOKIE_LEN)
    return _Cookie(task.process, _netlink_socket(task, signal), cookie)


def _netlink_socket(task: "Task", fd: int) -> "NetlinkSocket":
    from aionoah.net.netlink.socket import NetlinkSocket  # noqa: PLC0415 - only SIGEV_THREAD wants one
    from aionoah.net.socket import Socket  # noqa: PLC0415

    file = task.files[fd]
    if not isinstance(file, Socket):
        raise LinuxError(Errno.ENOTSOCK)
    if not isinstance(file, NetlinkSocket):
        raise LinuxError(Errno.EINVAL)
    return file


class _Silence:
    """SIGEV_NONE: nobody is told, but nobody else can register either."""

    kind: int = SIGEV.NONE
    signal: int = 0

    def __init__(self, owner: "Process") -> None:
        self.owner = owner

    def send(self, sender: "Task") -> None:
        """Say nothing."""

    def cancel(self) -> None:
        """Nothing was promised."""

    def discard(self) -> None:
        """It never was registered."""


class _Signal(_Silence):
    """SIGEV_SIGNAL."""

    kind = SIGEV.SIGNAL

    def __init__(self, owner: "Process", signal: int, value: int) -> None:
        super().__init__(owner)
        self.signal = signal
        self._value = value

    def send(self, sender: "Task") -> None:
        if self.signal and self.owner.tasks:
            uid, pid = sender.credentials.uid, sender.process.pid
            send_to_process(self.owner, SigInfoQueue(self.signal, 0, SI.MESGQ, pid, uid, self._value))


class _Cookie(_Silence):
    """SIGEV_THREAD: the C library reads a cookie from a netlink socket and starts the thread."""

    kind = SIGEV.THREAD

    def __init__(self, owner: "Process", socket: "NetlinkSocket", cookie: bytes) -> None:
        super().__init__(owner)
        self._socket = socket
        self._cookie = cookie
        socket.hold()

    def send(self, sender: "Task") -> None:  # noqa: ARG002
        self._deliver(NOTIFY.WOKENUP)

    def cancel(self) -> None:
        self._deliver(NOTIFY.REMOVED)

    def discard(self) -> None:
        self._socket.drop()

    def _deliver(self, what: int) -> None:
        self._socket.deliver(self._cookie[:-1] + bytes([what]))
        self._socket.drop()
