"""/proc/locks, and the lines about locks in fdinfo (proc_locks(5); Linux fs/locks.c, lock_get_status)."""

from typing import TYPE_CHECKING

from aionoah.abi.errno import LinuxError
from aionoah.abi.stat import major, minor
from aionoah.fs.locks import LAST, InodeLocks, RecordLock, WholeLock, all_locks, find_locks

if TYPE_CHECKING:
    from aionoah.fs.file import File
    from aionoah.process.kernel import Kernel


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
    return b"".join(lines)


def lock_lines(file: "File", owner: object) -> bytes:
    """Of fdinfo: what is locked through an open file, or in it by its process."""
    try:
        where = find_locks(file.inode)
    except LinuxError:
        return b""
    if where is None:
        return b""
    own = [lock for lock in (where.whole(file), where.own(file, 0, LAST), where.own(owner, 0, LAST)) if lock]
    return b"".join(
        b"lock:\t%d: %s" % (number, _line(where, lock)) for number, lock in enumerate(own, start=1)
    )


def _line(where: InodeLocks, lock: RecordLock | WholeLock) -> bytes:
    kind, start, end = b"FLOCK ", 0, b"EOF"
    if isinstance(lock, RecordLock):
        kind = b"OFDLCK" if lock.is_description else b"POSIX "
        start, end = lock.start, b"EOF" if lock.end == LAST else b"%d" % lock.end
    access = b"WRITE" if lock.is_exclusive else b"READ "
    inode = b"%02x:%02x:%d" % (major(where.device), minor(where.device), where.ino)
    return b"%s ADVISORY  %s %d %s %d %s\n" % (kind, access, lock.pid, inode, start, end)
