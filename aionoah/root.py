"""What guests see as "/": directories of the host, and what becomes of changes to them."""

import contextlib
import errno
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.hostfs_owners import Owners
from aionoah.host import platform
from aionoah.process.elf import show_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from aionoah.fs.inode import FileSystem

Writes = Literal["private", "through", "refused"]
WRITES: Final[tuple[Writes, ...]] = ("private", "through", "refused")


class Root(NamedTuple):
    """`layers`: directories, the topmost first. `upper`: where private changes are kept; they vanish without it."""

    layers: tuple[bytes, ...]
    upper: bytes | None = None
    writes: Writes = "private"

    @property
    def source(self) -> bytes:
        """The first column of /proc/mounts."""
        return self.layers[0] if len(self.layers) == 1 and self.writes != "private" else b"overlay"


def checked_root(
    layers: "Sequence[str | bytes | os.PathLike[str] | os.PathLike[bytes]]",
    upper: "str | bytes | os.PathLike[str] | os.PathLike[bytes] | None",
    writes: str,
) -> Root:
    """ValueError for what makes no sense together."""
    if writes not in WRITES:
        raise ValueError(f"writes must be one of {', '.join(WRITES)}")
    if not layers:
        raise ValueError("root must be a directory, or several")
    if upper is not None and writes != "private":
        raise ValueError("an upper directory keeps private writes, and there are none")
    if len(layers) > 1 and writes == "through":
        raise ValueError("writes cannot go through to several directories")
    kept = None if upper is None else os.fsencode(upper)
    return Root(tuple(os.fsencode(layer) for layer in layers), kept, WRITES[WRITES.index(writes)])


def open_root(root: Root) -> "FileSystem":
    """The file system of "/". OSError with a sentence for what cannot be shown to guests."""
    opened: list[HostFileSystem] = []
    try:
        opened += [_host_directory(layer, is_written=root.writes == "through") for layer in root.layers]
        if root.writes == "through" or (root.writes == "refused" and len(opened) == 1):
            return opened[0]
        from aionoah.fs.overlay import OverlayFileSystem  # noqa: PLC0415 - some do without it

        return OverlayFileSystem(opened, _upper(root))
    except BaseException:
        for layer in opened:
            layer.release()
        raise


def _upper(root: Root) -> "FileSystem | Callable[[], FileSystem] | None":
    """A directory with something in it is shown at once; an empty one comes to be like the root below first."""
    if root.writes == "refused":
        return None
    if root.upper is None:
        return _private_upper
    from aionoah.fs.kept_upper import KeptUpper, UpperLock  # noqa: PLC0415

    path = root.upper
    try:
        with contextlib.suppress(FileExistsError):
            os.makedirs(path)  # noqa: PTH103 - bytes
        lock = UpperLock(path)
        is_used = bool(os.listdir(path))  # noqa: PTH208 - bytes
        return KeptUpper(path, lock) if is_used else lambda: _made(lambda: KeptUpper(path, lock))
    except OSError as error:
        raise OSError(
            error.errno, f"{show_path(path)} cannot be the upper directory: {error.strerror}"
        ) from None


def _private_upper() -> "FileSystem":
    from aionoah.fs.private_upper import PrivateUpper  # noqa: PLC0415 - for those that change something

    return _made(PrivateUpper)


def _made(make: "Callable[[], FileSystem]") -> "FileSystem":
    """For a change that needs it, in the middle of a call."""
    from aionoah.host.errors import host_errors  # noqa: PLC0415

    with host_errors():
        return make()


def _host_directory(path: bytes, *, is_written: bool) -> HostFileSystem:
    """Layers of containers have beliefs about owners in them, the host's own root has not."""
    if not os.path.isdir(path):  # noqa: PTH112 - bytes
        reason = errno.ENOTDIR if os.path.lexists(path) else errno.ENOENT
        raise OSError(reason, f"{show_path(path)} cannot be the root: {os.strerror(reason)}")
    is_own = os.path.realpath(path) == b"/"
    if is_written:
        return shown_writable(path)
    return shown(path, owners=None if is_own else Owners())


def shown_writable(path: bytes) -> HostFileSystem:
    """With beliefs about owners unless we are root, who can give files to anybody.

    OSError for a directory in which `Makefile` and `makefile` are one file: programs would lose one of them.
    """
    if os.path.isdir(path) and platform.folds_case(path):  # noqa: PTH112 - bytes
        raise OSError(
            errno.EINVAL,
            f"{show_path(path)} cannot be shown to programs: its file system does not tell upper from lower case; "
            "use a directory on one that does",
        )
    return shown(path, owners=Owners() if os.geteuid() else None)


def shown(path: bytes, *, owners: Owners | None = None, is_guests: bool = False) -> HostFileSystem:
    """A host path as a file system. OSError with a sentence."""
    try:
        return HostFileSystem(path, owners=owners, is_guests=is_guests)
    except OSError as error:
        raise OSError(
            error.errno, f"{show_path(path)} cannot be shown to programs: {error.strerror}"
        ) from None
