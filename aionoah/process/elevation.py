"""What execve makes of credentials: set-user-ID and set-group-ID, capabilities of files, root's capabilities.

Sources: capabilities(7) ("Transformation of capabilities during execve()"), execve(2); Linux fs/exec.c
(bprm_fill_uid, begin_new_exec), security/commoncap.c (cap_bprm_creds_from_file), kernel/cred.c (commit_creds).
The names of the sets there: fP and fI are the file's, X is the bounding set, pP, pI, pE and pA the process's.
"""

from collections.abc import Callable
from typing import NamedTuple

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.securebits import SECBIT
from aionoah.abi.stat import S
from aionoah.fs.file_capabilities import FileCapabilities
from aionoah.process.credentials import Credentials


class FileRights(NamedTuple):
    """What the file of a program says of those who run it. On a nosuid mount it says nothing."""

    mode: int = 0
    uid: int = 0
    gid: int = 0
    capabilities: FileCapabilities | None = None


class Elevation(NamedTuple):
    """What else follows from the change."""

    is_secure: bool  # AT_SECURE: the program may do more than who started it
    resets_personality: bool  # of PER_CLEAR_ON_SETID


def elevate(who: Credentials, file: FileRights, is_shared: Callable[[], bool]) -> Elevation:
    """Turn the credentials of who calls execve into those of the new program.

    `is_shared`: whether another process could change the working directory under the program (CLONE_FS). EPERM
    where a file's capabilities must be effective and the bounding set withholds some.
    """
    old = who.copy()
    is_set_id = _take_ids(who, file)
    is_effective = _take_file_capabilities(who, file.capabilities)
    has_file_capabilities = file.capabilities is not None
    root = who.user_namespace.root
    if SECBIT.NOROOT not in who.securebits and not (has_file_capabilities and who.euid == root != who.uid):
        is_effective |= _take_roots_capabilities(who)
    has_gained = bool(who.permitted & ~old.permitted)
    are_ids_new = who.euid != old.euid or not _is_member(old, who.egid)
    if (are_ids_new or has_gained) and (who.no_new_privileges or is_shared()):
        _take_back(who, old)
    who.suid = who.fsuid = who.euid
    who.sgid = who.fsgid = who.egid
    if has_file_capabilities or are_ids_new:
        who.ambient = 0
    who.permitted |= who.ambient
    who.effective = who.permitted if is_effective else who.ambient
    who.securebits = SECBIT(who.securebits.outside(SECBIT.KEEP_CAPS))
    has_more = is_effective or bool(who.permitted & ~who.ambient)
    is_other = are_ids_new or who.euid != old.uid or who.egid != old.gid
    return Elevation(is_other or (who.uid != root and has_more), is_set_id or has_gained)


def _take_ids(who: Credentials, file: FileRights) -> bool:
    """Whether the file has such a bit at all. Without execution for the group, its bit meant locking once."""
    if who.no_new_privileges or not who.user_namespace.maps(file.uid, file.gid):
        return False
    has_group = file.mode & (S.ISGID | S.IXGRP) == S.ISGID | S.IXGRP
    if file.mode & S.ISUID:
        who.euid = file.uid
    if has_group:
        who.egid = file.gid
    return has_group or bool(file.mode & S.ISUID)


def _take_file_capabilities(who: Credentials, file: FileCapabilities | None) -> bool:
    """PP' = (X & fP) | (pI & fI); whether it is to become effective."""
    who.permitted = 0
    if file is None:
        return False
    who.permitted = who.bounding & file.permitted | who.inheritable & file.inheritable
    if file.is_effective and file.permitted & ~who.permitted:
        raise LinuxError(Errno.EPERM)  # a program that knows nothing of capabilities would miss some
    return file.is_effective


def _take_roots_capabilities(who: Credentials) -> bool:
    """For root every file has all; whether they become effective. A file with capabilities of its own and
    set-user-ID gives an ordinary user only those: that is the caller's check.
    """
    root = who.user_namespace.root
    if root in (who.uid, who.euid):
        who.permitted = who.bounding | who.inheritable
    return who.euid == root


def _is_member(who: Credentials, gid: int) -> bool:
    return gid == who.fsgid or gid in who.groups


def _take_back(who: Credentials, old: Credentials) -> None:
    """It gets no more than it had, and maybe less."""
    if who.no_new_privileges or not old.has_own(CAP.SETUID):
        who.euid, who.egid = who.uid, who.gid
    who.permitted &= old.permitted


def has_become_another(old: Credentials, new: Credentials) -> bool:
    """Whether who could look into the process before should no longer: its memory may hold another's secrets."""
    before = (old.euid, old.egid, old.fsuid, old.fsgid)
    return before != (new.euid, new.egid, new.fsuid, new.fsgid) or bool(new.permitted & ~old.permitted)
