"""Names of UNIX sockets: paths in the guests' tree, abstract ones, and none at all (unix(7))."""

from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import ACCESS
from aionoah.abi.socket import AF, UNIX_PATH_MAX
from aionoah.abi.stat import S
from aionoah.fs.operations import mknod, walk
from aionoah.fs.permissions import require
from aionoah.net.socket import family_of, unspecified

if TYPE_CHECKING:
    from aionoah.fs.context import FsContext
    from aionoah.fs.path import Dentry
    from aionoah.net.network import Network
    from aionoah.net.unix.host import HostSocket
    from aionoah.net.unix.socket import UnixSocket

UNNAMED: Final = unspecified(AF.UNIX)
_HEAD: Final = len(UNNAMED)


def parse(address: bytes) -> bytes:
    """The sun_path that counts: up to the NUL for a path, all bytes for an abstract name; b"" for none.

    EINVAL for another family or too many bytes.
    """
    if not _HEAD <= len(address) <= _HEAD + UNIX_PATH_MAX or family_of(address) != AF.UNIX:
        raise LinuxError(Errno.EINVAL)
    path = address[_HEAD:]
    return path if path.startswith(b"\0") else path.partition(b"\0")[0] if path else b""


def parse_target(address: bytes) -> bytes:
    """The same for connect and send, where there must be a name. EINVAL."""
    path = parse(address)
    if len(address) == _HEAD:
        raise LinuxError(Errno.EINVAL)
    return path


def unparse(path: bytes) -> bytes:
    """The sockaddr as Linux gives it back: paths with their NUL."""
    return UNNAMED + (path if not path or path.startswith(b"\0") else path + b"\0")


def make(fs: "FsContext", path: bytes) -> "Dentry":
    """Put a socket into the tree. EADDRINUSE if something has the name, and what mknod(2) raises."""
    try:
        return mknod(fs, fs.cwd, path, S.IFSOCK | S.IRWXUGO, 0)
    except LinuxError as error:
        if error.errno is Errno.EEXIST:
            raise LinuxError(Errno.EADDRINUSE) from None
        raise


def require_free(fs: "FsContext", path: bytes) -> None:
    """The errors of `make` but for what is missing: a socket that has a name learns of them first."""
    try:
        walk(fs, fs.cwd, path, follow=False)
    except LinuxError as error:
        if error.errno is not Errno.ENOENT:
            raise
    else:
        raise LinuxError(Errno.EADDRINUSE)


def find_host(network: "Network", path: bytes, fs: "FsContext") -> "HostSocket | None":
    """The server of the host behind a name, if the application has given one there. Errors of the path, EACCES."""
    if not network.host_sockets or path.startswith(b"\0"):
        return None
    inode = walk(fs, fs.cwd, path).inode
    attributes = inode.attributes()
    found = network.host_sockets.get((inode.filesystem, attributes.ino))
    if found is not None:
        require(attributes, fs.identity, ACCESS.W)
    return found


def find(network: "Network", path: bytes, kind: int, fs: "FsContext | None") -> "UnixSocket":
    """The socket with a name: ECONNREFUSED if nobody listens there, EPROTOTYPE, and errors of the path.

    A socket of a host program has a name in the tree too, and nothing behind it.
    """
    if path.startswith(b"\0"):
        found = network.abstract.get((kind, path))
    elif fs is None:  # a message of the kernel's own, which has no paths
        found = None
    else:
        inode = walk(fs, fs.cwd, path).inode
        attributes = inode.attributes()
        require(attributes, fs.identity, ACCESS.W)
        found = network.at(inode) if attributes.mode & S.IFMT == S.IFSOCK else None
    if found is None:
        raise LinuxError(Errno.ECONNREFUSED)
    if found.kind != kind:
        raise LinuxError(Errno.EPROTOTYPE)
    return found
