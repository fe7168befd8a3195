"""Watching files and directories: inotify(7); Linux fs/notify/inotify.

Guests' changes come from the VFS (notify.py); those of the host's programs to the host's files come from the host
(hostwatch.py), behind whose descriptor readers sleep too.
"""

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.inotify import IN, IN_ALL_EVENTS, InotifyEvent
from aionoah.abi.poll import Poll
from aionoah.abi.stat import S
from aionoah.abi.uio import RWF
from aionoah.fs import notify
from aionoah.fs.anonymous import AnonymousFile
from aionoah.fs.device_numbers import internal_device
from aionoah.fs.file import WouldBlock
from aionoah.fs.hostwatch import HostWatches
from aionoah.host.waiting import Source, WaitQueue
from aionoah.memory.buffer import Buffer

if TYPE_CHECKING:
    from collections.abc import Hashable

    from aionoah.fs.inode import Inode
    from aionoah.fs.inotify_limits import InotifyLimits
    from aionoah.fs.path import Dentry
    from aionoah.host.linux_notify import HostEvent

_KEPT: Final = IN_ALL_EVENTS | IN.EXCL_UNLINK | IN.ONESHOT  # of the bits that a watch is asked for with
_NAME_UNIT: Final = InotifyEvent.SIZE  # names are padded to a multiple of it
_NOWHERE: Final = -1  # the watch of an overflow


class _Event(NamedTuple):
    wd: int
    mask: int
    cookie: int
    name: bytes

    @property
    def size(self) -> int:
        return InotifyEvent.SIZE + self.padded

    @property
    def padded(self) -> int:
        """Bytes of the name with its padding: at least one NUL, unless there is no name."""
        return (len(self.name) // _NAME_UNIT + 1) * _NAME_UNIT if self.name else 0

    def pack(self) -> bytes:
        header = InotifyEvent(self.wd, self.mask, self.cookie, self.padded)
        return header.pack() + self.name.ljust(self.padded, b"\0")

    def is_like(self, other: "_Event") -> bool:
        """Whether two events in a row are told as one; the cookie does not count."""
        return self[:2] == other[:2] and self.name == other.name and not self.mask & IN.IGNORED


class _Watch:
    """One number of an inotify descriptor. It keeps the inode that it is on."""

    def __init__(self, owner: "InotifyFile", wd: int, inode: "Inode", mask: int) -> None:
        self.owner = owner
        self.wd = wd
        self.inode = inode
        self.mask = mask
        self.host_wd: int | None = None

    def happened(self, mask: int, name: bytes, cookie: int, *, is_unlinked: bool) -> None:
        if not mask & self.mask & IN_ALL_EVENTS or (is_unlinked and self.mask & IN.EXCL_UNLINK):
            return
        if mask & (IN.DELETE_SELF | IN.MOVE_SELF):
            mask &= ~IN.ISDIR
        self.owner.put(_Event(self.wd, mask, cookie, name))
        if self.mask & IN.ONESHOT:
            self.owner.discard(self)

    def inode_gone(self) -> None:
        """The host says so itself of its files; directories of the host are held by us, so it cannot."""
        self.owner.drain()
        if self.wd in self.owner.watches and (self.host_wd is None or self.inode.kind == S.IFDIR):
            self.happened(IN.DELETE_SELF, b"", 0, is_unlinked=False)
            self.owner.discard(self)

    def unmounted(self) -> None:
        self.owner.put(_Event(self.wd, IN.UNMOUNT, 0, b""))
        self.owner.discard(self)


class InotifyFile(AnonymousFile):
    """Watches, and a queue of what has happened to them."""

    label = b"inotify"
    read_flags = RWF.HIPRI

    def __init__(self, flags: O, limits: "InotifyLimits", uid: int) -> None:
        """`uid`: whose watches they are. EMFILE."""
        limits.take_instance(uid)
        super().__init__(flags)
        self._limits = limits
        self._uid = uid
        self._changed = WaitQueue()
        self._events: deque[_Event] = deque()
        self.watches: dict[int, _Watch] = {}  # by number
        self._by_inode: dict[Hashable, _Watch] = {}
        self._last_wd = 0
        self._host: HostWatches | None = None
        self._host_cookies = (0, 0)  # the host's latest one, and ours for it

    def release(self) -> None:
        self._limits.give_instance(self._uid)
        for each in list(self.watches.values()):
            self._remove(each)
        if self._host is not None:
            self._host.close()

    # -- watches ------------------------------------------------------------------------------------------

    def add(self, place: "Dentry", mask: int) -> int:
        """Watch an inode, or watch it otherwise; returns the number. EEXIST, ENOSPC."""
        known = self._by_inode.get(place.inode.key)
        wanted = mask & _KEPT | IN.UNMOUNT
        if known is None:
            known = self._new(place, wanted)
        elif mask & IN.MASK_CREATE:
            raise LinuxError(Errno.EEXIST)
        else:
            known.mask = known.mask | wanted if mask & IN.MASK_ADD else wanted
        self._watch_host(known)
        return known.wd

    def _new(self, place: "Dentry", mask: int) -> _Watch:
        self._limits.take_watch(self._uid)
        self._last_wd += 1
        made = _Watch(self, self._last_wd, place.inode, mask)
        self.watches[made.wd] = self._by_inode[place.inode.key] = made
        notify.watch(place.inode, made)
        return made

    def remove(self, wd: int) -> None:
        """EINVAL."""
        watch = self.watches.get(wd)
        if watch is None:
            raise LinuxError(Errno.EINVAL)
        self.discard(watch)

    def discard(self, watch: _Watch) -> None:
        """A watch ends, and says so."""
        if watch.wd in self.watches:
            self._remove(watch)
            self.put(_Event(watch.wd, IN.IGNORED, 0, b""))

    def _remove(self, watch: _Watch) -> None:
        inode = watch.inode
        del self.watches[watch.wd], self._by_inode[inode.key]
        notify.unwatch(inode, watch)
        self._limits.give_watch(self._uid)
        if self._host is not None and watch.host_wd is not None:
            self._host.forget(watch.host_wd)

    # -- the host -----------------------------------------------------------------------------------------

    def _watch_host(self, watch: _Watch) -> None:
        """Hear of the host's programs too, as far as the host lets us: guests' changes are heard of anyway."""
        inode = watch.inode
        pinned = inode.on_host()
        if pinned is None:
            return
        try:
            if self._host is None:
                self._open_host()
            with pinned as fd:
                if self._host is not None:
                    watch.host_wd = self._host.watch(fd, inode.key, watch.mask)
        except LinuxError:
            watch.host_wd = None
        else:
            inode.let_go()

    def _open_host(self) -> None:
        made = HostWatches(self._host_event)
        with self.changing_source():
            self._host = made
        self._changed.wake()

    def _host_event(self, event: "HostEvent") -> None:
        if event.mask & IN.Q_OVERFLOW:
            self._overflow()
            return
        watch = next((each for each in self.watches.values() if each.host_wd == event.wd), None)
        if watch is None:
            return
        if event.mask & IN.IGNORED:
            watch.host_wd = None
            self.discard(watch)
            return
        watch.happened(event.mask, event.name, self._own_cookie(event.cookie), is_unlinked=False)

    def _own_cookie(self, host: int) -> int:
        if host and self._host_cookies[0] != host:
            self._host_cookies = host, notify.new_cookie()
        return self._host_cookies[1] if host else 0

    # -- the queue ----------------------------------------------------------------------------------------

    def put(self, event: _Event) -> None:
        """An event for readers; one like the last is told once."""
        if self._events and event.is_like(self._events[-1]):
            return
        if len(self._events) >= self._limits.queued_events:
            self._overflow()
            return
        self._events.append(event)
        self._changed.wake()

    def _overflow(self) -> None:
        if not self._events or self._events[-1].wd != _NOWHERE:
            self._events.append(_Event(_NOWHERE, IN.Q_OVERFLOW, 0, b""))
            self._changed.wake()

    def drain(self) -> None:
        """Take what the host knows."""
        if self._host is not None:
            self._host.look()

    def read_nowait(self, dst: Buffer) -> int:
        """As many events as there is room for, EINVAL if there is none for the first."""
        self.drain()
        if not self._events:
            raise WouldBlock
        data, taken = b"", 0
        for event in self._events:
            if len(data) + event.size > dst.length:
                break
            data += event.pack()
            taken += 1
        if not taken:
            raise LinuxError(Errno.EINVAL)
        if dst.fill(data) < len(data):
            raise LinuxError(Errno.EFAULT)
        for _ in range(taken):
            self._events.popleft()
        return len(data)

    def poll(self) -> Poll:
        self.drain()
        return Poll(Poll.IN | Poll.RDNORM if self._events else 0)

    def source(self, events: Poll) -> Source:  # noqa: ARG002 - it can only become readable
        return Source(self._changed, readable=() if self._host is None else (self._host.fileno(),))

    def available(self) -> int:
        """Bytes that wait to be read (FIONREAD)."""
        self.drain()
        return sum(event.size for event in self._events)

    def seek(self, offset: int, whence: int) -> int:  # noqa: ARG002 - noop_llseek
        """Seeking is allowed and does nothing."""
        return 0

    def fdinfo(self) -> bytes:
        lines = b""
        for watch in self.watches.values():
            attributes = watch.inode.attributes()
            device = internal_device(attributes.dev)
            mask = watch.mask & IN_ALL_EVENTS
            lines += b"inotify wd:%x ino:%x sdev:%x mask:%x ignored_mask:0 \n" % (
                *(watch.wd, attributes.ino, device, mask),
            )
        return lines
