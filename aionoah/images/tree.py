"""A layer's entries as files below one directory, which nothing in the layer can lead out of.

Every call names one component below a descriptor and follows no link. What this user may not give a file, its owner,
mode or being a device, is noted in the attribute that guests' file systems read (fs/hostfs_owners.py); whiteouts
become those of overlay file systems. A layer is unpacked by itself: what it does not say of directories above its
files is taken to be root's and 0755, and a hard link leads to a file of the same layer.
"""

import math
import os
import stat
import tarfile
from typing import Final

from aionoah.abi.limits import ID_MAX
from aionoah.abi.stat import S, makedev
from aionoah.fs.hostfs_owners import OVERRIDE, Belief
from aionoah.images import ImageError
from aionoah.images.archive import Reader

_MAX_MAJOR: Final = (1 << 12) - 1
_MAX_MINOR: Final = (1 << 20) - 1
_MAX_TIME: Final = 1 << 34  # seconds: what ext4 can keep
_PIECE: Final = 1 << 20  # bytes of a read
_OPEN_DIRECTORIES: Final = 64
_WHITEOUT: Final = b".wh."
_OPAQUE: Final = b".wh..wh..opq"
_MARK: Final = b"user.overlay."  # of Documentation/filesystems/overlayfs.rst, with the option userxattr
_KEPT: Final = b"user.aionoah."  # before the names of attributes that mean something to guests only
_XATTR: Final = "SCHILY.xattr."
_ATTRIBUTES: Final = ("user.", "security.capability")
_OURS: Final = ("user.overlay.", "user.containers.", "user.aionoah.")
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

Parts = tuple[bytes, ...]


class Tree:
    """What is unpacked so far. Methods raise ImageError, and OSError of the host's file system."""

    def __init__(self, top: int) -> None:
        """`top`: a descriptor of an empty directory, which stays the caller's."""
        self._top = top
        self._uid, self._gid = os.geteuid(), os.getegid()
        self._open: dict[Parts, int] = {}
        self._whiteouts: set[Parts] = set()
        self._times: dict[Parts, int] = {}  # of directories, set when nothing is made in them any more
        self._settle(top, Belief(0, 0, S.IFDIR | 0o755))

    def close(self) -> None:
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()

    def finish(self) -> None:
        for parts, time_ns in self._times.items():
            os.utime(self._directory(parts), ns=(time_ns, time_ns))

    def add(self, member: tarfile.TarInfo, archive: tarfile.TarFile) -> None:
        parts = _parts(member.name)
        if not parts:
            if not member.isdir():
                raise ImageError(f"a layer's entry {member.name!r} is its top and no directory")
            self._set_directory(parts, self._top, member)
        elif parts[-1].startswith(_WHITEOUT):
            self._add_whiteout(parts[:-1], parts[-1])
        elif member.isdir():
            self._set_directory(parts, self._directory(parts), member)
        else:
            self._add_file(parts, member, archive)

    # -- directories --------------------------------------------------------------------------------------

    def _directory(self, parts: Parts) -> int:
        """A descriptor of a directory, made if there is none."""
        if not parts:
            return self._top
        known = self._open.get(parts)
        if known is not None:
            return known
        above = self._directory(parts[:-1])
        try:
            fd = os.open(parts[-1], _DIRECTORY, dir_fd=above)
        except FileNotFoundError:
            fd = self._make_directory(above, parts[-1])
        except NotADirectoryError:
            if parts not in self._whiteouts:
                raise ImageError(
                    f"a layer's entry {_show(parts)} is a directory and something else"
                ) from None
            self._remove_whiteout(parts, above)
            fd = self._make_directory(above, parts[-1])
            os.setxattr(fd, _MARK + b"opaque", b"y")
        if len(self._open) >= _OPEN_DIRECTORIES:
            self.close()
            os.close(fd)
            return self._directory(parts)
        self._open[parts] = fd
        return fd

    def _make_directory(self, above: int, name: bytes) -> int:
        os.mkdir(name, 0o700, dir_fd=above)
        fd = os.open(name, _DIRECTORY, dir_fd=above)
        try:
            self._settle(fd, Belief(0, 0, S.IFDIR | 0o755))
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _set_directory(self, parts: Parts, fd: int, member: tarfile.TarInfo) -> None:
        self._settle(fd, _belief(member, S.IFDIR))
        _set_attributes(fd, member)
        self._times[parts] = _time_ns(member)

    # -- whiteouts ----------------------------------------------------------------------------------------

    def _add_whiteout(self, above: Parts, name: bytes) -> None:
        """OCI image-spec, layer.md, "Whiteouts": they hide what is below, never what this layer has itself."""
        directory = self._directory(above)
        hidden = name.removeprefix(_WHITEOUT)
        if name == _OPAQUE:
            os.setxattr(directory, _MARK + b"opaque", b"y")
            return
        if hidden.startswith(_WHITEOUT):
            return  # another of aufs's own files
        if hidden in (b"", b".", b".."):
            raise ImageError(f"a layer's entry {_show((*above, name))} hides nothing that may be hidden")
        try:
            found = os.stat(hidden, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            self._make_whiteout(directory, hidden)
            self._whiteouts.add((*above, hidden))
        else:
            if stat.S_ISDIR(found.st_mode):
                os.setxattr(self._directory((*above, hidden)), _MARK + b"opaque", b"y")

    @staticmethod
    def _make_whiteout(directory: int, name: bytes) -> None:
        """A device 0:0, which Linux lets everybody make; where it does not, a marked file."""
        try:
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=directory)
        except (PermissionError, AttributeError):
            fd = os.open(name, _NEW, 0o600, dir_fd=directory)
            try:
                os.setxattr(fd, _MARK + b"whiteout", b"y")
            finally:
                os.close(fd)
            if b"user.overlay.opaque".decode() not in os.listxattr(directory):
                os.setxattr(directory, _MARK + b"opaque", b"x")

    def _remove_whiteout(self, parts: Parts, above: int) -> None:
        self._whiteouts.discard(parts)
        os.unlink(parts[-1], dir_fd=above)

    # -- everything else ----------------------------------------------------------------------------------

    def _add_file(self, parts: Parts, member: tarfile.TarInfo, archive: tarfile.TarFile) -> None:
        above, name = self._directory(parts[:-1]), parts[-1]
        self._make_room(above, parts)
        if member.islnk():
            self._add_link(above, name, member)
        elif member.issym():
            os.symlink(member.linkname.encode("utf-8", "surrogateescape"), name, dir_fd=above)
            self._set_nameable(above, name, member)
        elif member.isfifo():
            os.mkfifo(name, 0o600, dir_fd=above)
            os.chmod(name, member.mode & 0o777, dir_fd=above)
            self._set_nameable(above, name, member)
        elif member.isreg() or member.ischr() or member.isblk():
            self._add_regular(above, name, member, archive)
        else:
            raise ImageError(f"a layer's entry {_show(parts)} is of the unknown type {member.type!r}")

    def _make_room(self, above: int, parts: Parts) -> None:
        """A later entry of a name replaces an earlier one, but not a directory that has something in it."""
        try:
            os.unlink(parts[-1], dir_fd=above)
        except FileNotFoundError:
            return
        except (IsADirectoryError, PermissionError):  # the latter is POSIX's word for it
            self.close()
            try:
                os.rmdir(parts[-1], dir_fd=self._directory(parts[:-1]))
            except OSError:
                raise ImageError(
                    f"a layer's entry {_show(parts)} is a directory and something else"
                ) from None
            self._times.pop(parts, None)
        self._whiteouts.discard(parts)

    def _add_link(self, above: int, name: bytes, member: tarfile.TarInfo) -> None:
        target = _parts(member.linkname)
        if not target or target in self._whiteouts:
            raise ImageError(f"a layer's link {member.name!r} leads to {member.linkname!r}, which is no file")
        try:
            os.link(
                target[-1],
                name,
                src_dir_fd=self._directory(target[:-1]),
                dst_dir_fd=above,
                follow_symlinks=False,
            )
        except (FileNotFoundError, PermissionError, IsADirectoryError):
            sentence = (
                f"a layer's link {member.name!r} leads to {member.linkname!r}, which is no file of the layer"
            )
            raise ImageError(sentence) from None

    def _set_nameable(self, above: int, name: bytes, member: tarfile.TarInfo) -> None:
        """Owner and time of what cannot be opened, nor carry attributes: guests see it as its directory's owner's."""
        wanted = _belief(member, 0)
        if self._uid == 0:
            os.chown(name, wanted.uid, wanted.gid, dir_fd=above, follow_symlinks=False)
        time_ns = _time_ns(member)
        os.utime(name, ns=(time_ns, time_ns), dir_fd=above, follow_symlinks=False)

    def _add_regular(
        self, above: int, name: bytes, member: tarfile.TarInfo, archive: tarfile.TarFile
    ) -> None:
        fd = os.open(name, _NEW, 0o600, dir_fd=above)
        try:
            if member.isreg() and member.size:
                # The archive's own stream stands at the file; extractfile's costs further copies, and fills holes.
                contents = archive.extractfile(member) if member.issparse() else archive.fileobj
                assert contents is not None  # noqa: S101 - it is regular
                _copy(contents, fd, member)
            kind = S.IFCHR if member.ischr() else S.IFBLK if member.isblk() else S.IFREG
            self._settle(fd, _belief(member, kind))
            _set_attributes(fd, member)
            time_ns = _time_ns(member)
            os.utime(fd, ns=(time_ns, time_ns))
        finally:
            os.close(fd)

    def _settle(self, fd: int, wanted: Belief) -> None:
        """Owner and mode: the host's own where we may set them and can still use the file, else as a belief."""
        kind, mode = wanted.mode & S.IFMT, wanted.mode & S.IALLUGO
        needed = 0o700 if kind == S.IFDIR else 0o600
        if self._uid == 0:
            is_true = True
            os.fchown(fd, wanted.uid, wanted.gid)
        else:
            is_true = (wanted.uid, wanted.gid) == (self._uid, self._gid) and mode & needed == needed
        if kind in (S.IFCHR, S.IFBLK) or not is_true:
            _believe(fd, wanted)
            mode = (mode | needed) & 0o777
        os.fchmod(fd, mode)


def _parts(name: str) -> Parts:
    """The components of an entry's name. ImageError if it is absolute or leads upwards."""
    path = name.encode("utf-8", "surrogateescape")
    parts = tuple(part for part in path.split(b"/") if part not in (b"", b"."))
    if path.startswith(b"/") or b".." in parts or b"\0" in path:
        raise ImageError(f"a layer's entry {name[:200]!r} leads out of the image")
    return parts


def _show(parts: Parts) -> str:
    return repr(os.fsdecode(b"/".join(parts)))


def _belief(member: tarfile.TarInfo, kind: int) -> Belief:
    uid, gid = member.uid, member.gid
    if not (0 <= uid <= ID_MAX and 0 <= gid <= ID_MAX):
        raise ImageError(f"a layer's entry {member.name!r} belongs to the impossible user {uid}:{gid}")
    rdev = 0
    if kind in (S.IFCHR, S.IFBLK):
        if not (0 <= member.devmajor <= _MAX_MAJOR and 0 <= member.devminor <= _MAX_MINOR):
            raise ImageError(f"a layer's entry {member.name!r} is a device of an impossible number")
        rdev = makedev(member.devmajor, member.devminor)
    return Belief(uid, gid, kind | member.mode & S.IALLUGO, rdev)


def _believe(fd: int, wanted: Belief) -> None:
    if not hasattr(os, "setxattr"):
        return  # macOS, as seen from Python: guests see the files as this user's
    os.setxattr(fd, OVERRIDE, wanted.text())


def _set_attributes(fd: int, member: tarfile.TarInfo) -> None:
    """Extended attributes of the kinds that mean something to programs; none that the overlay would believe."""
    for key, value in member.pax_headers.items():
        name = key.removeprefix(_XATTR)
        if name != key and name.startswith(_ATTRIBUTES) and not name.startswith(_OURS):
            kept = name.encode("utf-8", "surrogateescape")
            kept = kept if kept.startswith(b"user.") else _KEPT + kept
            os.setxattr(fd, kept, value.encode("utf-8", "surrogateescape"))


def _time_ns(member: tarfile.TarInfo) -> int:
    time = float(member.mtime)
    return int(min(max(time, -_MAX_TIME), _MAX_TIME) * 1e9) if math.isfinite(time) else 0


def _copy(contents: Reader, fd: int, member: tarfile.TarInfo) -> None:
    left = member.size
    while left:
        data = contents.read(min(left, _PIECE))
        if not data:
            raise EOFError(f"the archive ends within {member.name!r}")
        left -= len(data)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
