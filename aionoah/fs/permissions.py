"""Who may do what to an inode, by its mode bits.

Sources: path_resolution(7), inode(7); Linux fs/namei.c (generic_permission, check_sticky) and fs/attr.c.
User 0 stands for all capabilities; access control lists are not consulted.
"""

from collections.abc import Collection
from typing import NamedTuple, Protocol

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import ACCESS
from aionoah.abi.stat import S, is_directory
from aionoah.fs.inode import Attributes


class Credentials(Protocol):
    """What the file system asks of a task's credentials."""

    @property
    def uid(self) -> int:
        """The real user, for access(2)."""
        ...

    @property
    def gid(self) -> int: ...

    @property
    def fsuid(self) -> int:
        """The user on whose behalf files are used: the effective one but for setfsuid(2)."""
        ...

    @property
    def fsgid(self) -> int: ...

    @property
    def groups(self) -> Collection[int]:
        """Supplementary groups."""
        ...


class Identity(NamedTuple):
    """A user with groups, as permission checks see one."""

    uid: int
    gid: int
    groups: Collection[int] = ()

    @property
    def is_root(self) -> bool:
        return self.uid == 0

    def is_member(self, gid: int) -> bool:
        return gid == self.gid or gid in self.groups

    def may_act_as(self, uid: int) -> bool:
        """Whether this is the owner `uid`, or root."""
        return self.uid in (uid, 0)


def effective_identity(credentials: Credentials) -> Identity:
    return Identity(credentials.fsuid, credentials.fsgid, credentials.groups)


def real_identity(credentials: Credentials) -> Identity:
    return Identity(credentials.uid, credentials.gid, credentials.groups)


def allows(attributes: Attributes, identity: Identity, wanted: int) -> bool:
    """Whether all of `wanted` (bits of ACCESS) are granted.

    Root may read and write everything and search every directory, but executes only what somebody may.
    """
    mode = attributes.mode
    if identity.is_root:
        return not wanted & ACCESS.X or is_directory(mode) or bool(mode & S.IXUGO)
    if identity.uid == attributes.uid:
        granted = mode >> 6
    elif identity.is_member(attributes.gid):
        granted = mode >> 3
    else:
        granted = mode
    return not wanted & ~granted & 7


def require(attributes: Attributes, identity: Identity, wanted: int) -> None:
    """EACCES unless `allows`."""
    if not allows(attributes, identity, wanted):
        raise LinuxError(Errno.EACCES)


def require_removable(directory: Attributes, entry: Attributes, identity: Identity) -> None:
    """May the entry be removed from or renamed in the directory: EACCES, and EPERM in a sticky one."""
    require(directory, identity, ACCESS.W | ACCESS.X)
    if directory.mode & S.ISVTX and not (
        identity.may_act_as(entry.uid) or identity.may_act_as(directory.uid)
    ):
        raise LinuxError(Errno.EPERM)
