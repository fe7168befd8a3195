"""User name spaces: what users and groups are called in one, and how far capabilities reach.

Everywhere in the kernel ids are those of the first one. Only what goes to a program or comes from it is translated, by
the maps that are written to /proc/PID/uid_map and gid_map. Whoever makes a user name space has every capability in it
and in those below, over the name spaces that belong to them and the files whose owners they have names for, and none
outside. Sources: user_namespaces(7); Linux kernel/user_namespace.c, security/commoncap.c (cap_capable).
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.capability import CAP, CAP_FULL_SET
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.sched import CLONE
from aionoah.abi.securebits import SECBIT
from aionoah.process.current import find_current_task

if TYPE_CHECKING:
    from aionoah.process.credentials import Credentials

NO_ID: Final = 0xFFFF_FFFF
OVERFLOW_ID: Final = 65534  # /proc/sys/kernel/overflowuid and overflowgid: who has no name
_LEVELS_MAX: Final = 32
_EXTENTS_MAX: Final = 340  # UID_GID_MAP_MAX_EXTENTS
_LONGEST: Final = 4096
_LINE: Final = re.compile(rb"[ \t]*(\d+)[ \t]+(\d+)[ \t]+(\d+)[ \t]*")


class Namespace:
    """One name space of any kind. Its number is that of its inode."""

    def __init__(self, kind: bytes, flag: int, number: int, owner: "UserNamespace | None" = None) -> None:
        """`owner`: the user name space in which one needs capabilities to change this; the first one if None."""
        self.kind = kind  # as in /proc/PID/ns
        self.flag = flag  # CLONE_NEW…
        self.number = number
        self._owner = owner

    @property
    def owner(self) -> "UserNamespace":
        return self._owner or FIRST

    @property
    def label(self) -> bytes:
        return b"%s:[%d]" % (self.kind, self.number)

    def hold(self) -> None:
        """A task or an open file uses it."""

    def drop(self) -> None:
        """One does no more."""


class Extent(NamedTuple):
    """So many ids, from `first` in the name space and from `lower` in another one."""

    first: int
    lower: int
    size: int


class IdMap:
    """Names of ids; nobody has one before the map is written."""

    def __init__(self, extents: Iterable[Extent] = ()) -> None:
        """`lower` are the kernel's ids."""
        self.extents = tuple(extents)

    def to_kernel(self, number: int, count: int = 1) -> int:
        """The kernel's id, or the first of some in a row; NO_ID without one."""
        for first, lower, known in self.extents:
            if first <= number and number + count <= first + known:
                return number - first + lower
        return NO_ID

    def find(self, kernel_id: int) -> int:
        """What an id is called, NO_ID if it has no name."""
        for first, lower, known in self.extents:
            if lower <= kernel_id < lower + known:
                return kernel_id - lower + first
        return NO_ID

    def shown(self, kernel_id: int) -> int:
        found = self.find(kernel_id)
        return OVERFLOW_ID if found == NO_ID else found


class UserNamespaceSettings:
    """What a guest's root may change."""

    def __init__(self) -> None:
        self.are_for_all = 0
        """Whether making one takes no right (kernel.unprivileged_userns_clone, as Debian's kernels have it). At first it
        does: browsers that can make one insist on PID and network name spaces with it, and else have another sandbox.
        """


class UserNamespace(Namespace):
    """One user name space."""

    level: int  # how many it is in
    allows_setgroups: bool

    def __init__(self, number: int, parent: "UserNamespace | None", uid: int = 0, gid: int = 0) -> None:
        """`uid` and `gid` are its maker's."""
        super().__init__(b"user", CLONE.NEWUSER, number, parent)
        self.parent = parent
        self.uid, self.gid = uid, gid
        self.level = 0 if parent is None else parent.level + 1
        everybody = () if parent is not None else (Extent(0, 0, NO_ID),)
        self.uids, self.gids, self.projects = IdMap(everybody), IdMap(everybody), IdMap(everybody)
        self.allows_setgroups = parent is None or parent.allows_setgroups
        self.maker_could_set_capabilities = False

    @property
    def root(self) -> int:
        """The user that has capabilities by being one."""
        return self.uids.to_kernel(0)

    def is_within(self, other: "UserNamespace") -> bool:
        """Whether it is the other one or below it."""
        here: UserNamespace | None = self
        while here is not None and here is not other:
            here = here.parent
        return here is not None

    def maps(self, uid: int, gid: int) -> bool:
        """Whether both have names."""
        return self.uids.find(uid) != NO_ID != self.gids.find(gid)


FIRST: Final = UserNamespace(0xEFFFFFFD, None)  # include/linux/proc_ns.h


def callers_names() -> UserNamespace:
    """Those that whoever makes the present call has for users and groups; the first ones if that is the kernel."""
    task = find_current_task()
    return FIRST if task is None else task.credentials.user_namespace


def new_user_namespace(who: "Credentials", number: int, *, is_chrooted: bool) -> UserNamespace:
    """For somebody who has names in his own one and sees the whole tree. ENOSPC, EPERM."""
    parent = who.user_namespace
    if parent.level > _LEVELS_MAX:
        raise LinuxError(Errno.ENOSPC)
    if is_chrooted or not parent.maps(who.euid, who.egid):
        raise LinuxError(Errno.EPERM)
    made = UserNamespace(number, parent, who.euid, who.egid)
    made.maker_could_set_capabilities = bool(who.effective >> CAP.SETFCAP & 1)
    return made


def enter_user_namespace(who: "Credentials", namespace: UserNamespace) -> None:
    """Be in it, with all capabilities there are in it (set_cred_user_ns)."""
    who.securebits = SECBIT(0)
    who.permitted = who.effective = who.bounding = CAP_FULL_SET
    who.inheritable = who.ambient = 0
    who.user_namespace = namespace


# -- maps -------------------------------------------------------------------------------------------------


def map_text(extents: Iterable[Extent], lower: IdMap) -> bytes:
    """A map as /proc shows it, with the ids of the outer name space as `lower` calls them."""
    return b"".join(
        b"%10d %10d %10d\n" % (first, lower.find(start), count) for first, start, count in extents
    )


def write_map(
    namespace: UserNamespace, kind: str, text: bytes, opener: "Credentials", writer: "Credentials"
) -> None:
    """Give ids names, once: `kind` is "uids", "gids" or "projects", `opener` whoever has opened the file. EINVAL, EPERM."""
    parent = namespace.parent
    capability = {"uids": CAP.SETUID, "gids": CAP.SETGID}.get(kind)
    if parent is None or opener.user_namespace not in (namespace, parent):
        raise LinuxError(Errno.EPERM)
    if getattr(namespace, kind).extents:
        raise LinuxError(Errno.EPERM)
    if capability is not None and not opener.may(CAP.SYS_ADMIN, namespace):
        raise LinuxError(Errno.EPERM)
    extents = _parsed(text)
    if not _is_permitted(namespace, parent, kind, capability, extents, opener, writer):
        raise LinuxError(Errno.EPERM)
    outer: IdMap = getattr(parent, kind)
    known = [Extent(each.first, outer.to_kernel(each.lower, each.size), each.size) for each in extents]
    if any(each.lower == NO_ID for each in known):
        raise LinuxError(Errno.EPERM)
    setattr(namespace, kind, IdMap(known))


def _parsed(text: bytes) -> list[Extent]:
    """EINVAL for what is no map: lines of three numbers, whose ranges do not meet."""
    if len(text) >= _LONGEST:
        raise LinuxError(Errno.EINVAL)
    extents: list[Extent] = []
    for line in text.removesuffix(b"\n").split(b"\n"):
        match = _LINE.fullmatch(line)
        if match is None:
            raise LinuxError(Errno.EINVAL)
        made = Extent(*map(int, match.groups()))
        if not made.size or max(made.first, made.lower) + made.size > NO_ID:
            raise LinuxError(Errno.EINVAL)
        if any(_meet(made, other) for other in extents):
            raise LinuxError(Errno.EINVAL)
        extents.append(made)
    if len(extents) > _EXTENTS_MAX:
        raise LinuxError(Errno.EINVAL)
    return extents


def _meet(one: Extent, other: Extent) -> bool:
    inside = one.first < other.first + other.size and other.first < one.first + one.size
    return inside or (one.lower < other.lower + other.size and other.lower < one.lower + one.size)


def _is_permitted(
    namespace: UserNamespace,
    parent: UserNamespace,
    kind: str,
    capability: int | None,
    extents: list[Extent],
    opener: "Credentials",
    writer: "Credentials",
) -> bool:
    """new_idmap_permitted: oneself, or anybody with the capability outside; projects are free."""
    if kind == "uids" and not _may_map_root(namespace, parent, extents, opener):
        return False
    if len(extents) == extents[0].size == 1 and namespace.uid == opener.euid:
        inner = getattr(parent, kind).to_kernel(extents[0].lower)
        if kind == "uids" and inner == opener.euid:
            return True
        if kind == "gids" and not namespace.allows_setgroups and inner == opener.egid:
            return True
    if capability is None:
        return True
    return writer.may(capability, parent) and opener.may(capability, parent)


def _may_map_root(
    namespace: UserNamespace, parent: UserNamespace, extents: list[Extent], opener: "Credentials"
) -> bool:
    """The outer root's name gives capabilities of files that count outside (verify_root_map)."""
    if all(each.lower for each in extents):
        return True
    if opener.user_namespace is namespace:
        return namespace.maker_could_set_capabilities
    return opener.may(CAP.SETFCAP, parent)


def write_setgroups(namespace: UserNamespace, text: bytes) -> None:
    """Forbid setgroups(2) for good, before groups have names: who is denied something for being in a group shall not
    leave it. EINVAL, EPERM.
    """
    word = text.rstrip(b" \t\n\v\f\r")
    if len(text) >= len(b"allow\0\0\0") or word not in (b"allow", b"deny"):
        raise LinuxError(Errno.EINVAL)
    if word == b"deny":
        if namespace.gids.extents:
            raise LinuxError(Errno.EPERM)
        namespace.allows_setgroups = False
    elif not namespace.allows_setgroups:
        raise LinuxError(Errno.EPERM)
