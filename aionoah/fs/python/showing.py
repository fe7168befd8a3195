"""From what an application gives as a mount to a file system of the kernel's."""

import sys
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from aionoah.fs.python.callables import CallableFileSystem, Device, TextFile
from aionoah.fs.python.dictionary import DictFileSystem
from aionoah.fs.python.inode import PythonFileSystem
from aionoah.fs.python.protocol import FileSystem

if TYPE_CHECKING:
    from aionoah.fs.inode import FileSystem as KernelFileSystem
    from aionoah.host.application import Application


def filesystem_for(what: Any, application: "Application | None") -> "KernelFileSystem":  # noqa: ANN401
    """A FileSystem, a dict, a file system of fsspec, a Device or a TextFile, ready to be mounted. TypeError."""
    if isinstance(what, Device | TextFile):
        return CallableFileSystem(what, application)
    if isinstance(what, MutableMapping):
        what = DictFileSystem(what)
    fsspec = sys.modules.get("fsspec")
    if fsspec is not None and isinstance(what, fsspec.AbstractFileSystem):
        from aionoah.fs.python.fsspec import FsspecFileSystem  # noqa: PLC0415 - for those who have fsspec

        what = FsspecFileSystem(what)
    if not isinstance(what, FileSystem):
        raise TypeError(f"{what!r:.100} cannot be mounted: it is neither a path nor a file system")
    return PythonFileSystem(what, application)
