"""Descriptors of the host that guests do not get, so that our own code still works when they have taken all others:
modules are loaded at their first use, and an open file is needed for that.

The host gives out the lowest free number, so a high one tells that few are left.
"""

import errno
import os
import resource
from typing import Final

_KEPT: Final = 64
_HELD_DIRECTORIES: Final = 128, 1024


def require_more(fd: int) -> int:
    """A descriptor that has just been opened for guests; it is closed if it is of those that are kept. OSError ENFILE."""
    if is_kept(fd):
        os.close(fd)
        raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))
    return fd


def require_another(fd: int) -> None:
    """There must be one more, which a call that cannot be undone will open; `fd` is one like it. OSError ENFILE."""
    os.close(require_more(os.dup(fd)))


def held_directories() -> int:
    """How many directories a mount may hold open for the next walk: Erlang looks for each module in two hundred, programs
    of KDE for each icon in four hundred, but instances share the descriptors of the process.
    """
    least, most = _HELD_DIRECTORIES
    return max(least, min(most, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 32))


def is_kept(fd: int) -> bool:
    """Whether a descriptor that has just been opened is one that guests do not get."""
    return fd >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _KEPT
