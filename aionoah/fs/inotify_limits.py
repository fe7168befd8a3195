"""How much users may watch: /proc/sys/fs/inotify (inotify(7))."""

from collections import Counter

from aionoah.abi.errno import Errno, LinuxError


class InotifyLimits:
    """The limits of one Linux instance, each for every user, and what the users have."""

    def __init__(self) -> None:
        self.instances = 128
        self.watches = 65536
        self.queued_events = 16384
        self._instances: Counter[int] = Counter()
        self._watches: Counter[int] = Counter()

    def take_instance(self, uid: int) -> None:
        """EMFILE."""
        if self._instances[uid] >= self.instances:
            raise LinuxError(Errno.EMFILE)
        self._instances[uid] += 1

    def give_instance(self, uid: int) -> None:
        self._instances[uid] -= 1

    def take_watch(self, uid: int) -> None:
        """ENOSPC."""
        if self._watches[uid] >= self.watches:
            raise LinuxError(Errno.ENOSPC)
        self._watches[uid] += 1

    def give_watch(self, uid: int) -> None:
        self._watches[uid] -= 1
