"""What the host says of its files, in Linux's numbers. The types and permissions of a mode are the same everywhere."""

import os
from functools import cache

from aionoah.abi.stat import makedev
from aionoah.fs.inode import Attributes, FileSystemStatus
from aionoah.host.errors import host_errors


@cache  # there are few
def device_number(device: int) -> int:
    """The host's st_dev in Linux's 64-bit form."""
    return makedev(os.major(device), os.minor(device))


def attributes_of(status: os.stat_result) -> Attributes:
    return Attributes(
        status.st_mode,
        status.st_ino,
        device_number(status.st_dev),
        status.st_nlink,
        status.st_uid,
        status.st_gid,
        device_number(status.st_rdev) if status.st_rdev else 0,
        status.st_size,
        status.st_blksize,
        status.st_blocks,
        status.st_atime_ns,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def status_of(fd: int, magic: int) -> FileSystemStatus:
    """Of the file system that a descriptor is in; `magic` is what it shall be."""
    with host_errors():
        status = os.fstatvfs(fd)
    return FileSystemStatus(
        magic,
        status.f_frsize or status.f_bsize,
        status.f_blocks,
        status.f_bfree,
        status.f_bavail,
        status.f_files,
        status.f_ffree,
        status.f_namemax,
    )
