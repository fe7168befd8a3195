"""What is behind a mapping: a file, or frames that several address spaces show.

Private anonymous memory has nothing behind it; its pages come from Frames as they are needed.
"""

import itertools
from collections.abc import Hashable
from typing import Final, Protocol

from aionoah.abi.fcntl import FALLOC
from aionoah.abi.stat import S
from aionoah.host.errors import host_errors
from aionoah.hypervisor.protocols import PAGE_SIZE, Frames

ENDLESS: Final = 1 << 52  # pages; more than any offset can name


class HostPages(Protocol):
    """Where on the host the pages of a file are (fs.file.HostMapping)."""

    fd: int
    offset: int


class FileFacts(Protocol):
    """What a mapping needs of fs.inode.Attributes."""

    @property
    def mode(self) -> int: ...
    @property
    def ino(self) -> int: ...
    @property
    def dev(self) -> int: ...
    @property
    def nlink(self) -> int: ...
    @property
    def size(self) -> int: ...


class MappableFile(Protocol):
    """What a mapping needs of fs.file.File, which is above this package."""

    @property
    def is_readable(self) -> bool: ...
    @property
    def is_writable(self) -> bool: ...
    @property
    def is_write_sealed(self) -> bool: ...
    def hold(self) -> object: ...
    def drop(self) -> None: ...
    def mapping(self) -> HostPages: ...
    def for_mapping(self, *, shared: bool) -> "MappableFile": ...
    def attributes(self) -> FileFacts: ...
    def sync(self, *, data_only: bool) -> None: ...
    def allocate(self, mode: int, offset: int, length: int) -> None: ...


class Backing(Protocol):
    """Counted: whoever keeps one holds it. Equal backings are the same memory."""

    is_file: bool  # the host may refuse to touch its pages (Extent.is_file)
    name: bytes  # for /proc/self/maps when there is no path

    def hold(self) -> None: ...

    def drop(self) -> None: ...

    def page_count(self) -> int:
        """How many pages there are now; those behind them give SIGBUS."""
        ...

    def frames_at(self, frames: Frames, page: int, count: int, *, shared: bool) -> int:
        """First of `count` neighbouring frames showing these pages, each with a reference for the caller.

        MemoryError; LinuxError if the host refuses.
        """
        ...

    def punch_hole(self, offset: int, length: int) -> None:
        """Make bytes zero for everybody and give their memory back (MADV_REMOVE)."""
        ...

    def sync(self) -> None:
        """Bring what was written to where it stays."""
        ...

    def device_and_inode(self) -> tuple[int, int]: ...

    def identity(self) -> Hashable:
        """Equal for all backings that show the same bytes, however they were opened."""
        ...


class FileBacking:
    """An open file. Two mappings of one open file description are the same memory."""

    is_file = True
    name = b""

    def __init__(self, file: MappableFile) -> None:
        self.file = file
        self._identity: tuple[int, int] | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FileBacking) and other.file is self.file

    def __hash__(self) -> int:
        return hash(id(self.file))

    def hold(self) -> None:
        self.file.hold()

    def drop(self) -> None:
        self.file.drop()

    def page_count(self) -> int:
        facts = self.file.attributes()
        if facts.mode & S.IFMT != S.IFREG:
            return ENDLESS  # a device such as /dev/zero
        return -(-facts.size // PAGE_SIZE)

    def frames_at(self, frames: Frames, page: int, count: int, *, shared: bool) -> int:
        where = self.file.mapping()
        offset = where.offset + page * PAGE_SIZE
        writable = self.file.is_writable
        with host_errors():
            return frames.allocate_file(where.fd, offset, count, shared=shared, writable=writable)

    def punch_hole(self, offset: int, length: int) -> None:
        self.file.allocate(FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE, offset, length)

    def sync(self) -> None:
        self.file.sync(data_only=True)

    def device_and_inode(self) -> tuple[int, int]:
        facts = self.file.attributes()
        return facts.dev, facts.ino

    def identity(self) -> Hashable:
        if self._identity is None:
            self._identity = self.device_and_inode()
        return self._identity


class FramesBacking:
    """Frames of ours: MAP_SHARED | MAP_ANONYMOUS memory, or pages of the kernel's own such as the vDSO.

    It is born with one reference, which its maker drops when the mapping has been made.
    """

    is_file = False
    _device: Final = 1  # of shmem's internal mount, 00:01
    _inodes: Final = itertools.count(1024)

    def __init__(self, frames: Frames, first: int, count: int, name: bytes = b"") -> None:
        """Takes over the caller's reference of each frame."""
        self.name = name
        self._frames = frames
        self._first = first
        self._count = count
        self._references = 1
        self._inode = 0 if name else next(self._inodes)

    @classmethod
    def anonymous(cls, frames: Frames, count: int) -> "FramesBacking":
        """Fresh shared memory of `count` pages. MemoryError."""
        return cls(frames, frames.allocate(count), count)

    def hold(self) -> None:
        self._references += 1

    def drop(self) -> None:
        self._references -= 1
        if self._references == 0:
            self._frames.drop(self._first, self._count)

    def page_count(self) -> int:
        return self._count

    def frames_at(self, frames: Frames, page: int, count: int, *, shared: bool) -> int:  # noqa: ARG002
        frames.hold(self._first + page, count)
        return self._first + page

    def punch_hole(self, offset: int, length: int) -> None:
        first = offset // PAGE_SIZE
        count = min(length // PAGE_SIZE, self._count - first)
        if count > 0:
            self._frames.view(self._first + first, count)[:] = bytes(count * PAGE_SIZE)

    def sync(self) -> None:
        """There is no place where it stays."""

    def device_and_inode(self) -> tuple[int, int]:
        return (self._device, self._inode) if self._inode else (0, 0)

    def identity(self) -> Hashable:
        return self
