"""The signs that an upper layer leaves for what it hides of the layers below.

They are those of Linux's overlay file system (Documentation/filesystems/overlayfs.rst), which other tools
read and write too: a whiteout is a character device 0:0, or an empty file with an attribute in a directory
that has one as well; an opaque directory has the attribute `opaque`. Attributes are `trusted.overlay.…`
where we are privileged, and `user.overlay.…` (Linux's mount option userxattr, fuse-overlayfs) where we are not.
Both are read everywhere.
"""

from typing import Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.stat import S
from aionoah.fs.inode import Inode

PREFIXES: Final = (b"trusted.overlay.", b"user.overlay.")  # guests neither see nor set them
_OPAQUE: Final = b"opaque"
_WHITEOUT: Final = b"whiteout"
_ORIGIN: Final = b"origin"
_IMPURE: Final = b"impure"
_REDIRECT: Final = b"redirect"
_METACOPY: Final = b"metacopy"
_HIDES_ALL: Final = b"y"
_HAS_WHITEOUTS: Final = b"x"  # among its files are whiteouts in the form of attributes


def is_private(name: bytes) -> bool:
    """Whether an extended attribute is the overlay's own."""
    return name.startswith(PREFIXES)


def _mark_of(inode: Inode, kind: bytes) -> bytes | None:
    """What cannot be read, because it is not allowed or not supported, marks nothing."""
    for prefix in PREFIXES:
        found = inode.marked(prefix + kind)
        if found is not None:
            return found
    return None


def _set_mark(inode: Inode, kind: bytes, value: bytes) -> None:
    """The privileged form if the file system lets us, else the user's. EOPNOTSUPP where it has neither."""
    for prefix in PREFIXES:
        try:
            inode.mark(prefix + kind, value)
        except LinuxError as error:
            if prefix == PREFIXES[-1] or error.errno not in (Errno.EPERM, Errno.EOPNOTSUPP):
                raise
        else:
            return


def is_opaque(directory: Inode) -> bool:
    """Whether a directory hides those of its name in the layers below."""
    return _mark_of(directory, _OPAQUE) == _HIDES_ALL


def make_opaque(directory: Inode) -> None:
    _set_mark(directory, _OPAQUE, _HIDES_ALL)


def origin_of(inode: Inode) -> bytes | None:
    """What a copy was made from (overlay_origin)."""
    return _mark_of(inode, _ORIGIN)


def set_origin(inode: Inode, value: bytes) -> None:
    """Where attributes can be had."""
    _note(inode, _ORIGIN, value)


def redirect_of(directory: Inode) -> bytes | None:
    """What a directory that Linux has renamed is called below: a path from the root, or a name beside it.

    EINVAL for anything else, above all for what would lead out of the layers (Linux: ovl_get_redirect_xattr).
    """
    found = _mark_of(directory, _REDIRECT)
    if found is None:
        return None
    names = found.removeprefix(b"/").split(b"/")
    is_valid = len(names) == 1 or found.startswith(b"/")
    if not is_valid or b"\0" in found or not {b"", b".", b".."}.isdisjoint(names):
        raise LinuxError(Errno.EINVAL)
    return found


def lacks_data(inode: Inode) -> bool:
    """Whether only what a file says of itself is in the upper layer, as Linux with metacopy=on leaves it."""
    return _mark_of(inode, _METACOPY) is not None


def is_impure(directory: Inode) -> bool:
    """Whether copies are in a directory of the upper layer, which have the numbers of other files."""
    return _mark_of(directory, _IMPURE) is not None


def make_impure(directory: Inode) -> None:
    _note(directory, _IMPURE, _HIDES_ALL)


def _note(inode: Inode, kind: bytes, value: bytes) -> None:
    """As _set_mark, for what can be done without: links carry no attributes for users."""
    try:
        _set_mark(inode, kind, value)
    except LinuxError as error:
        if error.errno not in (Errno.EPERM, Errno.EOPNOTSUPP, Errno.EACCES):
            raise


def has_file_whiteouts(directory: Inode) -> bool:
    """Whether empty files of a directory may be whiteouts."""
    return _mark_of(directory, _OPAQUE) == _HAS_WHITEOUTS


def is_device_whiteout(inode: Inode) -> bool:
    """Whether an entry, just looked up, says that there is none of its name."""
    return inode.kind == S.IFCHR and inode.looked_up_attributes().rdev == 0


def is_file_whiteout(inode: Inode) -> bool:
    """The same for an entry of a directory that has file whiteouts."""
    if inode.kind != S.IFREG or inode.looked_up_attributes().size:
        return False
    return _mark_of(inode, _WHITEOUT) is not None


def make_whiteout(directory: Inode, name: bytes) -> bool:
    """Make one in an upper layer: a device, which Linux allows everybody, else a file; whether it is a file."""
    try:
        directory.mknod(name, S.IFCHR, 0, 0, 0)
    except LinuxError as error:
        if error.errno not in (Errno.EPERM, Errno.EOPNOTSUPP, Errno.EINVAL):
            raise
    else:
        return False
    _set_mark(directory.create(name, 0o600, 0, 0), _WHITEOUT, _HIDES_ALL)
    return True


def expect_file_whiteouts(directory: Inode) -> None:
    """Say of a directory that is about to get a file whiteout that it has such ones."""
    if _mark_of(directory, _OPAQUE) is None:
        _set_mark(directory, _OPAQUE, _HAS_WHITEOUTS)
