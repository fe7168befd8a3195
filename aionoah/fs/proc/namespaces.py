"""/proc/PID/ns: the name spaces, of which there is one of each kind (namespaces(7))."""

from functools import cache
from typing import ClassVar, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.ioctl import IOCTL
from aionoah.abi.stat import S
from aionoah.abi.statfs import MAGIC
from aionoah.fs.device_numbers import anonymous_device
from aionoah.fs.file import File
from aionoah.fs.mount import Mount
from aionoah.fs.path import Dentry
from aionoah.fs.proc.subject import Subject, require_inspectable
from aionoah.fs.stdio import Exchange
from aionoah.fs.synthetic import Directory, Link, Node, Place, SyntheticFileSystem, SyntheticInode

# The numbers that the first name space of each kind has (include/linux/proc_ns.h); net's is the usual one.
_NUMBERS: Final = {
    b"cgroup": (b"cgroup", 0xEFFFFFFB),
    b"ipc": (b"ipc", 0xEFFFFFFF),
    b"mnt": (b"mnt", 0xEFFFFFF8),
    b"net": (b"net", 0xF0000000),
    b"pid": (b"pid", 0xEFFFFFFC),
    b"pid_for_children": (b"pid", 0xEFFFFFFC),
    b"time": (b"time", 0xEFFFFFFA),
    b"time_for_children": (b"time", 0xEFFFFFFA),
    b"user": (b"user", 0xEFFFFFFD),
    b"uts": (b"uts", 0xEFFFFFFE),
}


class NamespaceFile(File):
    """Asked what its name space belongs to, it says that this is none of the asker's business (ioctl_nsfs(2))."""

    exchanges: ClassVar = {IOCTL.NS_GET_USERNS: Exchange(), IOCTL.NS_GET_PARENT: Exchange()}

    def ioctl(self, request: int, argument: bytes | int) -> bytes:  # noqa: ARG002
        raise LinuxError(Errno.EPERM)


class _Namespace(Node[None]):
    kind = S.IFREG

    def make_inode(self, place: Place) -> SyntheticInode["_Namespace"]:
        return _NamespaceInode(place, self)


class _NamespaceInode(SyntheticInode[_Namespace]):
    def open(self, flags: O, dentry: Dentry) -> File:
        return NamespaceFile(flags, dentry)


@cache
def _filesystem() -> SyntheticFileSystem:
    """Where the name spaces have their inodes; mounted nowhere."""
    return SyntheticFileSystem(
        Directory({kind: _Namespace(0o444) for kind, _ in _NUMBERS.values()}),
        None,
        type_name=b"nsfs",
        magic=MAGIC.NSFS,
        device=anonymous_device(),
        block_size=4096,
    )


def _place(kind: bytes, number: int) -> Dentry:
    filesystem = _filesystem()
    inode = filesystem.root.lookup(kind)
    if isinstance(inode, SyntheticInode):
        inode.ino = number  # of the one inode there is
    place = Mount(filesystem, root=inode).root
    place.name = b"%s:[%d]" % (kind, number)
    return place


def _link(kind: bytes, number: int) -> Link[Subject]:
    def text(subject: Subject) -> bytes:
        require_inspectable(subject)
        return b"%s:[%d]" % (kind, number)

    def target(subject: Subject) -> Dentry:
        require_inspectable(subject)
        return _place(kind, number)

    return Link(text, target)


NS: Directory[Subject] = Directory(
    {name: _link(kind, number) for name, (kind, number) in _NUMBERS.items()}, mode=0o511
)
