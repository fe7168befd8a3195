"""The descriptor table: small numbers that refer to open file descriptions.

Sources: open(2), dup(2), fcntl(2), close_range(2); Linux fs/file.c.
"""

from collections.abc import Callable, Iterator
from types import TracebackType

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.fs.file import File


class DescriptorTable:
    """One files_struct: what threads share, fork copies, and execve cleans.

    A number is free, reserved (taken, but not yet open for anybody) or open. Descriptors opened with
    O_PATH are kept apart, so that `table[fd]`, the way of every read and write, is one dict lookup
    that cannot find them.
    """

    __slots__ = ("_close_on_exec", "_files", "_limit", "_path_files", "_taken", "_users", "on_close")

    def __init__(self, limit: Callable[[], int]) -> None:
        """`limit` gives the present soft RLIMIT_NOFILE: numbers at and above it are not given out."""
        self._limit = limit
        self._files: dict[int, File] = {}
        self._path_files: dict[int, File] = {}
        self._close_on_exec: set[int] = set()
        self._taken = 0  # bit per number that is open or reserved; a scan for a free one is one int operation
        self._users = 1
        self.on_close: Callable[[DescriptorTable, File], None] | None = None
        """Called with each file that is about to be closed, whatever closes it: record locks end then."""

    # -- looking up -----------------------------------------------------------------------------------

    def __getitem__(self, fd: int) -> File:
        """The open file, for calls that do something with it: EBADF for O_PATH descriptors too."""
        try:
            return self._files[fd]
        except KeyError:
            raise LinuxError(Errno.EBADF) from None

    def get(self, fd: int, *, allow_path: bool = False) -> File:
        """The open file; with `allow_path` one opened by O_PATH as well. EBADF."""
        if allow_path and fd in self._path_files:
            return self._path_files[fd]
        return self[fd]

    def __contains__(self, fd: object) -> bool:
        return fd in self._files or fd in self._path_files

    def __iter__(self) -> Iterator[int]:
        """The open numbers in ascending order, as they were when the iteration began."""
        return iter(sorted((*self._files, *self._path_files)))

    def __len__(self) -> int:
        return len(self._files) + len(self._path_files)

    @property
    def highest(self) -> int:
        """The highest number that is taken; 0 if none is."""
        return max(self._taken.bit_length() - 1, 0)

    # -- taking numbers -------------------------------------------------------------------------------

    def reserve(self, count: int = 1, minimum: int = 0) -> "Reservation":
        """A context manager that yields the `count` lowest free numbers from `minimum` on; EMFILE.

        Within it, `install` opens them. Whatever has not been installed at its end is free again,
        whether it ends well or by an exception.
        """
        fds: list[int] = []
        try:
            while len(fds) < count:
                fds.append(self.take_lowest(minimum))
        except LinuxError:
            self.give_back_rest(fds)
            raise
        return Reservation(self, tuple(fds))

    def take_lowest(self, minimum: int = 0) -> int:
        """Reserve one number, without a context around it: who does not `install` it gives it back. EMFILE."""
        free = ~(self._taken >> minimum)
        fd = minimum + (free & -free).bit_length() - 1
        if fd >= self._limit():
            raise LinuxError(Errno.EMFILE)
        self._taken |= 1 << fd
        return fd

    def give_back(self, fd: int) -> None:
        """A number that has been taken and not installed is free again."""
        self._taken &= ~(1 << fd)

    def install(self, fd: int, file: File, *, cloexec: bool) -> None:
        """Open a reserved number. The table takes over the caller's reference of `file`."""
        self._store(fd, file, cloexec=cloexec)

    def add(self, file: File, *, cloexec: bool, minimum: int = 0) -> int:
        """Open the lowest free number from `minimum` on; the table takes over the reference. EMFILE."""
        fd = self.take_lowest(minimum)
        self._store(fd, file, cloexec=cloexec)
        return fd

    def give_back_rest(self, fds: "tuple[int, ...] | list[int]") -> None:
        """Those of several that have not been installed."""
        for fd in fds:
            if fd not in self:
                self.give_back(fd)

    def _store(self, fd: int, file: File, *, cloexec: bool) -> None:
        (self._path_files if file.flags & O.PATH else self._files)[fd] = file
        if cloexec:
            self._close_on_exec.add(fd)

    # -- duplicating ----------------------------------------------------------------------------------

    def dup(self, fd: int, *, minimum: int = 0, cloexec: bool = False) -> int:
        """dup, F_DUPFD and F_DUPFD_CLOEXEC: EBADF, EMFILE, and EINVAL for a minimum beyond the limit."""
        file = self.get(fd, allow_path=True)
        if not 0 <= minimum < self._limit():
            raise LinuxError(Errno.EINVAL)
        new = self.add(file, cloexec=cloexec, minimum=minimum)
        file.hold()
        return new

    def dup2(self, fd: int, new: int) -> int:
        """Make `new` refer to what `fd` refers to, closing it first; nothing happens to equal numbers."""
        if fd == new:
            self.get(fd, allow_path=True)
            return new
        return self.dup3(fd, new, cloexec=False)

    def dup3(self, fd: int, new: int, *, cloexec: bool) -> int:
        """dup2 that refuses equal numbers (EINVAL). EBADF beyond the limit; EBUSY for a reserved number,
        that is, in a race with an open that is under way.
        """
        if fd == new:
            raise LinuxError(Errno.EINVAL)
        if not 0 <= new < self._limit():
            raise LinuxError(Errno.EBADF)
        return self.replace(new, self.get(fd, allow_path=True), cloexec=cloexec)

    def replace(self, new: int, file: File, *, cloexec: bool) -> int:
        """Make `new` refer to a file, in the place of what it has been; holds the file. EBADF and EBUSY as dup3."""
        if not 0 <= new < self._limit():
            raise LinuxError(Errno.EBADF)
        file.hold()
        old = self._remove(new)
        if old is None and self._taken >> new & 1:
            file.drop()
            raise LinuxError(Errno.EBUSY)
        self._taken |= 1 << new
        self._store(new, file, cloexec=cloexec)
        if old is not None:
            self._drop(old)
        return new

    # -- flags ----------------------------------------------------------------------------------------

    def is_close_on_exec(self, fd: int) -> bool:
        self.get(fd, allow_path=True)
        return fd in self._close_on_exec

    def set_close_on_exec(self, fd: int, *, cloexec: bool) -> None:
        self.get(fd, allow_path=True)
        if cloexec:
            self._close_on_exec.add(fd)
        else:
            self._close_on_exec.discard(fd)

    # -- closing --------------------------------------------------------------------------------------

    def close(self, fd: int) -> None:
        """Free the number and drop its file; EBADF."""
        file = self._remove(fd)
        if file is None:
            raise LinuxError(Errno.EBADF)
        self._taken &= ~(1 << fd)
        self._drop(file)

    def _drop(self, file: File) -> None:
        if self.on_close is not None and O.PATH not in file.flags:
            self.on_close(self, file)
        if file.when_left is not None:
            file.when_left(self)
        file.drop()

    def _remove(self, fd: int) -> File | None:
        """Take an open file out; its number stays taken."""
        file = self._files.pop(fd, None) or self._path_files.pop(fd, None)
        if file is not None:
            file.take_back()  # or the number would still lead to it
        self._close_on_exec.discard(fd)
        return file

    def close_range(self, first: int, last: int, *, cloexec_only: bool = False) -> None:
        """Close the open numbers from `first` to `last` inclusive, or only mark them close-on-exec.

        EINVAL if first > last.
        """
        if first > last:
            raise LinuxError(Errno.EINVAL)
        for fd in self:
            if first <= fd <= last:
                if cloexec_only:
                    self._close_on_exec.add(fd)
                else:
                    self.close(fd)

    def close_on_exec(self) -> None:
        """What execve does: close what is marked."""
        for fd in sorted(self._close_on_exec):
            self.close(fd)

    def close_all(self) -> None:
        for fd in self:
            self.close(fd)

    # -- sharing --------------------------------------------------------------------------------------

    def fork(self, limit: Callable[[], int] | None = None) -> "DescriptorTable":
        """A copy that holds the open files; reserved numbers are free in it (dup_fd in fs/file.c).

        `limit` is that of the new owner, the same as here if None.
        """
        copy = DescriptorTable(limit or self._limit)
        copy._files = dict(self._files)
        copy._path_files = dict(self._path_files)
        copy._close_on_exec = set(self._close_on_exec)
        for fd, file in (*copy._files.items(), *copy._path_files.items()):
            file.hold()
            copy._taken |= 1 << fd
        return copy

    @property
    def is_shared(self) -> bool:
        """Whether other tasks use this very table (CLONE_FILES)."""
        return self._users > 1

    def share(self) -> "DescriptorTable":
        """The same table for one more task."""
        self._users += 1
        return self

    def leave(self) -> None:
        """A task is done with the table; the last one closes everything."""
        self._users -= 1
        if self._users == 0:
            self.close_all()


class Reservation:
    """Numbers that are taken and not yet open; see DescriptorTable.reserve."""

    __slots__ = ("_fds", "_table")

    def __init__(self, table: DescriptorTable, fds: tuple[int, ...]) -> None:
        self._table = table
        self._fds = fds

    def __enter__(self) -> tuple[int, ...]:
        return self._fds

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._table.give_back_rest(self._fds)
