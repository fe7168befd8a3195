"""What a path is resolved against: root, working directory, umask and the user on whose behalf."""

from operator import attrgetter
from typing import TYPE_CHECKING, Final

from aionoah.fs.permissions import Credentials, Identity, effective_identity, real_identity

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from aionoah.fs.inode import Inode
    from aionoah.fs.path import Dentry

_acts_as: Final = attrgetter("fsuid", "fsgid", "groups", "effective", "user_namespace")


class _Shared:
    """The part that CLONE_FS shares (Linux's fs_struct)."""

    __slots__ = ("cwd", "root", "umask")

    def __init__(self, root: "Dentry", cwd: "Dentry", umask: int) -> None:
        self.root = root
        self.cwd = cwd
        self.umask = umask


class FsContext:
    """One task's view of the file system. Credentials are the task's own even where the rest is shared:
    whoever replaces the task's credentials object replaces it here too.
    """

    __slots__ = ("_acting", "_identity", "_shared", "credentials", "programs")

    def __init__(
        self,
        root: "Dentry",
        credentials: Credentials,
        cwd: "Dentry | None" = None,
        umask: int = 0o022,
        *,
        programs: "Callable[[], Collection[Inode]]" = tuple,
    ) -> None:
        """`programs` tells which files are running, and so are not to be written."""
        self.programs = programs
        self._shared = _Shared(root, cwd or root, umask)
        self.credentials = credentials
        self._acting: Identity | None = None
        self._identity = effective_identity(credentials)  # as of the last question

    def clone(self, credentials: Credentials, *, share: bool) -> "FsContext":
        """The context of a child: with `share` (CLONE_FS) chdir, chroot and umask of one move both."""
        copy = FsContext(self.root, credentials, self.cwd, self.umask, programs=self.programs)
        if share:
            copy._shared = self._shared
        return copy

    def unshare(self) -> None:
        """Stop sharing with other tasks (unshare(2), CLONE_FS)."""
        self._shared = _Shared(self.root, self.cwd, self.umask)

    def leave(self, root: "Dentry") -> None:
        """The task has ended: hold on to nothing but the root of all."""
        self._shared = _Shared(root, root, self.umask)

    @property
    def shared(self) -> object:
        """What is the same for all who share root, working directory and umask (kcmp(2))."""
        return self._shared

    @property
    def root(self) -> "Dentry":
        return self._shared.root

    @root.setter
    def root(self, root: "Dentry") -> None:
        self._shared.root = root

    @property
    def cwd(self) -> "Dentry":
        return self._shared.cwd

    @cwd.setter
    def cwd(self, cwd: "Dentry") -> None:
        self._shared.cwd = cwd

    @property
    def umask(self) -> int:
        """Nine permission bits that are taken from new files."""
        return self._shared.umask

    @umask.setter
    def umask(self, umask: int) -> None:
        self._shared.umask = umask & 0o777

    @property
    def identity(self) -> Identity:
        """Who the permission checks are about: the same object while the credentials are the same."""
        if self._acting is not None:
            return self._acting
        now: object = _acts_as(self.credentials)
        if now != self._identity:
            self._identity = effective_identity(self.credentials)
        return self._identity

    def acting_as_real_user(self) -> "_RealUser":
        """A context: let access(2) walk with the rights that it asks about."""
        return _RealUser(self)


class _RealUser:
    __slots__ = ("_context",)

    def __init__(self, context: FsContext) -> None:
        self._context = context

    def __enter__(self) -> None:
        self._context._acting = real_identity(self._context.credentials)  # noqa: SLF001 - a part of it

    def __exit__(self, *_: object) -> None:
        self._context._acting = None  # noqa: SLF001
