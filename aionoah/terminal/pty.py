"""Pseudo-terminals: pairs of sides, with what belongs to both, and the numbers that they have.

Source: pty(7); Linux drivers/tty/pty.c, fs/devpts/inode.c.
"""

from time import time_ns
from typing import Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.ioctl import Winsize
from aionoah.abi.stat import makedev
from aionoah.host.waiting import WaitQueue
from aionoah.terminal.settings import MASTER_SETTINGS, SLAVE_SETTINGS
from aionoah.terminal.tty import Tty

MAX_PAIRS: Final = 4096  # /proc/sys/kernel/pty/max
_MINORS: Final = 1 << 20
SLAVE_MAJOR: Final = 136
TTY_GROUP: Final = 5  # whose the slaves are, as Debian mounts devpts
_MODE: Final = 0o620


class Pty:
    """A pair. It lives as long as its master is open; the slave may be opened and closed meanwhile."""

    def __init__(self, index: int, uid: int) -> None:
        self.index = index
        self.uid = uid
        self.gid = TTY_GROUP
        self.mode = _MODE  # permission bits of /dev/pts/N
        self.atime_ns = self.mtime_ns = self.ctime_ns = time_ns()
        self.master = Tty(MASTER_SETTINGS)
        self.slave = Tty(SLAVE_SETTINGS)
        self.master.link, self.slave.link = self.slave, self.master
        self.size = Winsize(0, 0, 0, 0)
        self.is_locked = True  # the slave cannot be opened yet (TIOCSPTLCK)
        self.slave_count = 0  # open file descriptions
        self.opened = WaitQueue()  # woken when the slave is opened
        self.hang_ups = 0  # an open file description made before the last one is dead
        self.is_gone = False  # the master has been closed
        # Job control: process groups and the session whose terminal this is; 0 for none.
        self.foreground = 0
        self.session = 0

    @property
    def rdev(self) -> int:
        return makedev(SLAVE_MAJOR, self.index)

    @property
    def name(self) -> bytes:
        return b"/dev/pts/%d" % self.index

    def slave_opened(self) -> None:
        """EIO if the master has gone, or has not unlocked it."""
        if self.is_gone or self.is_locked:
            raise LinuxError(Errno.EIO)
        self.slave_count += 1
        self.slave.is_other_closed = False
        self.master.is_other_closed = False
        self.opened.wake()

    def slave_closed(self) -> None:
        self.slave_count -= 1
        if not self.slave_count:
            self.slave.is_exclusive = False
            self.slave.is_packet = False
            self.master.is_other_closed = True
            self.master.readable.wake()
            self.master.writable.wake()

    def hang_up(self) -> None:
        """Every open slave reads as ended from now on, and can do nothing else (tty_vhangup)."""
        self.hang_ups += 1
        self.slave.incoming.clear()
        self.slave.discipline.flush()
        self.slave.discipline.echo.forget()
        self.session = self.foreground = 0
        for side in (self.slave, self.master):
            side.readable.wake()
            side.writable.wake()

    def touch(self, *, is_read: bool) -> None:
        """Reads and writes change the times of /dev/pts/N, to eight seconds, so that keys cannot be timed."""
        now = time_ns()
        if is_read:
            self.atime_ns = now if now >> 33 != self.atime_ns >> 33 else self.atime_ns
        else:
            self.mtime_ns = now if now >> 33 != self.mtime_ns >> 33 else self.mtime_ns


class Ptys:
    """All pairs of one instance, by number."""

    def __init__(self) -> None:
        self.by_index: dict[int, Pty] = {}

    def new(self, uid: int) -> Pty:
        """A locked pair with the lowest free number; ENOSPC if there are too many."""
        if len(self.by_index) >= MAX_PAIRS:
            raise LinuxError(Errno.ENOSPC)
        index = next(number for number in range(_MINORS) if number not in self.by_index)
        pty = self.by_index[index] = Pty(index, uid)
        return pty

    def remove(self, pty: Pty) -> None:
        del self.by_index[pty.index]
