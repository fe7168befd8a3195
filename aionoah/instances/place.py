"""Where an instance's things are, and the lock by which one name is one process."""

import contextlib
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from aionoah.host import platform
from aionoah.host.user_places import user_place
from aionoah.instances import InstanceError

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_TEMPORARY: Final = "/tmp"  # noqa: S108 - what is in it is checked to be ours
_SOCKET_PATH_BYTES: Final = 103  # and a NUL, on macOS; Linux has four more


def checked_name(name: str) -> str:
    """InstanceError for what could be anything but a name: it becomes part of paths."""
    if not _NAME.fullmatch(name):
        shown = name.encode("unicode_escape").decode()[:80]
        raise InstanceError(
            f"{shown!r} cannot be a name: 1 to 64 letters, digits, '_', '.' and '-', a letter or digit first"
        )
    return name


def state_home() -> Path:
    """Where instances are. OSError if this user has no home."""
    return user_place("XDG_STATE_HOME", ".local/state") / "instances"


class Place:
    """The directory of one instance. Nothing is made until somebody asks for it."""

    def __init__(self, name: str, home: Path | None = None) -> None:
        self.name = checked_name(name)
        self.directory = (home or state_home()) / name
        self.spec = self.directory / "spec.json"
        self.state = self.directory / "state.json"
        self.lock = self.directory / "lock"
        self.upper = self.directory / "upper"
        self.logs = self.directory / "log"
        self.errors = self.directory / "daemon.log"

    def check_exists(self) -> None:
        if not self.directory.is_dir():
            raise InstanceError(f"there is no instance {self.name}; `aionoah ps -a` lists them")

    def new_socket_path(self) -> Path:
        """In a directory that is this user's alone, which is made. InstanceError, OSError.

        A digest keeps it short, and apart from those of another $AIONOAH_HOME.
        """
        import hashlib  # noqa: PLC0415 - slow to import, and clients make no sockets

        digest = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:16]
        failure: Exception = InstanceError("no directory for sockets has a path that is short enough")
        for directory in (*_runtime_directories(), self.directory):
            path = directory / f"{digest}.sock"
            if len(os.fsencode(path)) <= _SOCKET_PATH_BYTES:
                try:
                    make_private(directory)
                except (InstanceError, OSError) as error:
                    failure = error
                else:
                    return path
        raise failure


def places() -> list[Place]:
    """Of all instances, by name."""
    home = state_home()
    try:
        names = sorted(entry.name for entry in home.iterdir() if entry.is_dir())
    except FileNotFoundError:
        return []
    return [Place(name) for name in names if _NAME.fullmatch(name)]


def _runtime_directories() -> Iterator[Path]:
    """The user's, unless it is somebody else's, as it is after su(1); then those for temporary files."""
    import tempfile  # noqa: PLC0415 - as hashlib

    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    with contextlib.suppress(OSError):
        if runtime.startswith("/") and os.stat(runtime).st_uid == os.geteuid():  # noqa: PTH116 - text
            yield Path(runtime, "aionoah")
    for base in (tempfile.gettempdir(), _TEMPORARY):
        yield Path(base, f"aionoah-{os.geteuid()}")


def make_private(directory: Path) -> None:
    """A directory into which nobody else gets, if there is none yet. InstanceError if somebody else has made it,
    OSError.
    """
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise InstanceError(f"{directory} is not a directory of yours: remove it")
    if stat.S_IMODE(status.st_mode) != 0o700:
        directory.chmod(0o700)


# -- the lock ------------------------------------------------------------------------------------------------

_RUN: Final = 0  # the byte of the file that is locked by whoever runs the instance,
_SAID: Final = 1  # and the one that he locks when the file says who he is: it said something before


class Lock:
    """Held by whoever runs the instance or changes what it is, and given back with the process, however it ends.

    Of an open file description, as only those can be asked about without being taken.
    """

    def __init__(self, place: Place) -> None:
        """InstanceError if somebody has it, or there is no such instance."""
        place.check_exists()
        try:
            self._fd = os.open(place.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            raise _removed(place) from None
        try:
            try:
                platform.lock_range(self._fd, fcntl.LOCK_EX, _RUN, 1)
            except (BlockingIOError, PermissionError):
                raise InstanceError(f"{place.name} is running already") from None
            _check_same(self._fd, place)
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)
            platform.lock_range(self._fd, fcntl.LOCK_EX, _SAID, 1)
        except BaseException:
            os.close(self._fd)
            raise

    def close(self) -> None:
        os.close(self._fd)


def holder(place: Place) -> int | None:
    """The process that holds the lock; 0 if it has not said yet who it is, None if there is none."""
    return holder_of(place.lock)


def holder_of(lock: Path) -> int | None:
    """The same, wherever the file is."""
    try:
        fd = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        if platform.range_holder(fd, _RUN, 1, exclusive=True) is None:
            return None
        if platform.range_holder(fd, _SAID, 1, exclusive=True) is None:
            return 0
        text = os.pread(fd, 20, 0)
        return int(text) if text.strip().isdigit() else 0
    finally:
        os.close(fd)


def _check_same(fd: int, place: Place) -> None:
    """InstanceError if the file has been removed since it was opened: its lock means nothing any more."""
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(fd), place.lock.stat()):
            return
    raise _removed(place)


def _removed(place: Place) -> InstanceError:
    return InstanceError(f"{place.name} has just been removed")
