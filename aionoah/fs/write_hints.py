"""How long what is written to a file may live: F_GET_RW_HINT and F_SET_RW_HINT of fcntl(2).

A file of the host has the host's, which hands it to the disk; others only remember.
"""

from aionoah.abi.errno import LinuxError
from aionoah.fs.file import File
from aionoah.fs.hostfs_file import HostFile
from aionoah.fs.inode import Inode
from aionoah.host import platform
from aionoah.host.errors import host_errors


def hint_of(file: File) -> int:
    """One of abi.fcntl.RWH."""
    if isinstance(file, HostFile):
        with host_errors():
            return platform.write_hint(file.fd)
    return _keeper(file).write_hint


def set_hint(file: File, hint: int) -> None:
    if isinstance(file, HostFile):
        with host_errors():
            platform.set_write_hint(file.fd, hint)
    else:
        _keeper(file).write_hint = hint


def _keeper(file: File) -> File | Inode:
    """What has no inode of its own, such as a socket, remembers by its open file."""
    try:
        return file.inode
    except LinuxError:
        return file
