"""Who a task is: user and group ids, capabilities, and Linux's rules for changing them.

Sources: credentials(7), capabilities(7); Linux kernel/sys.c (the set*id calls), security/commoncap.c.
Every rule raises EPERM where Linux does, before anything has changed. An id is an unsigned 32-bit
number; -1 as a word (ID_UNCHANGED) leaves an id as it is where a call allows that.

What execve does to them is in elevation.py. All ids are the kernel's, whatever they are called in the task's user name
space (user_namespaces.py), whose capabilities these are.
"""

from collections.abc import Collection
from typing import Final

from aionoah.abi.capability import CAP, CAP_FULL_SET
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.securebits import SECBIT
from aionoah.process.user_namespaces import FIRST, UserNamespace

ID_UNCHANGED: Final = 0xFFFF_FFFF
_FILE_CAPABILITIES: Final = sum(
    1 << capability
    for capability in (
        CAP.CHOWN,
        CAP.DAC_OVERRIDE,
        CAP.DAC_READ_SEARCH,
        CAP.FOWNER,
        CAP.FSETID,
        CAP.LINUX_IMMUTABLE,
        CAP.MAC_OVERRIDE,
        CAP.MKNOD,
    )
)


class Credentials:
    """The credentials of one task. Changed in place, so that whoever holds them sees the change. Without slots they are
    copied quicker, and every thread has its own.
    """

    def __init__(self, uid: int = 0, gid: int = 0, groups: Collection[int] = ()) -> None:
        """A user as after login: root has every capability, nobody else any."""
        self.uid = self.euid = self.suid = self.fsuid = uid
        self.gid = self.egid = self.sgid = self.fsgid = gid
        self.groups = tuple(sorted(groups))
        self.permitted = self.effective = 0 if uid else CAP_FULL_SET
        self.inheritable = self.ambient = 0
        self.bounding = CAP_FULL_SET
        self.securebits = SECBIT(0)
        self.no_new_privileges = False
        self.user_namespace = FIRST

    def copy(self) -> "Credentials":
        """The credentials of a child."""
        copy = Credentials.__new__(Credentials)
        copy.__dict__.update(self.__dict__)
        return copy

    def has_capability(self, capability: int) -> bool:
        """Whether a CAP number is in the effective set, and counts everywhere: of the first user name space."""
        return bool(self.effective >> capability & 1) and self.user_namespace is FIRST

    def require(self, capability: int) -> None:
        """EPERM without the capability."""
        if not self.has_capability(capability):
            raise LinuxError(Errno.EPERM)

    def may(self, capability: int, namespace: UserNamespace) -> bool:
        """Whether it has the capability over what belongs to a user name space: its own, or one below that (cap_capable)."""
        here: UserNamespace | None = namespace
        while here is not None:
            if here is self.user_namespace:
                return bool(self.effective >> capability & 1)
            if here.parent is self.user_namespace and here.uid == self.euid:
                return True
            here = here.parent
        return False

    def require_over(self, capability: int, namespace: UserNamespace) -> None:
        """EPERM unless it may."""
        if not self.may(capability, namespace):
            raise LinuxError(Errno.EPERM)

    def has_own(self, capability: int) -> bool:
        """Whether the capability counts in its own user name space, as for what it does to itself."""
        return bool(self.effective >> capability & 1)

    def require_own(self, capability: int) -> None:
        """EPERM."""
        if not self.has_own(capability):
            raise LinuxError(Errno.EPERM)

    # -- users ----------------------------------------------------------------------------------------

    def set_uid(self, uid: int) -> None:
        """setuid(2): all of them for the privileged, else the effective one. EINVAL, EPERM."""
        _require_valid(uid)
        before = (self.uid, self.euid, self.suid)
        if self.has_own(CAP.SETUID):
            self.uid = self.suid = uid
        elif uid not in (self.uid, self.suid):
            raise LinuxError(Errno.EPERM)
        self.euid = self.fsuid = uid
        self._fix_capabilities(before)

    def set_reuid(self, uid: int, euid: int) -> None:
        """setreuid(2). EPERM."""
        before = old_uid, old_euid, old_suid = self.uid, self.euid, self.suid
        if not self.has_own(CAP.SETUID):
            _require_among(uid, (old_uid, old_euid))
            _require_among(euid, (old_uid, old_euid, old_suid))
        self.uid, self.euid = _chosen(uid, old_uid), _chosen(euid, old_euid)
        if uid != ID_UNCHANGED or euid not in (ID_UNCHANGED, old_uid):
            self.suid = self.euid
        self.fsuid = self.euid
        self._fix_capabilities(before)

    def set_resuid(self, uid: int, euid: int, suid: int) -> None:
        """setresuid(2). EPERM. Where nothing is to change, nothing does: the file system's id neither."""
        if _changes_nothing((uid, euid, suid), (self.uid, self.euid, self.suid), self.fsuid):
            return
        before = (self.uid, self.euid, self.suid)
        if not self.has_own(CAP.SETUID):
            for wanted in (uid, euid, suid):
                _require_among(wanted, before)
        self.uid, self.euid = _chosen(uid, self.uid), _chosen(euid, self.euid)
        self.suid, self.fsuid = _chosen(suid, self.suid), self.euid
        self._fix_capabilities(before)

    def set_fsuid(self, uid: int) -> int:
        """setfsuid(2): returns the former one, and tells in no way whether it has changed."""
        old = self.fsuid
        known = (self.uid, self.euid, self.suid, old)
        if uid != ID_UNCHANGED and (uid in known or self.has_own(CAP.SETUID)):
            self.fsuid = uid
            self._fix_file_capabilities(old)
        return old

    # -- groups ---------------------------------------------------------------------------------------

    def set_gid(self, gid: int) -> None:
        """setgid(2). EINVAL, EPERM."""
        _require_valid(gid)
        if self.has_own(CAP.SETGID):
            self.gid = self.sgid = gid
        elif gid not in (self.gid, self.sgid):
            raise LinuxError(Errno.EPERM)
        self.egid = self.fsgid = gid

    def set_regid(self, gid: int, egid: int) -> None:
        """setregid(2). EPERM."""
        old_gid, old_egid, old_sgid = self.gid, self.egid, self.sgid
        if not self.has_own(CAP.SETGID):
            _require_among(gid, (old_gid, old_egid))
            _require_among(egid, (old_gid, old_egid, old_sgid))
        self.gid, self.egid = _chosen(gid, old_gid), _chosen(egid, old_egid)
        if gid != ID_UNCHANGED or egid not in (ID_UNCHANGED, old_gid):
            self.sgid = self.egid
        self.fsgid = self.egid

    def set_resgid(self, gid: int, egid: int, sgid: int) -> None:
        """setresgid(2). EPERM; as set_resuid."""
        if _changes_nothing((gid, egid, sgid), (self.gid, self.egid, self.sgid), self.fsgid):
            return
        if not self.has_own(CAP.SETGID):
            for wanted in (gid, egid, sgid):
                _require_among(wanted, (self.gid, self.egid, self.sgid))
        self.gid, self.egid = _chosen(gid, self.gid), _chosen(egid, self.egid)
        self.sgid, self.fsgid = _chosen(sgid, self.sgid), self.egid

    def set_fsgid(self, gid: int) -> int:
        """setfsgid(2): returns the former one."""
        old = self.fsgid
        known = (self.gid, self.egid, self.sgid, old)
        if gid != ID_UNCHANGED and (gid in known or self.has_own(CAP.SETGID)):
            self.fsgid = gid
        return old

    # -- capabilities ---------------------------------------------------------------------------------

    def set_capabilities(self, permitted: int, effective: int, inheritable: int) -> None:
        """capset(2): sets only shrink, but for inheritable with CAP_SETPCAP. EPERM."""
        is_capped = not self.has_own(CAP.SETPCAP)
        if (
            (is_capped and inheritable & ~(self.inheritable | self.permitted))
            or inheritable & ~(self.inheritable | self.bounding)
            or permitted & ~self.permitted
            or effective & ~permitted
        ):
            raise LinuxError(Errno.EPERM)
        self.permitted, self.effective, self.inheritable = permitted, effective, inheritable
        self.ambient &= permitted & inheritable

    def _fix_capabilities(self, before: tuple[int, int, int]) -> None:
        """What becoming or ceasing to be root does to the sets; `before`: the old uid, euid and suid."""
        if SECBIT.NO_SETUID_FIXUP in self.securebits:
            return
        root = self.user_namespace.root
        if root in before and root not in (self.uid, self.euid, self.suid):
            if SECBIT.KEEP_CAPS not in self.securebits:
                self.permitted = self.effective = 0
            self.ambient = 0
        old_euid = before[1]
        if old_euid == root != self.euid:
            self.effective = 0
        elif old_euid != root == self.euid:
            self.effective = self.permitted

    def _fix_file_capabilities(self, old_fsuid: int) -> None:
        if SECBIT.NO_SETUID_FIXUP in self.securebits:
            return
        root = self.user_namespace.root
        if old_fsuid == root != self.fsuid:
            self.effective &= ~_FILE_CAPABILITIES
        elif old_fsuid != root == self.fsuid:
            self.effective |= _FILE_CAPABILITIES & self.permitted


def _chosen(wanted: int, old: int) -> int:
    return old if wanted == ID_UNCHANGED else wanted


def _require_valid(number: int) -> None:
    if number == ID_UNCHANGED:
        raise LinuxError(Errno.EINVAL)


def _require_among(wanted: int, allowed: tuple[int, ...]) -> None:
    if wanted != ID_UNCHANGED and wanted not in allowed:
        raise LinuxError(Errno.EPERM)


def _changes_nothing(wanted: tuple[int, int, int], now: tuple[int, int, int], of_files: int) -> bool:
    """Whether every id stays; a wanted effective one has to be that for files as well."""
    are_same = all(new in {ID_UNCHANGED, old} for new, old in zip(wanted, now, strict=True))
    return are_same and wanted[1] in {ID_UNCHANGED, of_files}
