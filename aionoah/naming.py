"""What an instance is called: as its tree says, because programs look up their own name in the same tree's /etc/hosts."""

from typing import Final

from aionoah.abi.errno import LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.stat import is_regular
from aionoah.abi.utsname import NEW_UTS_LEN
from aionoah.fs.context import FsContext
from aionoah.fs.file import WouldBlock
from aionoah.fs.mount_namespace import MountNamespace
from aionoah.fs.opening import open_dentry
from aionoah.fs.path import stat
from aionoah.memory.buffer import KernelBuffer
from aionoah.process.credentials import Credentials

DEFAULT: Final = b"aionoah"
PATH: Final = b"/etc/hostname"
_LONGEST: Final = 4096  # of the file, comments included


def name_of(tree: MountNamespace) -> bytes:
    """The first line of /etc/hostname that is no comment (hostname(5)), and DEFAULT if there is none."""
    try:
        text = _read(tree)
    except (LinuxError, WouldBlock):
        return DEFAULT
    lines = (line.strip() for line in text.splitlines())
    name = next((line for line in lines if line and not line.startswith(b"#")), DEFAULT)
    return name if len(name) <= NEW_UTS_LEN and b"\0" not in name else DEFAULT


def _read(tree: MountNamespace) -> bytes:
    """Only what cannot block is opened: a tree may be hostile."""
    context = FsContext(tree.root, Credentials(0, 0, ()))
    target, seen = stat(context, tree.root, PATH)
    if not is_regular(seen.mode):
        return b""
    file = open_dentry(context, target, O(O.RDONLY), seen)
    try:
        text = bytearray(_LONGEST)
        return bytes(text[: file.read_nowait(KernelBuffer(text))])
    finally:
        file.drop()
