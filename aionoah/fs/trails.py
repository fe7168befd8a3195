"""Remembered ways through directories: what a walk need not find anew, once it has made sure that nothing changed.

A walk to /usr/share/man/man1/cat.1 goes through four directories. The next one asks the host the same four
questions, for anybody may have changed the tree; but it need not put the answers together again if they are
the same. So a trail keeps its questions, each a function that says whether the answer is still what it was.
It ends with the first that is not, and the walk goes step by step.
"""

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from aionoah.host import reserve

if TYPE_CHECKING:
    from aionoah.fs.path import Dentry
    from aionoah.fs.permissions import Identity

Test = Callable[[], bool]
"""Whether a name still leads to the same inode, with the same owner and mode."""


class Tree:
    """What every trail depends on."""

    changes = 0  # how often something has been mounted or unmounted, anywhere


class Trail:
    """The way from a directory to another one, by a path without dots, as one user may go it."""

    __slots__ = ("_changes", "_identity", "_root", "_target", "_tests", "is_fresh", "links")

    def __init__(self, identity: "Identity", root: "Dentry") -> None:
        self._identity = identity
        self._root = root
        self._changes = Tree.changes
        self._tests: list[Test] = []
        self._target: weakref.ref[Dentry] | None = None
        self.links = 0  # how many symbolic links are on the way
        self.is_fresh = False  # whether the last test has looked at the target itself

    def begun_again(self, identity: "Identity", root: "Dentry") -> "Trail":
        """A way that is the same so far, and goes on from its end."""
        trail = Trail(identity, root)
        trail._tests = [*self._tests]
        return trail

    def add(self, test: Test | None) -> bool:
        """Note a step; False for one that cannot be tested."""
        if test is None:
            return False
        self._tests.append(test)
        return True

    def ends_at(self, target: "Dentry", *, is_fresh: bool) -> None:
        self._target = weakref.ref(target)
        self.is_fresh = is_fresh

    def follow(self, identity: "Identity", root: "Dentry") -> "Dentry | None":
        """The end of the way, if it still is one."""
        target = self._target() if self._target is not None else None
        if target is None or target.is_deleted or root is not self._root or self._changes != Tree.changes:
            return None
        if identity != self._identity and not identity.searches_all:
            return None
        for is_so in self._tests:
            if not is_so():
                return None
        return target


class Trails:
    """The trails that begin in one directory, by path."""

    __slots__ = ("_trails",)

    def __init__(self) -> None:
        self._trails: dict[bytes, Trail] = {}

    def get(self, path: bytes) -> Trail | None:
        return self._trails.get(path)

    def keep(self, path: bytes, trail: Trail) -> None:
        """The oldest goes when there are too many: what they test is held open."""
        self._trails.pop(path, None)
        if len(self._trails) >= reserve.held_directories():
            del self._trails[next(iter(self._trails))]
        self._trails[path] = trail
