"""/dev: the devices every program expects, and the names of its own standard streams.

It is made of the same parts as /proc and cannot be written to; /dev/shm, /dev/pts and /dev/mqueue are
directories for other file systems to be mounted on.
"""

from functools import partial
from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.statfs import MAGIC
from aionoah.fs.device_numbers import anonymous_device
from aionoah.fs.devices import CONSOLE, FULL, KMSG, NULL, PTMX, RANDOM, TTY, URANDOM, ZERO, open_device
from aionoah.fs.file import File
from aionoah.fs.synthetic import Device, Directory, Link, Node, SyntheticFileSystem
from aionoah.process.current import current_task
from aionoah.terminal.files import SlaveFile, open_master

if TYPE_CHECKING:
    from aionoah.fs.path import Dentry

DEVICE: Final = anonymous_device()


def _open_controlling_terminal(flags: O, dentry: "Dentry") -> File:
    """/dev/tty: ENXIO for a process without a controlling terminal (tty(4))."""
    terminal = current_task().process.terminal
    if terminal is None:
        raise LinuxError(Errno.ENXIO)
    return SlaveFile(terminal, flags, dentry, may_control=False)


def _open_console(flags: O, dentry: "Dentry") -> File:
    """/dev/console: ENODEV for an instance without one."""
    console = current_task().kernel.console
    if console is None or console.is_gone:
        raise LinuxError(Errno.ENODEV)
    return SlaveFile(console, flags, dentry, may_control=False)


def _device(rdev: int) -> Device[None]:
    return Device(rdev, partial(open_device, rdev))


_TREE: Final[dict[bytes, Node[None]]] = {
    b"null": _device(NULL),
    b"zero": _device(ZERO),
    b"full": _device(FULL),
    b"random": _device(RANDOM),
    b"urandom": _device(URANDOM),
    b"kmsg": Device(KMSG, partial(open_device, KMSG), mode=0o644),
    b"tty": Device(TTY, _open_controlling_terminal),
    b"console": Device(CONSOLE, _open_console, mode=0o600),
    b"ptmx": Device(PTMX, open_master),
    b"fd": Link(b"/proc/self/fd"),
    b"stdin": Link(b"/proc/self/fd/0"),
    b"stdout": Link(b"/proc/self/fd/1"),
    b"stderr": Link(b"/proc/self/fd/2"),
    b"shm": Directory(mode=0o1777),
    b"pts": Directory(mode=0o755),
    b"mqueue": Directory(mode=0o1777),
}


def new_devfs() -> SyntheticFileSystem:
    """A file system for /dev."""
    return SyntheticFileSystem(
        Directory(_TREE, mode=0o755),
        None,
        type_name=b"devtmpfs",
        magic=MAGIC.TMPFS,
        device=DEVICE,
        block_size=4096,
    )
