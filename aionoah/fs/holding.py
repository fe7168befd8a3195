"""Keeping a file of the host while its names go: a descriptor made by O_PATH goes on meaning the same file."""

import os

from aionoah.fs.hostfs import HostDirectory
from aionoah.fs.hostfs_inode import HostNode
from aionoah.fs.inode import Inode
from aionoah.fs.overlay_inode import real_of
from aionoah.host import reserve
from aionoah.host.errors import host_errors


class Hold:
    """A descriptor of a file of the host that names it, as long as this object lives. ENFILE, ESTALE."""

    def __init__(self, node: HostNode) -> None:
        self._fd = -1
        self._node = node
        with node.pinned() as fd, host_errors():
            self._fd = reserve.require_more(os.dup(fd))
        node.opened(self._fd)

    def __del__(self) -> None:
        if self._fd >= 0:
            self._node.closed(self._fd)
            os.close(self._fd)


def hold(inode: Inode) -> Hold | None:
    """None for what needs no further descriptor: directories keep theirs once they have one, and what is in memory stays
    there.
    """
    real = real_of(inode)
    if isinstance(real, HostDirectory):
        real.descriptor()
    return Hold(real) if isinstance(real, HostNode) else None
