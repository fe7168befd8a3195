"""/proc/locks, and the lines about locks and leases in fdinfo (proc_locks(5); Linux fs/locks.c, lock_get_status)."""

from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import LinuxError
from aionoah.abi.fcntl import LCK
from aionoah.abi.stat import major, minor
from aionoah.fs.leases import LEASES, InodeLeases, Lease
from aionoah.fs.locks import LAST, InodeLocks, RecordLock, WholeLock, all_locks, find_locks

if TYPE_CHECKING:
    from aionoah.fs.file import File
    from aionoah.process.kernel import Kernel

_ACCESS: Final[dict[int, bytes]] = {LCK.RDLCK: b"READ ", LCK.WRLCK: b"WRITE", LCK.UNLCK: b"UNLCK"}


def locks(kernel: "Kernel") -> bytes:
    """What processes of this instance have locked; behind each lock, who waits for one of that file."""
    lines: list[bytes] = []
    number = 0
    for where in all_locks():
        held = [lock for lock in where if lock.instance is kernel]
        for lock in held:
            number += 1
            lines.append(b"%d: %s" % (number, _line(where, lock)))
        waiting = [lock for lock in where.waiting.values() if lock.instance is kernel]
        lines += [b"%d: -> %s" % (number, _line(where, lock)) for lock in waiting]
    for leases in LEASES.values():
        own = [lease for lease in leases if lease.holder.instance is kernel]
        for lease in own:
            number += 1
            lines.append(b"%d: %s" % (number, _lease_line(leases, lease)))
        lines += [b"%d: -> %s" % (number, line) for line in _waiting(kernel, leases)]
    return b"".join(lines)


def _waiting(kernel: "Kernel", leases: InodeLeases) -> list[bytes]:
    return [
        b"LEASE  BREAKER   %s %d <none>:0 0 EOF\n" % (_ACCESS[opener.wanted], opener.task.process.pid)
        for opener in leases.openers
        if opener.task is not None and opener.task.kernel is kernel
    ]


def lock_lines(file: "File", owner: object) -> bytes:
    """Of fdinfo: what is locked through an open file, or in it by its process."""
    try:
        where, leases = find_locks(file.inode), LEASES.get(file.inode.key)
    except LinuxError:
        return b""
    own: list[bytes] = []
    if where is not None:
        held = (where.whole(file), where.own(file, 0, LAST), where.own(owner, 0, LAST))
        own += [_line(where, lock) for lock in held if lock]
    lease = None if leases is None else leases.of(file)
    if leases is not None and lease is not None:
        own.append(_lease_line(leases, lease))
    return b"".join(b"lock:\t%d: %s" % (number, line) for number, line in enumerate(own, start=1))


def _line(where: InodeLocks, lock: RecordLock | WholeLock) -> bytes:
    kind, start, end = b"FLOCK ", 0, b"EOF"
    if isinstance(lock, RecordLock):
        kind = b"OFDLCK" if lock.is_description else b"POSIX "
        start, end = lock.start, b"EOF" if lock.end == LAST else b"%d" % lock.end
    access = b"WRITE" if lock.is_exclusive else b"READ "
    return b"%s ADVISORY  %s %d %s %d %s\n" % (kind, access, lock.pid, _inode(where), start, end)


def _lease_line(where: InodeLeases, lease: Lease) -> bytes:
    state = b"BREAKING " if lease.is_breaking else b"ACTIVE   "
    return b"LEASE  %s %s %d %s 0 EOF\n" % (
        state,
        _ACCESS[lease.target],
        lease.holder.pid,
        _inode(where),
    )


def _inode(where: InodeLocks | InodeLeases) -> bytes:
    return b"%02x:%02x:%d" % (major(where.device), minor(where.device), where.ino)
