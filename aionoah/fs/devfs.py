"""/dev: the devices every program expects, and the names of its own standard streams.

It is a file system in memory, where servers put their sockets and FIFOs (syslog(3), initctl) and root makes nodes;
/dev/shm, /dev/pts and /dev/mqueue are directories for other file systems to be mounted on.
"""

from typing import Final

from aionoah.abi.stat import S
from aionoah.fs.devices import CONSOLE, FULL, KMSG, NULL, PTMX, RANDOM, TTY, URANDOM, ZERO
from aionoah.fs.tmpfs import TmpFileSystem

_DEVICES: Final = {
    b"null": (NULL, 0o666),
    b"zero": (ZERO, 0o666),
    b"full": (FULL, 0o666),
    b"random": (RANDOM, 0o666),
    b"urandom": (URANDOM, 0o666),
    b"kmsg": (KMSG, 0o644),
    b"tty": (TTY, 0o666),
    b"console": (CONSOLE, 0o600),
    b"ptmx": (PTMX, 0o666),
}
_LINKS: Final = {
    b"fd": b"/proc/self/fd",
    b"stdin": b"/proc/self/fd/0",
    b"stdout": b"/proc/self/fd/1",
    b"stderr": b"/proc/self/fd/2",
}
_DIRECTORIES: Final = {b"shm": 0o1777, b"pts": 0o755, b"mqueue": 0o1777}


class DevFileSystem(TmpFileSystem):
    type_name = b"devtmpfs"


def new_devfs() -> DevFileSystem:
    """A file system for /dev."""
    filesystem = DevFileSystem(mode=0o755)
    root = filesystem.root
    for name, (rdev, mode) in _DEVICES.items():
        root.mknod(name, S.IFCHR | mode, rdev, 0, 0)
    for name, target in _LINKS.items():
        root.symlink(name, target, 0, 0)
    for name, mode in _DIRECTORIES.items():
        root.mkdir(name, mode, 0, 0)
    return filesystem
