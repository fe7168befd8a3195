"""Extended attributes of the host's files.

What is the guests' own business (capabilities, access control lists, what only their root may see) is kept under names
of ours in the space of users' attributes. Links, FIFOs and sockets cannot have such: theirs are remembered by the instance.
"""

import os
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final

from aionoah.abi.acl import XATTR_POSIX_ACL_ACCESS, XATTR_POSIX_ACL_DEFAULT
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.stat import S
from aionoah.abi.xattr import XATTR
from aionoah.fs.acl import Entry, parse
from aionoah.fs.host_io import on_descriptor
from aionoah.fs.hostfs_owners import OVERRIDE
from aionoah.fs.hostwatch import as_own
from aionoah.fs.inode import Inode
from aionoah.fs.trails import Tree
from aionoah.host.errors import host_errors

if TYPE_CHECKING:
    from aionoah.fs.hostfs import HostDirectory, HostFileSystem

_USER_XATTRS: Final = b"user."  # the only ones that guests may change on the host
_KEPT_XATTRS: Final = b"user.aionoah."
"""Before the names of those that they may not: what a guest's root says of security is for guests only."""
_CAN_CARRY: Final = (S.IFREG, S.IFDIR)


class HostAttributed(Inode):
    """An inode of the host with extended attributes."""

    filesystem: "HostFileSystem"
    identity: tuple[int, int]
    directory: "HostDirectory | None"
    name: bytes
    seen: os.stat_result
    _kind: int
    _list: tuple[int, list[Entry] | None] | None
    _marks: tuple[int, dict[bytes, bytes | None]] | None

    def pinned(self) -> AbstractContextManager[int]:
        """A descriptor that surely names this file, maybe without any right to its data."""
        raise NotImplementedError

    def get_xattr(self, name: bytes) -> bytes:
        """What a guest has set comes before what the host has of that name."""
        if self._remembers(name) and name in self._remembered():
            return self._remembered()[name]
        kept = _kept_name(name)
        if kept != name:
            try:
                return self._get_xattr(kept)
            except LinuxError as error:
                if error.errno not in (Errno.ENODATA, Errno.EPERM, Errno.EACCES):
                    raise
        return self._get_xattr(name)

    def _get_xattr(self, name: bytes) -> bytes:
        if not hasattr(os, "getxattr"):
            raise LinuxError(Errno.EOPNOTSUPP)
        with self.pinned() as fd, host_errors():
            return on_descriptor(fd, lambda file: os.getxattr(file, name))

    @as_own
    def set_xattr(self, name: bytes, value: bytes, flags: int) -> None:
        kept = _kept_name(name)
        if self._remembers(name):
            self._remember(name, value, flags)
            return
        if not hasattr(os, "setxattr"):
            raise LinuxError(Errno.EOPNOTSUPP)
        if name in (XATTR_POSIX_ACL_ACCESS, XATTR_POSIX_ACL_DEFAULT):
            self._expect_lists()
        with self.pinned() as fd, host_errors():
            on_descriptor(fd, lambda file: os.setxattr(file, kept, value, flags))

    def _expect_lists(self) -> None:
        """From now on a mode does not say all: no user is let through by what a trail remembers of it."""
        if not self.filesystem.has_lists:
            self.filesystem.has_lists = True
            Tree.changes += 1
        self._list = None

    @as_own
    def mark(self, name: bytes, value: bytes) -> None:
        if not hasattr(os, "setxattr"):
            raise LinuxError(Errno.EOPNOTSUPP)
        with self.pinned() as fd, host_errors():
            on_descriptor(fd, lambda file: os.setxattr(file, name, value))
        self._marks = None

    def marked(self, name: bytes) -> bytes | None:
        stamp = self.seen.st_ctime_ns
        if self._marks is None or self._marks[0] != stamp:
            self._marks = stamp, {}
        known = self._marks[1]
        if name not in known:
            try:
                known[name] = self.read_mark(name)
            except (OSError, AttributeError, LinuxError):
                known[name] = None
        return known[name]

    def list_xattrs(self) -> list[bytes]:
        if not hasattr(os, "listxattr"):
            raise LinuxError(Errno.EOPNOTSUPP)
        with self.pinned() as fd, host_errors():
            names = [os.fsencode(name) for name in on_descriptor(fd, os.listxattr)]
        shown = dict.fromkeys(name.removeprefix(_KEPT_XATTRS) for name in names if name != OVERRIDE)
        return list(shown | dict.fromkeys(self._remembered()))

    @as_own
    def remove_xattr(self, name: bytes) -> None:
        kept, self._list = _kept_name(name), None
        if self._remembers(name):
            self._forget(name)
            return
        if not hasattr(os, "removexattr"):
            raise LinuxError(Errno.EOPNOTSUPP)
        with self.pinned() as fd, host_errors():
            on_descriptor(fd, lambda file: os.removexattr(file, kept))

    def access_list(self) -> list[Entry] | None:
        """What a guest has set. Lists of the host's own are the host's business, which asks them when we open."""
        if not self.keeps_lists():
            return None
        stamp = self.seen.st_ctime_ns
        if self._list is None or self._list[0] != stamp:
            try:
                entries = parse(self.read_mark(_KEPT_XATTRS + XATTR_POSIX_ACL_ACCESS))
            except (OSError, AttributeError, LinuxError):
                entries = None
            self._list = stamp, entries
        return self._list[1]

    def keeps_lists(self) -> bool:
        filesystem = self.filesystem
        return filesystem.has_lists or (filesystem.owners is not None and not filesystem.is_ours_alone)

    def read_mark(self, name: bytes) -> bytes:
        """An extended attribute, asked for in one call. OSError; AttributeError on hosts that have none."""
        with self.pinned() as fd:
            return on_descriptor(fd, lambda file: os.getxattr(file, name))

    # -- of what carries none ---------------------------------------------------------------------------

    def _remembers(self, name: bytes) -> bool:
        return self._kind not in _CAN_CARRY and not name.startswith(_USER_XATTRS)

    def _remembered(self) -> dict[bytes, bytes]:
        return self.filesystem.attributes_of.get(self.identity, {})

    def _remember(self, name: bytes, value: bytes, flags: int) -> None:
        known = self.filesystem.attributes_of.setdefault(self.identity, {})
        if flags & XATTR.CREATE and name in known:
            raise LinuxError(Errno.EEXIST)
        if flags & XATTR.REPLACE and name not in known:
            raise LinuxError(Errno.ENODATA)
        known[name] = value

    def _forget(self, name: bytes) -> None:
        if self._remembered().pop(name, None) is None:
            raise LinuxError(Errno.ENODATA)


def _kept_name(name: bytes) -> bytes:
    """The host's name of a guest's attribute. EPERM for those that are ours."""
    if name == OVERRIDE or name.startswith(_KEPT_XATTRS):
        raise LinuxError(Errno.EPERM)
    return name if name.startswith(_USER_XATTRS) else _KEPT_XATTRS + name
