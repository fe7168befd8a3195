"""Leases: who has one is told, and given time, before somebody else opens or truncates the file (fcntl(2)).

A lease belongs to an open file and ends with it. Whoever is in its way sleeps before he has changed anything, and
begins his call anew when nobody is in his way any more (host/application.py). What the host's programs do to a
file of the host is not seen. Source: Linux fs/locks.c (__break_lease, generic_add_lease).
"""

from collections.abc import Callable, Collection, Hashable, Iterator
from time import monotonic_ns
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import LCK, O
from aionoah.abi.time import NSEC_PER_SEC
from aionoah.fs.file import File
from aionoah.fs.inode import Inode
from aionoah.host.application import Answer, NotYet
from aionoah.process.current import find_current_task

if TYPE_CHECKING:
    from aionoah.fs.lease_limits import LeaseLimits


class Holder(NamedTuple):
    """On whose behalf a lease is, or waits for one to end."""

    pid: int
    instance: object  # the Linux instance that `pid` is a process of
    limits: "LeaseLimits"


class Lease:
    """What one open file has; LCK.RDLCK against writers, LCK.WRLCK against everybody."""

    def __init__(self, where: "InodeLeases", file: File, kind: int, holder: Holder) -> None:
        self._where = where
        self.file = file
        self.kind = kind
        self.holder = holder
        self.tell: Callable[[], None] | None = None  # how the holder learns of an opener
        self.ends_at_ns: int | None = None  # of time.monotonic_ns()
        self.weakens_at_ns: int | None = None
        self._shall_end = False
        self._shall_weaken = False

    @property
    def is_breaking(self) -> bool:
        return self._shall_end or self._shall_weaken

    @property
    def shall_end(self) -> bool:
        return self._shall_end

    @property
    def target(self) -> int:
        """What it has to become, and F_GETLEASE says that it is (target_leasetype)."""
        if self._shall_end:
            return LCK.UNLCK
        return LCK.RDLCK if self._shall_weaken else self.kind

    def is_in_the_way(self, wanted: int) -> bool:
        return LCK.WRLCK in (self.kind, wanted)

    def ask_for(self, wanted: int) -> None:
        """Somebody wants to open the file for reading (LCK.RDLCK) or writing: once tell the holder what to do."""
        if self._shall_end or (self._shall_weaken and wanted == LCK.RDLCK):
            return
        seconds = self.holder.limits.break_time
        end_ns = monotonic_ns() + seconds * NSEC_PER_SEC if seconds else None
        if wanted == LCK.WRLCK:
            self._shall_end, self.ends_at_ns = True, end_ns
        else:
            self._shall_weaken, self.weakens_at_ns = True, end_ns
        if self.tell is not None:
            self.tell()

    def become(self, kind: int) -> None:
        """The holder changes it, or has been too slow to. (lease_modify)"""
        if kind == LCK.UNLCK:
            self._where.remove(self)
            self.file.signal_owner = None
            return
        self.kind = kind
        if kind == LCK.RDLCK:
            self._shall_weaken, self.weakens_at_ns = False, None
        self._where.go_on()

    def end_if_late(self) -> None:
        now_ns = monotonic_ns()
        if self.weakens_at_ns is not None and now_ns >= self.weakens_at_ns:
            self.become(LCK.RDLCK)
        if self.ends_at_ns is not None and now_ns >= self.ends_at_ns:
            self.become(LCK.UNLCK)

    # -- as a dependent of the file ---------------------------------------------------------------------

    def file_released(self) -> None:
        self._where.remove(self)

    def source_will_change(self) -> None:
        """Nobody waits for a regular file."""

    def source_has_changed(self) -> None:
        """Nobody waits for a regular file."""


class Opener(Answer):
    """A call that waits until no lease is in its way, or until a holder's time is over."""

    __slots__ = ("task", "wanted")

    def __init__(self, where: "InodeLeases", wanted: int) -> None:
        super().__init__()
        self.wanted = wanted  # LCK.RDLCK or LCK.WRLCK
        self.task = find_current_task()
        self.deadline_ns = where.next_deadline_ns(wanted)
        self.stop = lambda: where.openers.pop(self, None)


class InodeLeases:
    """All leases of one inode, the oldest first, and who waits for them to end."""

    def __init__(self, inode: Inode) -> None:
        attributes = inode.attributes()
        self._key = inode.key
        self.device = attributes.dev
        self.ino = attributes.ino
        self.leases: list[Lease] = []
        self.openers: dict[Opener, None] = {}

    def __iter__(self) -> Iterator[Lease]:
        return iter(self.leases)

    def of(self, file: File) -> Lease | None:
        return next((lease for lease in self.leases if lease.file is file), None)

    def in_the_way(self, wanted: int) -> list[Lease]:
        return [lease for lease in self.leases if lease.is_in_the_way(wanted)]

    def next_deadline_ns(self, wanted: int) -> int | None:
        times = (
            each for lease in self.in_the_way(wanted) for each in (lease.ends_at_ns, lease.weakens_at_ns)
        )
        return min((each for each in times if each is not None), default=None)

    def tidy(self) -> None:
        """What holders have had time for is over; so is the sleep of openers who wanted to see that."""
        for lease in list(self.leases):
            lease.end_if_late()
        for opener in [each for each in self.openers if each.is_there]:
            del self.openers[opener]

    def add(self, lease: Lease) -> None:
        self.leases.append(lease)
        LEASES[self._key] = self
        file = lease.file
        if file.dependents is None:
            file.dependents = {}
        file.dependents[lease] = None

    def remove(self, lease: Lease) -> None:
        self.leases.remove(lease)
        if lease.file.dependents is not None:
            lease.file.dependents.pop(lease, None)
        if not self.leases:
            del LEASES[self._key]
        self.go_on()

    def go_on(self) -> None:
        """Leases have changed: whoever has none in his way any more is woken."""
        for opener in list(self.openers):
            if not self.in_the_way(opener.wanted):
                del self.openers[opener]
                opener.give(None, None)


LEASES: Final[dict[Hashable, InodeLeases]] = {}
"""By Inode.key: those that have leases. Who opens looks whether it is empty, and need not call anything then."""


def ask_holders(inode: Inode, flags: int) -> None:
    """To be called before a file is opened with flags of O, or truncated by its path (O_WRONLY). NotYet while leases are
    in the way; EAGAIN with O_NONBLOCK.
    """
    where = LEASES.get(inode.key)
    if where is None:
        return
    wanted = LCK.WRLCK if flags & O.ACCMODE else LCK.RDLCK
    where.tidy()
    for lease in where.in_the_way(wanted):
        lease.ask_for(wanted)
    if not where.in_the_way(wanted):
        return
    if flags & O.NONBLOCK:
        raise LinuxError(Errno.EAGAIN)

    def begin() -> Opener:
        opener = Opener(where, wanted)
        where.openers[opener] = None
        return opener

    raise NotYet(object(), begin)


def lease_of(file: File) -> Lease | None:
    """What an open file has."""
    where = LEASES.get(file.inode.key)
    if where is None:
        return None
    where.tidy()
    return where.of(file)


def set_lease(file: File, kind: int, others: Collection[File | None], holder: Holder) -> Lease:
    """Give an open regular file a lease, or change the one it has; LCK.RDLCK or LCK.WRLCK. EAGAIN, EINVAL.

    `others`: all that is open of the same file besides; None for what is not known to be open for reading only.
    """
    where = LEASES.get(file.inode.key) or InodeLeases(file.inode)
    where.tidy()
    _require_no_conflict(where, file, kind, others)
    own = where.of(file)
    for lease in where:
        if lease is not own and (kind == LCK.WRLCK or lease.shall_end):
            raise LinuxError(Errno.EAGAIN)
    if own is None:
        if not holder.limits.are_enabled:
            raise LinuxError(Errno.EINVAL)
        own = Lease(where, file, kind, holder)
        where.add(own)
    else:
        own.become(kind)
    return own


def _require_no_conflict(where: InodeLeases, file: File, kind: int, others: Collection[File | None]) -> None:
    """A read lease is for files that nobody writes, a write lease for those that nobody else has open
    (check_conflicting_open). Openers who wait count as if they had opened.
    """
    is_written = file.is_writable or any(each is None or each.is_writable for each in others)
    if kind == LCK.RDLCK:
        conflict = is_written or any(opener.wanted == LCK.WRLCK for opener in where.openers)
    else:
        conflict = bool(where.openers) or any(each is None or _counts(each) for each in others)
    if conflict:
        raise LinuxError(Errno.EAGAIN)


def _counts(file: File) -> bool:
    """Mode 3, which allows neither reading nor writing, is in nobody's way."""
    return file.is_readable or file.is_writable
