"""Objects of System V IPC by number and by key, and who may use and change them.

Sources: sysvipc(7), ftok(3), proc(5); Linux ipc/util.c (ipc_addid, ipcget, ipcperms, ipcctl_obtain_check).
"""

from collections.abc import Callable, Iterator
from itertools import chain
from time import time
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.ipc import IPC, IPC_PRIVATE, IpcPerm
from aionoah.abi.stat import S
from aionoah.process.user_namespaces import NO_ID, callers_names

if TYPE_CHECKING:
    from aionoah.process.credentials import Credentials

INDEX_BITS: Final = 15  # IPCMNI_SHIFT: an id is a sequence number above an index
_INDEX_MASK: Final = (1 << INDEX_BITS) - 1
_SEQUENCES: Final = 1 << 31 - INDEX_BITS
READ: Final = 0o444  # rights as `require` wants them, in all three digits
WRITE: Final = 0o222
EXECUTE: Final = 0o111
_SMALLEST_CYCLE: Final = 64  # RADIX_TREE_MAP_SIZE: so many indices are used before one comes again


def now() -> int:
    """What IPC objects have as times: seconds since the epoch."""
    return int(time())


class IpcObject:
    """What the three kinds have in common: an id, a key, an owner, a mode (struct kern_ipc_perm)."""

    def __init__(self, key: int, mode: int, credentials: "Credentials") -> None:
        self.id = -1  # set by the table
        self.key = key
        self.mode = mode
        self.uid = self.cuid = credentials.euid
        self.gid = self.cgid = credentials.egid
        self.changed = now()
        self.is_removed = False

    @property
    def index(self) -> int:
        return self.id & _INDEX_MASK

    def permissions(self) -> IpcPerm:
        """As IPC_STAT shows them."""
        return IpcPerm(self.key, *self.owners(), self.mode, self.id >> INDEX_BITS)

    def owners(self) -> tuple[int, int, int, int]:
        """Users and groups, its owner's and its maker's, as whoever asks calls them."""
        names = callers_names()
        return (
            *(names.uids.shown(self.uid), names.gids.shown(self.gid)),
            *(names.uids.shown(self.cuid), names.gids.shown(self.cgid)),
        )

    def require(self, wanted: int, credentials: "Credentials") -> None:
        """EACCES without the rights that a mode asks for, in whichever of its three digits (ipcperms)."""
        granted = self.mode
        if credentials.euid in (self.uid, self.cuid):
            granted >>= 6
        elif any(gid == credentials.fsgid or gid in credentials.groups for gid in (self.gid, self.cgid)):
            granted >>= 3
        asked = wanted >> 6 | wanted >> 3 | wanted
        if asked & ~granted & 7 and not credentials.has_capability(CAP.IPC_OWNER):
            raise LinuxError(Errno.EACCES)

    def require_owner(self, credentials: "Credentials") -> None:
        """EPERM for whoever neither made nor owns it: IPC_SET, IPC_RMID."""
        is_owner = credentials.euid in (self.uid, self.cuid)
        if not is_owner and not credentials.has_capability(CAP.SYS_ADMIN):
            raise LinuxError(Errno.EPERM)

    def change_permissions(self, wanted: IpcPerm) -> None:
        """IPC_SET: a new owner and mode. EINVAL."""
        names = callers_names()
        uid, gid = names.uids.to_kernel(wanted.uid), names.gids.to_kernel(wanted.gid)
        if NO_ID in (uid, gid):
            raise LinuxError(Errno.EINVAL)
        self.uid, self.gid = uid, gid
        self.mode = self.mode & ~S.IRWXUGO | wanted.mode & S.IRWXUGO
        self.changed = now()


T = TypeVar("T", bound=IpcObject)


class IpcTable(Generic[T]):
    """All objects of one kind."""

    def __init__(self) -> None:
        self._by_index: dict[int, T] = {}
        self._by_key: dict[int, T] = {}
        self._last_index = -1
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._by_index)

    def __iter__(self) -> Iterator[T]:
        """By index, for /proc/sysvipc."""
        return iter([self._by_index[index] for index in sorted(self._by_index)])

    @property
    def highest_index(self) -> int:
        """What the INFO commands return: 0 if there is none."""
        return max(self._by_index, default=0)

    # -- looking --------------------------------------------------------------------------------------

    def find(self, number: int) -> T:
        """The object with an id. EINVAL."""
        found = self._by_index.get(number & _INDEX_MASK) if number >= 0 else None
        if found is None or found.id != number:
            raise LinuxError(Errno.EINVAL)
        return found

    def find_index(self, index: int) -> T:
        """The object at an index, of which higher bits do not count. EINVAL."""
        found = self._by_index.get(index & _INDEX_MASK)
        if found is None:
            raise LinuxError(Errno.EINVAL)
        return found

    def get(
        self,
        key: int,
        flags: int,
        credentials: "Credentials",
        make: Callable[[], T],
        check: Callable[[T], None],
    ) -> T:
        """The object with the key, or a new one, as shmget and its kin want it. ENOENT, EEXIST, EACCES.

        `check` raises for an object that is not as the caller wants it, before its mode is looked at.
        """
        if key == IPC_PRIVATE:
            return make()
        found = self._by_key.get(key)
        if found is None:
            if not flags & IPC.CREAT:
                raise LinuxError(Errno.ENOENT)
            return make()
        if flags & IPC.CREAT and flags & IPC.EXCL:
            raise LinuxError(Errno.EEXIST)
        check(found)
        found.require(flags, credentials)
        return found

    # -- changing -------------------------------------------------------------------------------------

    def add(self, made: T, limit: int) -> T:
        """Give a new object its id. ENOSPC at `limit` objects."""
        if len(self._by_index) >= limit:
            raise LinuxError(Errno.ENOSPC)
        index = self._free_index()
        if index <= self._last_index:
            self._sequence = (self._sequence + 1) % _SEQUENCES
        self._last_index = index
        made.id = self._sequence << INDEX_BITS | index
        self._by_index[index] = made
        if made.key != IPC_PRIVATE:
            self._by_key[made.key] = made
        return made

    def _free_index(self) -> int:
        """The next behind the last one, in a circle that is half as long again as it has to be."""
        length = max(len(self._by_index) * 3 // 2, _SMALLEST_CYCLE)
        start = self._last_index + 1
        for index in chain(range(start, length), range(length)):
            if index not in self._by_index:
                return index
        raise LinuxError(Errno.ENOSPC)

    def hide(self, found: T) -> None:
        """Nobody finds it by its key any more."""
        self._forget_key(found)
        found.key = IPC_PRIVATE

    def remove(self, found: T) -> None:
        self._forget_key(found)
        found.is_removed = True
        del self._by_index[found.index]

    def _forget_key(self, found: T) -> None:
        if self._by_key.get(found.key) is found:
            del self._by_key[found.key]
