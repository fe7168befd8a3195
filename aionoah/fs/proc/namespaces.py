"""/proc/PID/ns: a task's name spaces (namespaces(7))."""

from functools import cache
from typing import ClassVar, Final, cast

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.ioctl import IOCTL
from aionoah.abi.sched import CLONE
from aionoah.abi.stat import S
from aionoah.abi.statfs import MAGIC
from aionoah.fs.device_numbers import anonymous_device
from aionoah.fs.file import File
from aionoah.fs.mount import Mount
from aionoah.fs.path import Dentry
from aionoah.fs.proc.subject import Subject, require_inspectable
from aionoah.fs.stdio import Exchange
from aionoah.fs.synthetic import Bound, Directory, Link, Node, Place, SyntheticFileSystem, SyntheticInode
from aionoah.process.namespaces import namespace_of
from aionoah.process.user_namespaces import Namespace, UserNamespace, callers_names

_KINDS: Final = {
    b"cgroup": CLONE.NEWCGROUP,
    b"ipc": CLONE.NEWIPC,
    b"mnt": CLONE.NEWNS,
    b"net": CLONE.NEWNET,
    b"pid": CLONE.NEWPID,
    b"pid_for_children": CLONE.NEWPID,
    b"time": CLONE.NEWTIME,
    b"time_for_children": CLONE.NEWTIME,
    b"user": CLONE.NEWUSER,
    b"uts": CLONE.NEWUTS,
}


class NamespaceFile(File):
    """It keeps its name space, and tells what that belongs to (ioctl_nsfs(2)), but only what is not outside of the asker's
    user name space.
    """

    exchanges: ClassVar = {
        IOCTL.NS_GET_USERNS: Exchange(),
        IOCTL.NS_GET_PARENT: Exchange(),
        IOCTL.NS_GET_NSTYPE: Exchange(),
        IOCTL.NS_GET_OWNER_UID: Exchange(gives=4),
    }

    def __init__(self, flags: O, dentry: Dentry, namespace: Namespace) -> None:
        super().__init__(flags, dentry)
        self.namespace = namespace
        namespace.hold()

    def release(self) -> None:
        self.namespace.drop()

    def ioctl(self, request: int, argument: bytes | int) -> "bytes | int | File":  # noqa: ARG002
        """EPERM, EINVAL."""
        namespace = self.namespace
        if request == IOCTL.NS_GET_NSTYPE:
            return namespace.flag
        if request == IOCTL.NS_GET_OWNER_UID:
            if not isinstance(namespace, UserNamespace):
                raise LinuxError(Errno.EINVAL)
            return callers_names().uids.shown(namespace.uid).to_bytes(4, "little")
        if request == IOCTL.NS_GET_PARENT and namespace.flag == CLONE.NEWPID:
            raise LinuxError(Errno.EPERM)  # there is one
        if request == IOCTL.NS_GET_PARENT and namespace.flag != CLONE.NEWUSER:
            raise LinuxError(Errno.EINVAL)
        owner = namespace.parent if isinstance(namespace, UserNamespace) else namespace.owner
        if owner is None or not owner.is_within(callers_names()):
            raise LinuxError(Errno.EPERM)
        place = place_of(owner)
        return NamespaceFile(O(O.RDONLY), place, owner)


class _Inode(Node[Namespace]):
    kind = S.IFREG

    def make_inode(self, place: Place) -> SyntheticInode["_Inode"]:
        return _NamespaceInode(place, self)


class _NamespaceInode(SyntheticInode[_Inode]):
    def __init__(self, place: Place, node: _Inode) -> None:
        super().__init__(place, node)
        self.ino = cast("Namespace", place.owner).number

    def may_be_mounted_in(self, number: int) -> bool:
        """One of mounts only in those that are older (mnt_ns_loop in fs/namespace.c)."""
        return self.owner.flag != CLONE.NEWNS or self.ino > number

    def mounted(self) -> None:
        self.owner.hold()

    def unmounted(self) -> None:
        self.owner.drop()

    def open(self, flags: O, dentry: Dentry) -> File:
        return NamespaceFile(flags, dentry, self.owner)


_INODE: Final = _Inode(0o444)


class _NamespaceFileSystem(SyntheticFileSystem):
    may_be_bound_unmounted = True


@cache
def _filesystem() -> SyntheticFileSystem:
    """Where the name spaces have their inodes; mounted nowhere."""
    return _NamespaceFileSystem(
        Directory({}),
        None,
        type_name=b"nsfs",
        magic=MAGIC.NSFS,
        device=anonymous_device(),
        block_size=4096,
    )


def place_of(namespace: Namespace) -> Dentry:
    """Where a name space has its file."""
    filesystem = _filesystem()
    inode = filesystem.inode_at(namespace.label, Bound(_INODE, namespace), _of_root)
    place = Mount(filesystem, root=inode).root
    place.name = namespace.label
    return place


def _of_root(_mode: int) -> tuple[int, int]:
    return 0, 0


def _link(flag: int) -> Link[Subject]:
    def text(subject: Subject) -> bytes:
        return namespace_of(require_inspectable(subject), flag).label

    def target(subject: Subject) -> Dentry:
        return place_of(namespace_of(require_inspectable(subject), flag))

    return Link(text, target)


NS: Directory[Subject] = Directory({name: _link(flag) for name, flag in _KINDS.items()}, mode=0o511)
