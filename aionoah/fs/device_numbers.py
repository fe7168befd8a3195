"""Numbers of file systems that are on no device, and the kernel's own form of such numbers.

Files of the host keep the host's number, so ours begin where its own anonymous ones, which count from 1, do not get
to. Two file systems of one number would be one to `find -xdev` and `df`, and two of their files of one inode number
would be one to `tar` and `rsync -H`.
"""

import itertools
from typing import Final

from aionoah.abi.stat import major, makedev, minor

_MINOR_BITS: Final = 20  # include/linux/kdev_t.h
_FIRST_MINOR: Final = 1 << 18  # so that the whole number is positive in 32 bits, too
_numbers: Final = itertools.count()


def anonymous_device() -> int:
    """A number in the form of st_dev that no other file system has."""
    return makedev(0, _FIRST_MINOR + next(_numbers) % _FIRST_MINOR)


def internal_device(device: int) -> int:
    """A number as fdinfo and netlink give it: s_dev of the super block."""
    return major(device) << _MINOR_BITS | minor(device)
