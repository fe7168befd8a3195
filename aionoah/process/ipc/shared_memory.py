"""System V shared memory (shmget(2), shmop(2), shmctl(2); Linux ipc/shm.c).

A segment is an inode of a file in memory that has no name; each shmat opens a file of it, which the areas of
memory that show it hold. So whatever happens to mappings, fork, a split, the end of a process, is counted.
"""

from functools import cache
from typing import TYPE_CHECKING, Final

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.ipc import SHM, ShmidDs, ShmInfo, Shminfo
from aionoah.abi.resource import RLIMIT
from aionoah.abi.stat import S
from aionoah.fs.file import File
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.fs.tmpfs_inode import TmpFile, TmpRegular
from aionoah.host import facts
from aionoah.process.current import find_current_task
from aionoah.process.ipc.ids import IpcObject, IpcTable, now

if TYPE_CHECKING:
    from aionoah.fs.inode import Attributes, Inode
    from aionoah.process.credentials import Credentials
    from aionoah.process.ipc.limits import IpcLimits
    from aionoah.process.limits import Limits
    from aionoah.process.task import Task

_DEVICE: Final = 1  # 00:01, of the kernel's own mount of shmem
_MODE: Final = S.IRWXUGO
_LARGEST: Final = (1 << 63) - 1  # a file: MAX_LFS_FILESIZE


@cache
def _all_memory() -> int:
    """Bytes of the machine, which do not change; asking the host takes longer than all else here."""
    return facts.memory().total


class Segment(IpcObject):
    """One segment. It lives until it is marked to be removed and no memory shows it."""

    def __init__(
        self, table: "SharedMemory", key: int, mode: int, size: int, credentials: "Credentials", pid: int
    ) -> None:
        """`size` in bytes."""
        super().__init__(key, mode & _MODE, credentials)
        self.size = size
        self.attached = self.detached = 0
        self.creator = pid
        self.last_pid = 0
        self.attachments = 0
        self._table = table
        self._name = b"/SYSV%08x (deleted)" % (key & 0xFFFF_FFFF)
        self._inode = TmpRegular(table.filesystem, mode & _MODE, credentials.euid, credentials.egid)
        self._inode.nlink = 0
        self._inode.truncate(size)

    @property
    def pages(self) -> int:
        return -(-self.size // PAGE_SIZE)

    @property
    def resident_pages(self) -> int:
        return self._inode.contents.measured_pages()

    @property
    def name(self) -> bytes:
        """As /proc/PID/maps shows it."""
        return self._name

    def open(self, flags: int) -> "SegmentFile":
        """A file for one attachment. `SegmentFile.mapped` gives it back once it is mapped."""
        return SegmentFile(O(flags | O.LARGEFILE), self, self._inode)

    def release(self) -> None:
        """Whoever opened it is done; it was no attachment."""
        self.attachments -= 1
        self._destroy_unused()

    def shown(self, pid: int) -> None:
        """One more area of memory shows it."""
        self.attachments += 1
        self.attached, self.last_pid = now(), pid

    def hidden(self, pid: int) -> None:
        """One less does. The last one takes a segment with it that is marked to be removed."""
        self.attachments -= 1
        self.detached, self.last_pid = now(), pid
        self._destroy_unused()

    def remove(self) -> None:
        """IPC_RMID: at once, or when nobody shows it any more."""
        self.mode |= SHM.DEST
        self._table.objects.hide(self)
        self._destroy_unused()

    def _destroy_unused(self) -> None:
        if not self.attachments and self.mode & SHM.DEST and not self.is_removed:
            self._table.forget(self)

    def status(self) -> ShmidDs:
        return ShmidDs(
            self.permissions(),
            self.size,
            self.attached,
            self.detached,
            self.changed,
            self.creator,
            self.last_pid,
            self.attachments,
        )


class SegmentFile(TmpFile):
    """A file of one attachment: as many references as areas of memory show it."""

    def __init__(self, flags: O, segment: Segment, inode: TmpRegular) -> None:
        super().__init__(flags, None, inode)
        self.segment = segment
        segment.attachments += 1  # so that it stays until it is mapped

    @property
    def inode(self) -> "Inode":
        return self._inode

    def attributes(self) -> "Attributes":
        return self._inode.attributes()._replace(dev=_DEVICE, ino=self.segment.id)

    def describe(self) -> bytes:
        return self.segment.name

    def hold(self) -> File:
        self.segment.shown(_current_pid(self.segment))
        return super().hold()

    def drop(self) -> None:
        super().drop()
        self.segment.hidden(_current_pid(self.segment))

    def mapped(self) -> None:
        """Whoever opened it needs it no more: the mapping, if there is one, keeps it."""
        super().drop()
        self.segment.release()


def _current_pid(segment: Segment) -> int:
    task = find_current_task()
    return task.process.pid if task is not None else segment.last_pid


class SharedMemory:
    """All segments."""

    def __init__(self, limits: "IpcLimits") -> None:
        self.objects: IpcTable[Segment] = IpcTable()
        self.pages = 0
        self.filesystem = TmpFileSystem(limit=_all_memory())  # has the inodes; mounted nowhere
        self._limits = limits

    def release(self) -> None:
        """The end of the instance, when nobody shows any."""
        for segment in list(self.objects):
            segment.remove()

    def get(self, key: int, size: int, flags: int, task: "Task") -> Segment:
        """shmget(2). ENOENT, EEXIST, EACCES, EINVAL, ENOSPC, ENOMEM."""

        def check(found: Segment) -> None:
            if size > found.size:
                raise LinuxError(Errno.EINVAL)

        return self.objects.get(
            key, flags, task.credentials, lambda: self._make(key, size, flags, task), check
        )

    def _make(self, key: int, size: int, flags: int, task: "Task") -> Segment:
        limits, pages = self._limits, -(-size // PAGE_SIZE)
        if not 1 <= size <= limits.shmmax:
            raise LinuxError(Errno.EINVAL)
        if size + PAGE_SIZE > 1 << 64 or self.pages + pages > limits.shmall:
            raise LinuxError(Errno.ENOSPC)
        if size > _LARGEST:
            raise LinuxError(Errno.EINVAL)
        if flags & SHM.HUGETLB:  # none are set aside
            raise LinuxError(Errno.ENOMEM)
        if not flags & SHM.NORESERVE and size > _all_memory():
            raise LinuxError(Errno.ENOMEM)
        made = Segment(self, key, flags, size, task.credentials, task.process.pid)
        self.objects.add(made, limits.shmmni)
        self.pages += pages
        return made

    def forget(self, segment: Segment) -> None:
        """The end of a segment that nobody shows."""
        self.objects.remove(segment)
        self.pages -= segment.pages

    def lock(self, segment: Segment, task: "Task", *, is_locked: bool) -> None:
        """SHM_LOCK, SHM_UNLOCK: only noted. EPERM, ENOMEM."""
        who = task.credentials
        if not who.has_capability(CAP.IPC_LOCK):
            if who.euid not in (segment.uid, segment.cuid):
                raise LinuxError(Errno.EPERM)
            if is_locked:
                self._require_lockable(segment, task.process.limits)
        segment.mode = segment.mode | SHM.LOCKED if is_locked else segment.mode & ~SHM.LOCKED

    def _require_lockable(self, segment: Segment, limits: "Limits") -> None:
        limit = limits.soft(RLIMIT.MEMLOCK)
        if not limit:
            raise LinuxError(Errno.EPERM)
        locked = sum(one.pages for one in self.objects if one.mode & SHM.LOCKED and one is not segment)
        if (locked + segment.pages) * PAGE_SIZE > limit:
            raise LinuxError(Errno.ENOMEM)

    def info(self) -> Shminfo:
        limits = self._limits
        return Shminfo(limits.shmmax, 1, limits.shmmni, limits.shmmni, limits.shmall)

    def used(self) -> ShmInfo:
        resident = sum(segment.resident_pages for segment in self.objects)
        return ShmInfo(len(self.objects), self.pages, resident, 0, 0, 0)

    def leave(self, task: "Task") -> None:
        """The last thread of a process ends: its parent is to see no more of its attachments, though the memory
        itself goes later, with the last virtual CPU.
        """
        memory = task.memory
        if not len(self.objects) or any(other.memory is memory for other in task.kernel.tasks.values()):
            return
        for start, end, _, file in list(memory.files(0)):
            if isinstance(file, SegmentFile):
                memory.munmap(start, end - start)
