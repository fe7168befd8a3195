"""Locks on files: flock(2), the record locks of fcntl(2) and those of open file descriptions.

A lock belongs to an inode and has an owner, any object: the descriptor table for a record lock of fcntl, the File
for the other two kinds. On files of the host each is also the host's (host_locks.py). Source: Linux fs/locks.c.
"""

from collections.abc import Hashable, Iterator
from typing import Final, NamedTuple

from aionoah.abi.errno import LinuxError
from aionoah.fs import host_locks
from aionoah.fs.file import File, WouldBlock
from aionoah.fs.host_locks import Holder, HostConflict, Mirror, mirror_of
from aionoah.fs.inode import Inode
from aionoah.host.waiting import WaitQueue

__all__ = [
    "LAST",
    "HostConflict",
    "InodeLocks",
    "RecordLock",
    "WholeLock",
    "all_locks",
    "find_locks",
    "forget_locks",
    "forget_record_locks",
    "is_deadlock",
    "locks_of",
]

LAST: Final = (1 << 63) - 1  # the position of the last byte that a file can have
_MANY: Final = 4096  # inodes, before those without locks are looked for


class RecordLock(NamedTuple):
    """A lock of the bytes from `start` to `end` inclusive."""

    owner: object
    is_exclusive: bool
    start: int
    end: int
    pid: int  # who F_GETLK names; -1 for a lock of an open file description
    instance: object = None  # the Linux instance that `pid` is a process of

    def overlaps(self, start: int, end: int) -> bool:
        return self.start <= end and start <= self.end

    @property
    def is_description(self) -> bool:
        return self.pid < 0


class WholeLock(NamedTuple):
    """What flock locks."""

    is_exclusive: bool
    pid: int = 0
    instance: object = None
    host_fd: int | None = None  # by which the host has locked it too


class InodeLocks:
    """All locks of one inode."""

    def __init__(self, device: int = 0, ino: int = 0) -> None:
        self.device = device
        self.ino = ino
        self.changed = WaitQueue()  # woken when a lock is given back
        self.waiting: dict[object, RecordLock | WholeLock] = {}  # by the call that sleeps
        self._records: list[RecordLock] = []  # an owner's ones never overlap
        self._whole: dict[object, WholeLock] = {}  # by owner
        self._mirrors: dict[object, Mirror] = {}  # by owner

    @property
    def is_empty(self) -> bool:
        return not self._records and not self._whole

    @property
    def is_used(self) -> bool:
        """Whether anybody has, or waits for, a lock."""
        return not self.is_empty or bool(self.changed) or bool(self.waiting)

    def __iter__(self) -> Iterator[RecordLock | WholeLock]:
        """Everything that is locked."""
        yield from self._whole.values()
        yield from self._records

    # -- record locks -------------------------------------------------------------------------------------

    def conflict(self, owner: object, start: int, end: int, *, exclusive: bool) -> RecordLock | None:
        """The first lock of somebody else that forbids this one."""
        return next(self._conflicts(owner, start, end, exclusive=exclusive), None)

    def _conflicts(self, owner: object, start: int, end: int, *, exclusive: bool) -> Iterator[RecordLock]:
        for lock in self._records:
            if lock.owner is not owner and (exclusive or lock.is_exclusive) and lock.overlaps(start, end):
                yield lock

    def blockers(self, wanted: RecordLock) -> Iterator[RecordLock]:
        return self._conflicts(wanted.owner, wanted.start, wanted.end, exclusive=wanted.is_exclusive)

    def host_conflict(self, file: File, wanted: RecordLock) -> Holder | None:
        """A lock of the host's programs that forbids this one. Ask for guests' locks first."""
        known = self._mirrors.get(wanted.owner) or mirror_of(file, of_description=True)
        if known is None:
            return None
        return known.holder(wanted.start, _length(wanted.start, wanted.end), exclusive=wanted.is_exclusive)

    def own(self, owner: object, start: int, end: int) -> RecordLock | None:
        """The first lock of the owner itself on these bytes."""
        for lock in self._records:
            if lock.owner is owner and lock.overlaps(start, end):
                return lock
        return None

    def lock_record(self, wanted: RecordLock, file: File | None = None) -> None:
        """Take a record lock, in place of what the owner has on these bytes. WouldBlock, HostConflict.

        `file`: the open file that it is asked through, for the host to be told.
        """
        if self.conflict(wanted.owner, wanted.start, wanted.end, exclusive=wanted.is_exclusive):
            raise WouldBlock
        if file is not None:
            self._lock_on_host(wanted, file)
        kept = self._without(wanted.owner, wanted.start, wanted.end)
        same = [lock for lock in kept if lock[:2] == wanted[:2]]
        for lock in same:  # neighbours of the same kind become one
            if lock.end + 1 == wanted.start or wanted.end + 1 == lock.start:
                kept.remove(lock)
                wanted = wanted._replace(start=min(lock.start, wanted.start), end=max(lock.end, wanted.end))
        self._records = sorted([*kept, wanted], key=lambda lock: lock.start)
        self.changed.wake()  # it may be weaker than what was there before

    def _lock_on_host(self, wanted: RecordLock, file: File) -> None:
        mirror = self._mirrors.get(wanted.owner) or mirror_of(file, of_description=wanted.is_description)
        if mirror is None:
            return
        self._mirrors[wanted.owner] = mirror
        try:
            length = _length(wanted.start, wanted.end)
            mirror.lock(wanted.start, length, exclusive=wanted.is_exclusive)
        except (WouldBlock, LinuxError):
            self._tidy(wanted.owner)
            raise

    def _tidy(self, owner: object) -> None:
        """An owner without record locks needs none of the host's."""
        if owner in self._mirrors and self.own(owner, 0, LAST) is None:
            self._mirrors.pop(owner).close()

    def unlock_record(self, owner: object, start: int, end: int) -> None:
        self._records = self._without(owner, start, end)
        mirror = self._mirrors.get(owner)
        if mirror is not None:
            mirror.unlock(start, _length(start, end))
            self._tidy(owner)
        self.changed.wake()

    def _without(self, owner: object, start: int, end: int) -> list[RecordLock]:
        """The locks as they are once the owner's ones on these bytes are cut out."""
        kept: list[RecordLock] = []
        for lock in self._records:
            if lock.owner is not owner or not lock.overlaps(start, end):
                kept.append(lock)
                continue
            if lock.start < start:
                kept.append(lock._replace(end=start - 1))
            if end < lock.end:
                kept.append(lock._replace(start=end + 1))
        return kept

    # -- flock --------------------------------------------------------------------------------------------

    def lock_whole(self, owner: object, wanted: WholeLock) -> None:
        """A lock of the other kind is given up first, so that a conversion can lose it. WouldBlock."""
        present = self._whole.get(owner)
        if present is not None and present.is_exclusive is wanted.is_exclusive:
            return
        self._whole.pop(owner, None)
        if present is not None:
            self.changed.wake()
        if self._whole and (wanted.is_exclusive or any(lock.is_exclusive for lock in self._whole.values())):
            if present is not None and present.host_fd is not None:
                host_locks.unlock_whole(present.host_fd)
            raise WouldBlock
        if wanted.host_fd is not None:
            host_locks.lock_whole(wanted.host_fd, exclusive=wanted.is_exclusive)
        self._whole[owner] = wanted

    def whole(self, owner: object) -> WholeLock | None:
        return self._whole.get(owner)

    def unlock_whole(self, owner: object) -> None:
        lock = self._whole.pop(owner, None)
        if lock is not None:
            if lock.host_fd is not None:
                host_locks.unlock_whole(lock.host_fd)
            self.changed.wake()

    def forget(self, owner: object) -> None:
        """Give back everything that an owner has."""
        self.unlock_whole(owner)
        self.unlock_record(owner, 0, LAST)


def _length(start: int, end: int) -> int:
    return 0 if end == LAST else end - start + 1


_locks: Final[dict[Hashable, InodeLocks]] = {}
"""By Inode.key: a file system may make its inode objects anew at each lookup."""


def find_locks(inode: Inode) -> InodeLocks | None:
    """The locks of an inode, if it ever had any."""
    return _locks.get(inode.key)


def locks_of(inode: Inode) -> InodeLocks:
    """The locks of an inode, to lock or to look at."""
    known = find_locks(inode)
    if known is None:
        if len(_locks) >= _MANY:
            _forget_unlocked()
        attributes = inode.attributes()
        known = _locks[inode.key] = InodeLocks(attributes.dev, attributes.ino)
    return known


def _forget_unlocked() -> None:
    """Who only asks, or does not get a lock, leaves an inode without locks behind."""
    for key in [key for key, locks in _locks.items() if not locks.is_used]:
        del _locks[key]


def all_locks() -> list[InodeLocks]:
    return [locks for locks in _locks.values() if locks.is_used]


def is_deadlock(wanted: RecordLock, locks: InodeLocks) -> bool:
    """Whether whoever is in the way waits, maybe through others, for the very owner that would wait now
    (posix_locks_deadlock). Open file descriptions are not told apart by who waits for them, and not looked at.
    """
    seen: set[int] = set()
    pending = [(wanted, locks)]
    while pending:
        lock, where = pending.pop()
        for blocker in where.blockers(lock):
            if blocker.owner is wanted.owner:
                return True
            if id(blocker.owner) not in seen and not blocker.is_description:
                seen.add(id(blocker.owner))
                pending += _waits_of(blocker.owner)
    return False


def _waits_of(owner: object) -> list[tuple[RecordLock, InodeLocks]]:
    return [
        (lock, locks)
        for locks in _locks.values()
        for lock in locks.waiting.values()
        if isinstance(lock, RecordLock) and lock.owner is owner
    ]


def forget_locks(file: File) -> None:
    """An open file description ends, and with it what it has locked."""
    _forget(file, file)


def forget_record_locks(owner: object, file: File) -> None:
    """A process closes any descriptor of a file: all its record locks there end (fcntl(2))."""
    _forget(owner, file)


def _forget(owner: object, file: File) -> None:
    if not _locks:
        return
    try:
        key = file.inode.key
    except LinuxError:
        return  # a file without an inode cannot be locked
    locks = _locks.get(key)
    if locks is not None:
        locks.forget(owner)
        if not locks.is_used:
            del _locks[key]
