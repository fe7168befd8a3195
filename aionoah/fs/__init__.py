"""Files. What applications use of it is here: file systems, devices and files written in Python."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from aionoah.fs.python.callables import Device, TextFile
    from aionoah.fs.python.dictionary import DictFileSystem
    from aionoah.fs.python.fsspec import FsspecFileSystem
    from aionoah.fs.python.protocol import FileSystem, Stat

__all__ = ("Device", "DictFileSystem", "FileSystem", "FsspecFileSystem", "Stat", "TextFile")

_HOMES: Final = {
    "Device": "aionoah.fs.python.callables",
    "TextFile": "aionoah.fs.python.callables",
    "DictFileSystem": "aionoah.fs.python.dictionary",
    "FsspecFileSystem": "aionoah.fs.python.fsspec",
    "FileSystem": "aionoah.fs.python.protocol",
    "Stat": "aionoah.fs.python.protocol",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any of the above
    """Loaded at first use: most instances show host files only."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'aionoah.fs' has no attribute {name!r}")
