"""Locks on files: flock(2), the record locks of fcntl(2) and those of open file descriptions.

They hold between the programs of this kernel; the host's programs neither see them nor are seen. A lock
belongs to an inode and has an owner, any object: the descriptor table for a record lock of fcntl, the
File for the other two kinds. Source: Linux fs/locks.c.
"""

from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

from aionoah.abi.errno import LinuxError
from aionoah.fs.file import File, WouldBlock
from aionoah.fs.inode import FileSystem, Inode
from aionoah.host.waiting import WaitQueue

LAST: Final = (1 << 63) - 1  # the position of the last byte that a file can have


class RecordLock(NamedTuple):
    """A lock of the bytes from `start` to `end` inclusive."""

    owner: object
    is_exclusive: bool
    start: int
    end: int
    pid: int  # who F_GETLK names; -1 for a lock of an open file description

    def overlaps(self, start: int, end: int) -> bool:
        return self.start <= end and start <= self.end


class InodeLocks:
    """All locks of one inode."""

    def __init__(self) -> None:
        self.changed = WaitQueue()  # woken when a lock is given back
        self._records: list[RecordLock] = []  # an owner's ones never overlap
        self._whole: dict[object, bool] = {}  # flock: owner -> is it exclusive

    @property
    def is_empty(self) -> bool:
        return not self._records and not self._whole

    def conflict(self, owner: object, start: int, end: int, *, exclusive: bool) -> RecordLock | None:
        """The first lock of somebody else that forbids this one."""
        for lock in self._records:
            if lock.owner is not owner and (exclusive or lock.is_exclusive) and lock.overlaps(start, end):
                return lock
        return None

    def own(self, owner: object, start: int, end: int) -> RecordLock | None:
        """The first lock of the owner itself on these bytes."""
        for lock in self._records:
            if lock.owner is owner and lock.overlaps(start, end):
                return lock
        return None

    def lock_record(self, wanted: RecordLock) -> None:
        """Take a record lock, in place of what the owner has on these bytes. WouldBlock."""
        if self.conflict(wanted.owner, wanted.start, wanted.end, exclusive=wanted.is_exclusive):
            raise WouldBlock
        kept = self._without(wanted.owner, wanted.start, wanted.end)
        same = [lock for lock in kept if lock[:2] == wanted[:2]]
        for lock in same:  # neighbours of the same kind become one
            if lock.end + 1 == wanted.start or wanted.end + 1 == lock.start:
                kept.remove(lock)
                wanted = wanted._replace(start=min(lock.start, wanted.start), end=max(lock.end, wanted.end))
        self._records = sorted([*kept, wanted], key=lambda lock: lock.start)
        self.changed.wake()  # it may be weaker than what was there before

    def unlock_record(self, owner: object, start: int, end: int) -> None:
        self._records = self._without(owner, start, end)
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

    def lock_whole(self, owner: object, *, exclusive: bool) -> None:
        """flock: a lock of the other kind is given up first, so that a conversion can lose it. WouldBlock."""
        if self._whole.get(owner) is exclusive:
            return
        if self._whole.pop(owner, None) is not None:
            self.changed.wake()
        if self._whole and (exclusive or any(self._whole.values())):
            raise WouldBlock
        self._whole[owner] = exclusive

    def unlock_whole(self, owner: object) -> None:
        if self._whole.pop(owner, None) is not None:
            self.changed.wake()

    def forget(self, owner: object) -> None:
        """Give back everything that an owner has."""
        self.unlock_whole(owner)
        self.unlock_record(owner, 0, LAST)


_locks: WeakKeyDictionary[FileSystem, dict[int, InodeLocks]] = WeakKeyDictionary()
"""By file system and inode number: a file system may make its inode objects anew at each lookup."""


def locks_of(inode: Inode) -> InodeLocks:
    """The locks of an inode, to lock or to look at."""
    return _locks.setdefault(inode.filesystem, {}).setdefault(inode.attributes().ino, InodeLocks())


def forget_locks(file: File) -> None:
    """An open file description ends, and with it what it has locked."""
    _forget(file, file)


def forget_record_locks(owner: object, file: File) -> None:
    """A process closes any descriptor of a file: all its record locks there end (fcntl(2))."""
    _forget(owner, file)


def _forget(owner: object, file: File) -> None:
    try:
        by_number = _locks.get(file.inode.filesystem)
    except LinuxError:
        return  # a file without an inode cannot be locked
    if not by_number:
        return
    number = file.attributes().ino
    locks = by_number.get(number)
    if locks is not None:
        locks.forget(owner)
        if locks.is_empty and not locks.changed:
            del by_number[number]
