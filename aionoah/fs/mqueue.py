"""The file system of POSIX message queues: a directory of queues (mq_overview(7); Linux ipc/mqueue.c).

Queues are there whether it is mounted or not.
"""

from time import time_ns
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import SEEK, O
from aionoah.abi.limits import NAME_MAX
from aionoah.abi.poll import Poll
from aionoah.abi.resource import RLIMIT
from aionoah.abi.stat import DT, S
from aionoah.abi.statfs import MAGIC
from aionoah.abi.uio import RWF
from aionoah.fs.creation import masked, new_owner, require_may_create
from aionoah.fs.device_numbers import anonymous_device
from aionoah.fs.directory import DirectoryFile, FixedDirectory
from aionoah.fs.file import File
from aionoah.fs.inode import NOW, Attributes, Change, FileSystem, FileSystemStatus, Inode, Row
from aionoah.fs.mount import Mount
from aionoah.fs.opening import open_dentry
from aionoah.fs.path import Dentry
from aionoah.fs.regular import MAX_OFFSET
from aionoah.fs.removal import unlink
from aionoah.fs.tmpfs import ENTRY_SIZE
from aionoah.process.current import current_task

if TYPE_CHECKING:
    from aionoah.fs.context import FsContext
    from aionoah.host.waiting import Source
    from aionoah.memory.buffer import Buffer
    from aionoah.process.ipc.posix_queue import PosixQueue

DEVICE: Final = anonymous_device()
_MOST_MESSAGES: Final = 65536  # HARD_MSGMAX: even for the privileged
_MOST_BYTES: Final = 16 << 20  # HARD_MSGSIZEMAX
_HEAD: Final = 48  # what a message and a priority cost beside the text (struct msg_msg, posix_msg_tree_node)
_PRIORITIES: Final = 32768
_STATUS_SIZE: Final = 80


class Size(NamedTuple):
    """How much a queue is to hold."""

    messages: int
    bytes: int  # of each

    @property
    def charge(self) -> int:
        """What counts against RLIMIT_MSGQUEUE."""
        return self.messages * (self.bytes + _HEAD) + min(self.messages, _PRIORITIES) * _HEAD


class QueueLimits:
    """/proc/sys/fs/mqueue."""

    def __init__(self) -> None:
        self.queues_max = 256
        self.msg_max = 10
        self.msgsize_max = 8192
        self.msg_default = 10
        self.msgsize_default = 8192


class QueueFileSystem(FileSystem):
    """All queues of one Linux instance."""

    type_name = b"mqueue"
    device = DEVICE

    def __init__(self) -> None:
        self.limits = QueueLimits()
        self.charged: dict[int, int] = {}  # bytes, by user
        self.root: _Root = _Root(self)
        self._mount = Mount(self)
        self._last_number = 1

    def status(self) -> FileSystemStatus:
        return FileSystemStatus(MAGIC.MQUEUE)

    def new_number(self) -> int:
        self._last_number += 1
        return self._last_number

    def open(self, context: "FsContext", name: bytes, flags: O, mode: int, size: Size | None) -> File:
        """mq_open(2): by name, without a path to it. ENOENT, EEXIST, EACCES, EINVAL, ENOSPC, EMFILE."""
        directory, queue = self._mount.root, self._find(name)
        if queue is None:
            if O.CREAT not in flags:
                raise LinuxError(Errno.ENOENT)
            above = require_may_create(context, directory)
            wanted = masked(context, directory, mode & S.IALLUGO).mode
            mode, uid, gid = new_owner(context, above, S.IFREG | wanted)
            made = self.root.create_queue(name, mode & S.IALLUGO, uid, gid, size)
            return made.open(_status(flags), directory.attach(name, made))
        if O.CREAT | O.EXCL in flags:
            raise LinuxError(Errno.EEXIST)
        if flags & O.ACCMODE == O.ACCMODE:
            raise LinuxError(Errno.EINVAL)
        return open_dentry(context, directory.attach(name, queue), _status(flags))

    def unlink(self, context: "FsContext", name: bytes) -> None:
        """mq_unlink(2). ENOENT, EPERM."""
        if self._find(name) is None:
            raise LinuxError(Errno.ENOENT)
        unlink(context, self._mount.root, name)

    def _find(self, name: bytes) -> "QueueInode | None":
        """EACCES for what cannot be the name of a queue, ENAMETOOLONG."""
        if name in (b".", b"..") or b"/" in name:
            raise LinuxError(Errno.EACCES)
        if len(name) > NAME_MAX:
            raise LinuxError(Errno.ENAMETOOLONG)
        return self.root.queues.get(name) if name else None


def _status(flags: O) -> O:
    """What stays with the open file; F_GETFL shows no O_LARGEFILE."""
    return O(flags & (O.ACCMODE | O.NONBLOCK))


class _Root(FixedDirectory):
    """The directory: anybody may make a queue."""

    filesystem: QueueFileSystem

    def __init__(self, filesystem: QueueFileSystem) -> None:
        self.filesystem = filesystem
        self.queues: dict[bytes, QueueInode] = {}
        self._changed_ns = time_ns()

    @property
    def kind(self) -> int:
        return S.IFDIR

    def attributes(self) -> Attributes:
        size, changed = ENTRY_SIZE * (2 + len(self.queues)), self._changed_ns
        mode = S.IFDIR | S.ISVTX | 0o777
        return Attributes(
            mode, 1, DEVICE, nlink=2, size=size, atime_ns=changed, mtime_ns=changed, ctime_ns=changed
        )

    def lookup(self, name: bytes) -> Inode:
        if name not in self.queues:
            raise LinuxError(Errno.ENOENT)
        return self.queues[name]

    def listing(self) -> list[Row]:
        queues = ((queue.ino, DT.REG, name) for name, queue in self.queues.items())
        return [(1, DT.DIR, b"."), (1, DT.DIR, b".."), *queues]

    def open(self, flags: O, dentry: Dentry) -> File:
        return DirectoryFile(flags, dentry)

    def create(self, name: bytes, mode: int, uid: int, gid: int) -> Inode:
        """open(2) with O_CREAT makes a queue of the usual size."""
        return self.create_queue(name, mode, uid, gid, None)

    def create_queue(self, name: bytes, mode: int, uid: int, gid: int, size: Size | None) -> "QueueInode":
        """EEXIST, ENOSPC, EINVAL, EMFILE."""
        if name in self.queues:
            raise LinuxError(Errno.EEXIST)
        limits, task = self.filesystem.limits, current_task()
        is_privileged = task.credentials.has_capability(CAP.SYS_RESOURCE)
        if len(self.queues) >= limits.queues_max and not is_privileged:
            raise LinuxError(Errno.ENOSPC)
        if size is None:
            messages = min(limits.msg_max, limits.msg_default)
            size = Size(messages, min(limits.msgsize_max, limits.msgsize_default))
        most = (
            Size(_MOST_MESSAGES, _MOST_BYTES) if is_privileged else Size(limits.msg_max, limits.msgsize_max)
        )
        if not (0 < size.messages <= most.messages and 0 < size.bytes <= most.bytes):
            raise LinuxError(Errno.EINVAL)
        user = task.credentials.uid
        charged = self.filesystem.charged.get(user, 0) + size.charge
        if charged > task.process.limits.soft(RLIMIT.MSGQUEUE):
            raise LinuxError(Errno.EMFILE)
        self.filesystem.charged[user] = charged
        made = self.queues[name] = QueueInode(self.filesystem, mode, (uid, gid), size, user)
        self._changed_ns = time_ns()
        return made

    def unlink(self, name: bytes) -> None:
        self.queues.pop(name).unlinked()
        self._changed_ns = time_ns()


class QueueInode(Inode):
    """One queue. It lives until it has neither a name nor an open file."""

    filesystem: QueueFileSystem

    def __init__(
        self, filesystem: QueueFileSystem, mode: int, owner: tuple[int, int], size: Size, user: int
    ) -> None:
        from aionoah.process.ipc.posix_queue import PosixQueue  # noqa: PLC0415 - for those who use queues

        self.filesystem = filesystem
        self.ino = filesystem.new_number()
        self.queue = PosixQueue(size.messages, size.bytes)
        self._mode = mode
        self._owner = owner
        self._charge, self._user = size.charge, user
        self._files = 0
        self._has_name = True
        self._atime_ns = self._mtime_ns = self._ctime_ns = time_ns()

    @property
    def kind(self) -> int:
        return S.IFREG

    def attributes(self) -> Attributes:
        uid, gid = self._owner
        return Attributes(
            S.IFREG | self._mode,
            self.ino,
            DEVICE,
            nlink=int(self._has_name),
            uid=uid,
            gid=gid,
            size=_STATUS_SIZE,
            atime_ns=self._atime_ns,
            mtime_ns=self._mtime_ns,
            ctime_ns=self._ctime_ns,
        )

    def touched(self) -> None:
        """A message has come or gone."""
        self._atime_ns = self._mtime_ns = self._ctime_ns = time_ns()

    def change(self, change: Change) -> None:
        """Mode, owner and times; a size may be set, and nothing comes of it."""
        now = time_ns()
        uid, gid = self._owner
        self._owner = (uid if change.uid is None else change.uid, gid if change.gid is None else change.gid)
        self._mode = self._mode if change.mode is None else change.mode
        if change.atime_ns is not None:
            self._atime_ns = now if change.atime_ns == NOW else change.atime_ns
        if change.mtime_ns is not None:
            self._mtime_ns = now if change.mtime_ns == NOW else change.mtime_ns
        self._ctime_ns = now

    def open(self, flags: O, dentry: Dentry) -> File:
        self._files += 1
        return QueueFile(O(flags & ~O.LARGEFILE), dentry, self)

    def closed(self) -> None:
        self._files -= 1
        self._end()

    def unlinked(self) -> None:
        self._has_name = False
        self._ctime_ns = time_ns()
        self._end()

    def _end(self) -> None:
        if not self._files and not self._has_name:
            self.filesystem.charged[self._user] -= self._charge
            self._charge = 0


class QueueFile(File):
    """A queue descriptor. Reading it tells how the queue is; messages have calls of their own."""

    is_seekable = is_waited_for = True
    read_flags = RWF.HIPRI

    def __init__(self, flags: O, dentry: Dentry, inode: QueueInode) -> None:
        super().__init__(flags, dentry)
        self.queue_inode = inode

    @property
    def queue(self) -> "PosixQueue":
        return self.queue_inode.queue

    def release(self) -> None:
        self.queue_inode.closed()

    def read_nowait(self, dst: "Buffer") -> int:
        done = self.pread(dst, self.offset)
        self.offset += done
        return done

    def pread(self, dst: "Buffer", offset: int) -> int:
        part = self.queue.status()[offset : offset + dst.length]
        return dst.fill(part) if part else 0

    def pwrite(self, src: "Buffer", offset: int) -> int:  # noqa: ARG002
        raise LinuxError(Errno.EINVAL)

    def seek(self, offset: int, whence: int) -> int:
        base = {SEEK.SET: 0, SEEK.CUR: self.offset, SEEK.END: _STATUS_SIZE}.get(SEEK(whence))
        if base is None or not 0 <= base + offset <= MAX_OFFSET:
            raise LinuxError(Errno.EINVAL)
        self.offset = base + offset
        return self.offset

    def poll(self) -> Poll:
        return self.queue.poll()

    def source(self, events: Poll) -> "Source":  # noqa: ARG002
        return self.queue.source()

    def truncate(self, length: int) -> None:
        """Accepted and without effect, so that `echo >file` fails where it writes."""
