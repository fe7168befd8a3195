"""Who may do what to an inode, by its mode bits.

Sources: path_resolution(7), inode(7); Linux fs/namei.c (generic_permission, check_sticky) and fs/attr.c.
Capabilities are those of capabilities(7): CAP_DAC_OVERRIDE and the like, wherever a task has dropped them too. Those of a user
name space count for files whose owners have names there.
"""

from collections.abc import Callable, Collection
from functools import cached_property
from typing import Final, NamedTuple, Protocol

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import ACCESS
from aionoah.abi.stat import S, is_directory
from aionoah.fs.acl import grants
from aionoah.fs.inode import Attributes, Inode
from aionoah.process.user_namespaces import FIRST, UserNamespace


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

    @property
    def effective(self) -> int:
        """Capabilities as a set of bits, or BY_USER."""
        ...

    @property
    def permitted(self) -> int:
        """Those that access(2) goes by for a real user 0."""
        ...

    @property
    def user_namespace(self) -> UserNamespace:
        """How far they reach."""
        ...


_SEARCHES_ALL: Final = 1 << CAP.DAC_OVERRIDE | 1 << CAP.DAC_READ_SEARCH

BY_USER: Final = -1
"""Instead of a set of capabilities: user 0 has all of them, nobody else any."""


class _Who(NamedTuple):
    uid: int
    gid: int
    groups: Collection[int] = ()
    capabilities: int = BY_USER
    namespace: UserNamespace = FIRST


class Identity(_Who):
    """A user with groups, as permission checks see one."""

    def has(self, capability: int) -> bool:
        """Whether a number of CAP is among the capabilities, and counts for any file."""
        if self.capabilities == BY_USER:
            return self.uid == 0
        return bool(self.capabilities >> capability & 1) and self.namespace is FIRST

    def has_over(self, capability: int, uid: int, gid: int) -> bool:
        """Whether it counts for a file of these owners: both have names where it does (capable_wrt_inode_uidgid)."""
        if self.namespace is FIRST:
            return self.has(capability)
        return bool(self.capabilities >> capability & 1) and self.namespace.maps(uid, gid)

    @cached_property
    def searches_all(self) -> bool:
        """Whether no directory is closed to it."""
        if self.capabilities == BY_USER:
            return self.uid == 0
        return bool(self.capabilities & _SEARCHES_ALL) and self.namespace is FIRST

    def is_member(self, gid: int) -> bool:
        return gid == self.gid or gid in self.groups

    def may_act_as(self, uid: int) -> bool:
        """Whether this is the owner `uid`, or may do what owners may."""
        return self.uid == uid or self.has_over(CAP.FOWNER, uid, self.gid)


def effective_identity(credentials: Credentials) -> Identity:
    return Identity(
        *(credentials.fsuid, credentials.fsgid, credentials.groups, credentials.effective),
        credentials.user_namespace,
    )


def real_identity(credentials: Credentials) -> Identity:
    """For access(2): the real user, with the capabilities that a program of that user would have."""
    capabilities, namespace = credentials.permitted, credentials.user_namespace
    if capabilities != BY_USER and credentials.uid != namespace.root:
        capabilities = 0
    return Identity(credentials.uid, credentials.gid, credentials.groups, capabilities, namespace)


def allows(attributes: Attributes, identity: Identity, wanted: int, inode: Inode | None = None) -> bool:
    """Whether all of `wanted` (bits of ACCESS) are granted; `inode` is asked for its access control list."""
    if _is_granted(attributes, identity, wanted, inode):
        return True
    mode = attributes.mode
    may_execute = is_directory(mode) or bool(mode & S.IXUGO)
    owners = attributes.uid, attributes.gid
    if identity.has_over(CAP.DAC_OVERRIDE, *owners) and (not wanted & ACCESS.X or may_execute):
        return True
    harmless = ACCESS.R | ACCESS.X if is_directory(mode) else ACCESS.R
    if not wanted & ~harmless and identity.has_over(CAP.DAC_READ_SEARCH, *owners):
        return True
    return inode is not None and inode.lets_in()


def _is_granted(attributes: Attributes, identity: Identity, wanted: int, inode: Inode | None) -> bool:
    mode = attributes.mode
    if identity.uid == attributes.uid:
        return not wanted & ~(mode >> 6) & 7
    if inode is not None and mode & S.IRWXG:
        entries = inode.access_list()
        if entries:
            return grants(entries, attributes, identity, wanted)
    granted = mode >> 3 if identity.is_member(attributes.gid) else mode
    return not wanted & ~granted & 7


def require(attributes: Attributes, identity: Identity, wanted: int, inode: Inode | None = None) -> None:
    """EACCES unless `allows`."""
    if not allows(attributes, identity, wanted, inode):
        raise LinuxError(Errno.EACCES)


def require_not_running(
    attributes: Attributes, inode: Inode, programs: Callable[[], Collection[Inode]]
) -> None:
    """ETXTBSY for a program that somebody runs (deny_write_access)."""
    if attributes.mode & S.IXUGO and inode in programs():
        raise LinuxError(Errno.ETXTBSY)


def require_removable(
    directory: Attributes, entry: Attributes, identity: Identity, inode: Inode | None = None
) -> None:
    """May the entry be removed from or renamed in the directory: EACCES, and EPERM in a sticky one."""
    require(directory, identity, ACCESS.W | ACCESS.X, inode)
    if directory.mode & S.ISVTX and not (
        identity.may_act_as(entry.uid) or identity.may_act_as(directory.uid)
    ):
        raise LinuxError(Errno.EPERM)
