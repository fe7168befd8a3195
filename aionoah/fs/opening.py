"""Opening by path, with all that the flags ask for.

Sources: open(2), openat2(2); Linux fs/namei.c (open_last_lookups, lookup_open, do_open, may_open).
"""

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import ACCESS, O
from aionoah.abi.limits import NAME_MAX
from aionoah.abi.stat import S
from aionoah.fs import notify
from aionoah.fs.context import FsContext
from aionoah.fs.creation import masked, new_owner, require_may_create, without_privilege
from aionoah.fs.directory import PathFile
from aionoah.fs.file import File
from aionoah.fs.file_capabilities import remove_capabilities
from aionoah.fs.holding import hold
from aionoah.fs.inode import Attributes, Change, Inode
from aionoah.fs.leases import LEASES, ask_holders
from aionoah.fs.path import Dentry, last_directory, retried, stat
from aionoah.fs.permissions import require, require_not_running
from aionoah.fs.regular import RegularFile
from aionoah.fs.walking import DOTS, Walk

_PATH_FLAGS = O.PATH | O.DIRECTORY | O.NOFOLLOW
_CREATION_FLAGS = O.CREAT | O.EXCL | O.NOCTTY | O.TRUNC | O.CLOEXEC
_NAMELESS = O.TMPFILE & ~O.DIRECTORY  # O_TMPFILE's own bit
_SPECIAL = O.PATH | O.CREAT | _NAMELESS
_WANTED = {
    O.RDONLY: ACCESS.R,
    O.WRONLY: ACCESS.W,
    O.RDWR: ACCESS.R | ACCESS.W,
    O.ACCMODE: ACCESS.R | ACCESS.W,
}


@retried
def open_file(
    context: FsContext, start: Dentry, path: bytes, flags: O, mode: int = 0, resolve: int = 0
) -> File:
    """openat2(2): the open file description, whose one reference the caller owns.

    O_CLOEXEC is the descriptor's and left to the caller, like O_NOCTTY. MustWait for a FIFO.
    """
    if not flags & _SPECIAL:
        target, seen = stat(context, start, path, follow=not flags & O.NOFOLLOW, resolve=resolve)
        return open_dentry(context, target, flags, seen)
    if O.PATH in flags:
        return _open_path(context, start, path, flags, resolve)
    _require_sensible(flags)
    if O.TMPFILE in flags:
        directory = Walk(context, start, path, resolve).finish(follow=O.NOFOLLOW not in flags)
        return _open_nameless(context, directory, flags, mode)
    return _open_or_create(context, start, path, flags, mode, resolve)


def _open_or_create(
    context: FsContext, start: Dentry, path: bytes, flags: O, mode: int, resolve: int
) -> File:
    follow = not flags & (O.NOFOLLOW | O.EXCL)
    place = None if resolve else last_directory(context, start, path)
    if place is not None:
        directory, name, _ = place
        try:
            target = directory.child(name)
        except LinuxError as error:
            made = _create_missing(context, directory, name, mode, error)
            return _opened(context, made, None, flags, is_new=True)
        if not follow or target.inode.kind != S.IFLNK:
            is_fresh = target.mount is directory.mount
            seen = target.inode.looked_up_attributes() if is_fresh else target.inode.attributes()
            return _open_found(context, target, flags, seen)
    state = Walk(context, start, path, resolve)
    target, is_new = _look_up_or_create(context, state, mode, follow=follow)
    if is_new:
        return _opened(context, target, None, flags, is_new=True)
    return _open_found(context, target, flags, state.attributes())


def _open_found(context: FsContext, target: Dentry, flags: O, seen: Attributes) -> File:
    if flags & O.EXCL:
        raise LinuxError(Errno.EEXIST)
    if target.inode.kind == S.IFDIR:
        raise LinuxError(Errno.EISDIR)
    return open_dentry(context, target, flags, seen)


def _require_sensible(flags: O) -> None:
    """A directory is not created, and a nameless file is for writing. EINVAL. (Linux 6.4, build_open_flags)"""
    if O.CREAT in flags and O.DIRECTORY in flags:
        raise LinuxError(Errno.EINVAL)
    if flags & _NAMELESS and not (O.DIRECTORY in flags and flags & O.ACCMODE):
        raise LinuxError(Errno.EINVAL)


def _open_path(context: FsContext, start: Dentry, path: bytes, flags: O, resolve: int) -> File:
    target = Walk(context, start, path, resolve).finish(follow=O.NOFOLLOW not in flags)
    if O.DIRECTORY in flags and target.inode.kind != S.IFDIR:
        raise LinuxError(Errno.ENOTDIR)
    return open_path(target, flags)


def open_path(target: Dentry, flags: O) -> File:
    """O_PATH: only the place, which goes on being the same file."""
    return PathFile(O(flags & _PATH_FLAGS), target, hold(target.inode))


def _look_up_or_create(context: FsContext, state: Walk, mode: int, *, follow: bool) -> tuple[Dentry, bool]:
    """What the path leads to, made as a regular file if there is nothing; whether it was made."""
    while (name := state.to_last()) is not None:
        if name in DOTS:
            state.arrive(name, state.step(name))
            return state.position, False
        if state.wants_directory:
            raise LinuxError(Errno.EISDIR)
        if len(name) > NAME_MAX:
            raise LinuxError(Errno.ENAMETOOLONG)
        try:
            target = state.step(name)
        except LinuxError as error:
            return _create_missing(context, state.position, name, mode, error), True
        if not follow or target.inode.kind != S.IFLNK:
            state.arrive(name, target)
            return target, False
        state.enter_link(target)
    return state.position, False


def _create_missing(
    context: FsContext, directory: Dentry, name: bytes, mode: int, error: LinuxError
) -> Dentry:
    """After a lookup that has failed: with ENOENT, or with what is raised again."""
    if error.errno is not Errno.ENOENT:
        raise error
    return _create(context, directory, name, mode)


def _create(context: FsContext, directory: Dentry, name: bytes, mode: int) -> Dentry:
    above = require_may_create(context, directory)
    wanted = masked(context, directory, mode & S.IALLUGO)
    mode, uid, gid = new_owner(context, above, S.IFREG | wanted.mode)
    try:
        inode = directory.inode.create(name, mode & S.IALLUGO, uid, gid)
    except LinuxError as error:
        if error.errno is not Errno.EEXIST:
            raise
        raise LinuxError(Errno.ESTALE) from None  # the host was quicker: look again
    wanted.pass_on(inode)
    notify.created(directory, name, inode)
    return directory.attach(name, inode)


def _open_nameless(context: FsContext, directory: Dentry, flags: O, mode: int) -> File:
    """O_TMPFILE: a file that is in no directory; without O_EXCL linkat may put it into one."""
    if directory.inode.kind != S.IFDIR:
        raise LinuxError(Errno.ENOTDIR)
    above = require_may_create(context, directory)
    wanted = masked(context, directory, mode & S.IALLUGO)
    mode, uid, gid = new_owner(context, above, S.IFREG | wanted.mode)
    is_linkable = O.EXCL not in flags
    made = directory.inode.create_nameless(mode & S.IALLUGO, uid, gid, is_linkable=is_linkable)
    wanted.pass_on(made)
    attributes = made.attributes()
    target = Dentry(directory.mount, directory, b"#%d" % attributes.ino, made)
    target.is_deleted = True
    return _opened(context, target, attributes, flags, is_new=True)


def open_dentry(context: FsContext, target: Dentry, flags: O, attributes: Attributes | None = None) -> File:
    """Open what a walk has found, after the checks of may_open; `attributes` if they are known.

    ENOTDIR, ELOOP for a symbolic link, EISDIR, EACCES, EROFS, EPERM, ENXIO.
    """
    inode = target.inode
    kind = inode.kind
    if flags & O.DIRECTORY and kind != S.IFDIR:
        raise LinuxError(Errno.ENOTDIR)
    if kind == S.IFLNK:
        raise LinuxError(Errno.ELOOP)
    wanted = _WANTED[flags & O.ACCMODE] | (ACCESS.W if flags & O.TRUNC else 0)
    if kind == S.IFDIR and wanted & ACCESS.W:
        raise LinuxError(Errno.EISDIR)
    attributes = attributes or inode.attributes()
    require(attributes, context.identity, wanted, inode)
    if wanted & ACCESS.W and kind == S.IFREG:
        target.mount.require_writable()
    if kind in (S.IFCHR, S.IFBLK):
        target.mount.require_devices()
    if flags & O.NOATIME and not context.identity.may_act_as(attributes.uid):
        raise LinuxError(Errno.EPERM)
    if kind == S.IFREG and (LEASES or wanted & ACCESS.W):
        _require_free(context, inode, attributes, wanted, flags)
    if kind == S.IFDIR:
        hold(inode)
    if not flags & O.TRUNC or kind != S.IFREG:
        return _opened(context, target, attributes, flags)
    inode.will_be_emptied()
    file = _opened(context, target, attributes, flags)
    _empty(file)
    return file


def _require_free(context: FsContext, inode: Inode, attributes: Attributes, wanted: int, flags: O) -> None:
    """ETXTBSY for what runs; who has a lease is asked first."""
    if wanted & ACCESS.W:
        require_not_running(attributes, inode, context.programs)
    if LEASES:
        ask_holders(inode, flags)


def _opened(
    context: FsContext, target: Dentry, attributes: Attributes | None, flags: O, *, is_new: bool = False
) -> File:
    file = target.inode.open(_status(flags), target)
    target.mount.has_expired = False
    if flags & (O.ACCMODE | O.TRUNC) and isinstance(file, RegularFile):  # it may be changed
        mode = None
        if not context.identity.has(CAP.FSETID):
            mode = without_privilege(context, attributes or target.inode.attributes())
        if mode is not None or not is_new:
            file.before_write = lambda: _remove_privileges(target.inode, mode)
    file.opened(flags)
    if notify.WATCHES:
        notify.opened(file)
    return file


def _remove_privileges(inode: Inode, mode: int | None) -> None:
    """Other contents are another program, which nobody has given the rights of this one; `mode` if it changes."""
    if mode is not None:
        inode.change(Change(mode=mode))
    remove_capabilities(inode)


def _status(flags: O) -> O:
    """The flags that stay with an open file; F_GETFL shows O_LARGEFILE as on any 64-bit kernel."""
    return O((flags & ~_CREATION_FLAGS) | O.LARGEFILE)


def _empty(file: File) -> None:
    """O_TRUNC, which works with O_RDONLY too. The file is closed again if it cannot be emptied."""
    try:
        if isinstance(file, RegularFile):
            file.changing()
        if file.is_writable:
            file.truncate(0)
        else:
            file.inode.change(Change(size=0))
        if notify.WATCHES:
            notify.modified(file)
    except LinuxError:
        file.drop()
        raise
