"""User and group ids, capabilities: getuid(2), setuid(2), setreuid(2), setresuid(2), setfsuid(2), their
group counterparts, getgroups(2), capget(2). The rules are in process/credentials.py, which has the kernel's ids.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aionoah.abi.capability import (
    CAP,
    CAP_FULL_SET,
    CAPABILITY_VERSION_1,
    CAPABILITY_VERSION_2,
    CAPABILITY_VERSION_3,
    CapabilityData,
    CapabilityHeader,
)
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.limits import NGROUPS_MAX
from aionoah.process.credentials import Credentials
from aionoah.process.population import user_changed
from aionoah.process.task import Task
from aionoah.process.user_namespaces import NO_ID, IdMap
from aionoah.syscalls.arguments import Addr, Gid, In, Int, Ptr, Uid
from aionoah.syscalls.registry import syscall
from aionoah.syscalls.targets import find_thread

_WORDS: Final = {CAPABILITY_VERSION_1: 1, CAPABILITY_VERSION_2: 2, CAPABILITY_VERSION_3: 2}


# -- asking ---------------------------------------------------------------------------------------------


@syscall
def getuid(task: Task) -> int:
    return task.credentials.user_namespace.uids.shown(task.credentials.uid)


@syscall
def geteuid(task: Task) -> int:
    return task.credentials.user_namespace.uids.shown(task.credentials.euid)


@syscall
def getgid(task: Task) -> int:
    return task.credentials.user_namespace.gids.shown(task.credentials.gid)


@syscall
def getegid(task: Task) -> int:
    return task.credentials.user_namespace.gids.shown(task.credentials.egid)


@syscall
def getresuid(task: Task, ruid: Addr, euid: Addr, suid: Addr) -> None:
    who = task.credentials
    _put_ids(task, (ruid, euid, suid), who.user_namespace.uids, (who.uid, who.euid, who.suid))


@syscall
def getresgid(task: Task, rgid: Addr, egid: Addr, sgid: Addr) -> None:
    who = task.credentials
    _put_ids(task, (rgid, egid, sgid), who.user_namespace.gids, (who.gid, who.egid, who.sgid))


def _put_ids(task: Task, addresses: tuple[Addr, ...], names: IdMap, ids: tuple[int, ...]) -> None:
    for address, number in zip(addresses, ids, strict=True):
        task.memory.write_word(address, names.shown(number), 4)


# -- changing -------------------------------------------------------------------------------------------


@contextmanager
def _changing(task: Task) -> Iterator[Credentials]:
    """The credentials, with what else a change of them does to the process."""
    old = task.credentials.copy()
    yield task.credentials
    task.credentials_changed(old)
    user_changed(task, old.uid)


def _known(names: IdMap, *numbers: int) -> list[int]:
    """The kernel's ids. EINVAL for what has none; that nothing is to change is said to the kernel in the same way."""
    found = [names.to_kernel(number) for number in numbers]
    if any(inner == NO_ID != number for inner, number in zip(found, numbers, strict=True)):
        raise LinuxError(Errno.EINVAL)
    return found


def _users(task: Task, *numbers: int) -> list[int]:
    return _known(task.credentials.user_namespace.uids, *numbers)


def _groups(task: Task, *numbers: int) -> list[int]:
    return _known(task.credentials.user_namespace.gids, *numbers)


@syscall
def setuid(task: Task, uid: Uid) -> None:
    with _changing(task) as who:
        who.set_uid(*_users(task, uid))


@syscall
def setgid(task: Task, gid: Gid) -> None:
    with _changing(task) as who:
        who.set_gid(*_groups(task, gid))


@syscall
def setreuid(task: Task, ruid: Uid, euid: Uid) -> None:
    with _changing(task) as who:
        who.set_reuid(*_users(task, ruid, euid))


@syscall
def setregid(task: Task, rgid: Gid, egid: Gid) -> None:
    with _changing(task) as who:
        who.set_regid(*_groups(task, rgid, egid))


@syscall
def setresuid(task: Task, ruid: Uid, euid: Uid, suid: Uid) -> None:
    with _changing(task) as who:
        who.set_resuid(*_users(task, ruid, euid, suid))


@syscall
def setresgid(task: Task, rgid: Gid, egid: Gid, sgid: Gid) -> None:
    with _changing(task) as who:
        who.set_resgid(*_groups(task, rgid, egid, sgid))


@syscall
def setfsuid(task: Task, uid: Uid) -> int:
    names = task.credentials.user_namespace.uids
    with _changing(task) as who:
        return names.shown(who.set_fsuid(names.to_kernel(uid)))


@syscall
def setfsgid(task: Task, gid: Gid) -> int:
    names = task.credentials.user_namespace.gids
    with _changing(task) as who:
        return names.shown(who.set_fsgid(names.to_kernel(gid)))


# -- supplementary groups -------------------------------------------------------------------------------


@syscall
def getgroups(task: Task, size: Int, groups: Addr) -> int:
    mine = task.credentials.groups
    if size < 0 or 0 < size < len(mine):
        raise LinuxError(Errno.EINVAL)
    if size:
        names = task.credentials.user_namespace.gids
        task.memory.write(groups, struct.pack(f"<{len(mine)}I", *map(names.shown, mine)))
    return len(mine)


@syscall
def setgroups(task: Task, size: Int, groups: Addr) -> None:
    names = task.credentials.user_namespace
    task.credentials.require_own(CAP.SETGID)
    if not names.allows_setgroups or not names.gids.extents:
        raise LinuxError(Errno.EPERM)
    if not 0 <= size <= NGROUPS_MAX:
        raise LinuxError(Errno.EINVAL)
    wanted = struct.unpack(f"<{size}I", task.memory.read(groups, size * 4))
    found = [names.gids.to_kernel(number) for number in wanted]
    if NO_ID in found:
        raise LinuxError(Errno.EINVAL)
    task.credentials.groups = tuple(sorted(found))


# -- capabilities ---------------------------------------------------------------------------------------


@syscall
def capget(task: Task, header: Ptr[CapabilityHeader], data: Ptr[CapabilityData]) -> None:
    try:
        words = _check_version(task, header)
    except LinuxError as error:
        if error.errno is Errno.EINVAL and not data:
            return  # a program asks which version there is
        raise
    if data:
        who = find_thread(task, task.memory.get(CapabilityHeader, header).pid).credentials
        sets = (who.effective, who.permitted, who.inheritable)
        for index in range(words):
            value = CapabilityData(*(bits >> 32 * index & 0xFFFF_FFFF for bits in sets))
            task.memory.put(data + index * CapabilityData.SIZE, value)


@syscall
def capset(task: Task, header: In[CapabilityHeader], data: In[CapabilityData]) -> None:
    words = _check_version(task, header)
    if task.memory.get(CapabilityHeader, header).pid not in (0, task.tid):
        raise LinuxError(Errno.EPERM)
    effective = permitted = inheritable = 0
    for index in range(words):
        value = task.memory.get(CapabilityData, data + index * CapabilityData.SIZE)
        effective |= value.effective << 32 * index
        permitted |= value.permitted << 32 * index
        inheritable |= value.inheritable << 32 * index
    sets = (permitted & CAP_FULL_SET, effective & CAP_FULL_SET, inheritable & CAP_FULL_SET)
    task.credentials.set_capabilities(*sets)


def _check_version(task: Task, header: int) -> int:
    """How many structures follow; EINVAL for an unknown version, after telling the one we speak."""
    words = _WORDS.get(task.memory.read_word(header, 4))
    if words is None:
        task.memory.write_word(header, CAPABILITY_VERSION_3, 4)
        raise LinuxError(Errno.EINVAL)
    return words
