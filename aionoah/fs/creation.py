"""Making new names: mkdir, mknod, symlink, link, and the file that open makes.

Sources: mkdir(2), mknod(2), symlink(2), link(2); Linux fs/namei.c (filename_create, may_create) and
fs/inode.c (inode_init_owner). The order of the checks is the kernel's, since programs see which
error comes first.
"""

from typing import NamedTuple

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import ACCESS
from aionoah.abi.limits import PATH_MAX
from aionoah.abi.stat import S
from aionoah.fs import notify
from aionoah.fs.acl import Entry
from aionoah.fs.context import FsContext
from aionoah.fs.inode import Attributes, Inode
from aionoah.fs.lists import default_list, inherit
from aionoah.fs.path import Dentry, LastComponent, retried, walk_parent
from aionoah.fs.permissions import require


class Masked(NamedTuple):
    """The mode for a new file, and the list that it inherits: that replaces the umask (umask(2))."""

    mode: int
    default: list[Entry]

    def pass_on(self, made: Inode) -> None:
        if self.default:
            inherit(made, self.default, self.mode)


def masked(context: FsContext, directory: Dentry, mode: int) -> Masked:
    """What the umask, or the directory's default access control list, leaves of a mode."""
    default = default_list(directory.inode)
    return Masked(mode if default else mode & ~context.umask, default)


def new_owner(context: FsContext, attributes: Attributes, mode: int) -> tuple[int, int, int]:
    """Mode, user and group of a new inode in a directory with these attributes: set-group-ID passes its group on."""
    identity = context.identity
    if not attributes.mode & S.ISGID:
        return mode, identity.uid, identity.gid
    if mode & S.IFMT == S.IFDIR:
        mode |= S.ISGID
    elif not may_keep_setgid(context, attributes.gid) and mode & S.IXGRP:
        mode &= ~S.ISGID
    return mode, identity.uid, attributes.gid


def may_keep_setgid(context: FsContext, gid: int) -> bool:
    """Only members of a file's group, and root, may have set-group-ID on it."""
    identity = context.identity
    return identity.has(CAP.FSETID) or identity.is_member(gid)


def without_privilege(context: FsContext, attributes: Attributes) -> int | None:
    """The permission bits after a change of owner or contents, None if they stay."""
    drop = S.ISUID
    if attributes.mode & S.IXGRP or not may_keep_setgid(context, attributes.gid):
        drop |= S.ISGID
    return attributes.mode & S.IALLUGO & ~drop if attributes.mode & drop else None


def require_may_create(context: FsContext, directory: Dentry) -> Attributes:
    """The attributes of the directory. EROFS, ENOENT in a removed one, EACCES."""
    directory.mount.require_writable()
    if directory.is_deleted:
        raise LinuxError(Errno.ENOENT)
    attributes = directory.inode.attributes()
    require(attributes, context.identity, ACCESS.W | ACCESS.X, directory.inode)
    return attributes


def _exists(place: LastComponent) -> bool:
    try:
        place.directory.child(place.name)
    except LinuxError as error:
        if error.errno is not Errno.ENOENT:
            raise
        return False
    return True


def _new_name(
    context: FsContext, start: Dentry, path: bytes, *, for_directory: bool = False
) -> tuple[LastComponent, Attributes]:
    """Where something new may be made, and the attributes of its directory: EEXIST, ENOENT, EROFS, EACCES."""
    place = walk_parent(context, start, path)
    if not place.is_ordinary or _exists(place):
        raise LinuxError(Errno.EEXIST)
    if place.wants_directory and not for_directory:
        raise LinuxError(Errno.ENOENT)
    return place, require_may_create(context, place.directory)


@retried
def mkdir(context: FsContext, start: Dentry, path: bytes, mode: int) -> Dentry:
    """mkdirat(2)."""
    place, above = _new_name(context, start, path, for_directory=True)
    wanted = masked(context, place.directory, mode & (S.IRWXUGO | S.ISVTX))
    mode, uid, gid = new_owner(context, above, S.IFDIR | wanted.mode)
    made = place.directory.inode.mkdir(place.name, mode & S.IALLUGO, uid, gid)
    wanted.pass_on(made)
    notify.created(place.directory, place.name, made)
    return place.directory.attach(place.name, made)


def require_node_mode(mode: int) -> None:
    """Whether mknodat(2) makes such a thing at all: EPERM for a directory, EINVAL (may_mknod)."""
    kind = mode & S.IFMT
    if kind == S.IFDIR:
        raise LinuxError(Errno.EPERM)
    if kind not in (0, S.IFREG, S.IFCHR, S.IFBLK, S.IFIFO, S.IFSOCK):
        raise LinuxError(Errno.EINVAL)


@retried
def mknod(context: FsContext, start: Dentry, path: bytes, mode: int, rdev: int) -> Dentry:
    """mknodat(2): a regular file, FIFO or socket for everybody, a device for root: EPERM. The mode has been required.

    `rdev` is in the 64-bit form of stat.
    """
    kind = mode & S.IFMT or S.IFREG
    place, above = _new_name(context, start, path)
    is_whiteout = kind == S.IFCHR and rdev == 0  # the mark of overlay file systems, which harms nobody
    if kind in (S.IFCHR, S.IFBLK) and not is_whiteout and not context.identity.has(CAP.MKNOD):
        raise LinuxError(Errno.EPERM)
    wanted = masked(context, place.directory, mode & S.IALLUGO)
    mode, uid, gid = new_owner(context, above, kind | wanted.mode)
    directory = place.directory.inode
    if kind == S.IFREG:
        made = directory.create(place.name, mode & S.IALLUGO, uid, gid)
    else:
        made = directory.mknod(place.name, mode, rdev, uid, gid)
    wanted.pass_on(made)
    notify.created(place.directory, place.name, made)
    return place.directory.attach(place.name, made)


@retried
def symlink(context: FsContext, target: bytes, start: Dentry, path: bytes) -> Dentry:
    """symlinkat(2)."""
    if not target:
        raise LinuxError(Errno.ENOENT)
    if len(target) >= PATH_MAX:
        raise LinuxError(Errno.ENAMETOOLONG)
    place, above = _new_name(context, start, path)
    _, uid, gid = new_owner(context, above, S.IFLNK | S.IRWXUGO)
    made = place.directory.inode.symlink(place.name, target, uid, gid)
    notify.created(place.directory, place.name, made)
    return place.directory.attach(place.name, made)


@retried
def link_dentry(context: FsContext, old: Dentry, start: Dentry, path: bytes) -> None:
    """linkat(2) of what its first path, or its descriptor, has led to. EXDEV, EPERM for directories."""
    place, _ = _new_name(context, start, path)
    if old.mount is not place.directory.mount:
        raise LinuxError(Errno.EXDEV)
    if old.inode.kind == S.IFDIR:
        raise LinuxError(Errno.EPERM)
    place.directory.inode.link(place.name, old.inode)
    notify.linked(place.directory, place.name, old.inode)
