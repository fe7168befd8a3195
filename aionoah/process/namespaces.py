"""Name spaces: host names, IPC, mounts and users can be had anew, of the other kinds there is one each (namespaces(7)).

Those of mounts are in fs/mount_namespace.py, those of users in user_namespaces.py. Sources: uts_namespaces(7), ipc_namespaces(7), setns(2); Linux kernel/nsproxy.c, ipc/namespace.c.
"""

from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.sched import CLONE
from aionoah.process.current import find_current_task
from aionoah.process.user_namespaces import (
    FIRST,
    Namespace,
    UserNamespace,
    enter_user_namespace,
    new_user_namespace,
)

if TYPE_CHECKING:
    from aionoah.fs.mount_namespace import MountNamespace
    from aionoah.fs.mqueue import QueueFileSystem
    from aionoah.process.ipc.tables import Ipc
    from aionoah.process.kernel import Kernel
    from aionoah.process.task import Task

NAMESPACES: Final = (
    CLONE.NEWNS | CLONE.NEWCGROUP | CLONE.NEWUTS | CLONE.NEWIPC | CLONE.NEWUSER | CLONE.NEWPID | CLONE.NEWNET
    | CLONE.NEWTIME
)  # fmt: skip
_AVAILABLE: Final = CLONE.NEWUTS | CLONE.NEWIPC | CLONE.NEWNS | CLONE.NEWUSER
FIRST_LATER_NUMBER: Final = 0xF0000001  # behind the one that a first network name space usually has


# The numbers of the first ones are Linux's (include/linux/proc_ns.h).
ONLY: Final = {
    CLONE.NEWCGROUP: Namespace(b"cgroup", CLONE.NEWCGROUP, 0xEFFFFFFB),
    CLONE.NEWNET: Namespace(b"net", CLONE.NEWNET, 0xF0000000),
    CLONE.NEWPID: Namespace(b"pid", CLONE.NEWPID, 0xEFFFFFFC),
    CLONE.NEWTIME: Namespace(b"time", CLONE.NEWTIME, 0xEFFFFFFA),
}
"""Those of which there are no others."""


class UtsNamespace(Namespace):
    """What the machine is called."""

    def __init__(
        self,
        hostname: bytes,
        domainname: bytes = b"(none)",
        number: int = 0xEFFFFFFE,
        owner: UserNamespace = FIRST,
    ) -> None:
        super().__init__(b"uts", CLONE.NEWUTS, number, owner)
        self.hostname = hostname  # at most 64 bytes, as uname has room for
        self.domainname = domainname


class IpcNamespace(Namespace):
    """System V IPC and POSIX message queues, each made when the first program asks for it."""

    def __init__(
        self, registry: "list[IpcNamespace]", number: int = 0xEFFFFFFF, owner: UserNamespace = FIRST
    ) -> None:
        """It is in the registry for as long as anybody uses it, and born with one user."""
        super().__init__(b"ipc", CLONE.NEWIPC, number, owner)
        self._registry = registry
        self._users = 1
        registry.append(self)

    @cached_property
    def system_v(self) -> "Ipc":
        from aionoah.process.ipc.tables import Ipc  # noqa: PLC0415 - most do not

        return Ipc()

    @cached_property
    def message_queues(self) -> "QueueFileSystem":
        from aionoah.fs.mqueue import QueueFileSystem  # noqa: PLC0415 - it is told of tasks, as this is

        return QueueFileSystem()

    @property
    def used_system_v(self) -> "Ipc | None":
        """The same, if any program has asked for it."""
        return self.__dict__.get("system_v")

    def hold(self) -> None:
        self._users += 1
        if self not in self._registry:  # it was kept by a mount of its file alone
            self._registry.append(self)

    def drop(self) -> None:
        self._users -= 1
        if not self._users:
            self._registry.remove(self)
            if self.used_system_v is not None:
                self.used_system_v.memory.release()


class Namespaces(NamedTuple):
    """Those that a task has (Linux's nsproxy)."""

    uts: UtsNamespace
    ipc: IpcNamespace
    mounts: "MountNamespace"

    def hold(self) -> "Namespaces":
        self.ipc.hold()
        self.mounts.hold()
        return self

    def drop(self) -> None:
        self.ipc.drop()
        self.mounts.drop()


def namespace_of(task: "Task", flag: int) -> Namespace:
    """The one of a kind that a task has."""
    known = task.namespaces
    own: dict[int, Namespace] = {
        CLONE.NEWUSER: task.credentials.user_namespace,
        CLONE.NEWUTS: known.uts,
        CLONE.NEWIPC: known.ipc,
        CLONE.NEWNS: known.mounts,
    }
    return own.get(flag) or ONLY[flag]


def current_namespaces(kernel: "Kernel") -> Namespaces:
    """Those of whoever reads or mounts; the first ones if that is the application."""
    task = find_current_task()
    return task.namespaces if task is not None and task.kernel is kernel else kernel.namespaces


def require_makeable(task: "Task", flags: int) -> None:
    """EINVAL for kinds of which there are no others, as in a kernel built without them; EPERM, ENOSPC."""
    if flags & CLONE.NEWUSER and not task.kernel.user_namespace_settings.are_for_all:
        task.credentials.require(CAP.SYS_ADMIN)
    if flags & NAMESPACES & ~CLONE.NEWUSER and not flags & CLONE.NEWUSER:  # whose maker has the right
        task.credentials.require_own(CAP.SYS_ADMIN)
    if flags & NAMESPACES & ~_AVAILABLE:
        raise LinuxError(Errno.EINVAL)
    if flags & CLONE.NEWNS:
        task.namespaces.mounts.require_copyable()


def enter_new_user_namespace(task: "Task", child: "Task") -> None:
    """`child`, which may be the task itself, becomes somebody in one of its own. ENOSPC, EPERM."""
    number = next(task.kernel.namespace_numbers)
    is_chrooted = task.fs.root is not task.namespaces.mounts.uppermost
    made = new_user_namespace(task.credentials, number, is_chrooted=is_chrooted)
    enter_user_namespace(child.credentials, made)


def new_namespaces(task: "Task", flags: int, child: "Task") -> Namespaces:
    """What `flags` ask for, new, and the rest as a task has it, with a use for `child`, which may be the task itself: with
    the mounts, its root and working directory become new. They belong to its user name space. ENOSPC.
    """
    kernel, (uts, ipc, mounts) = task.kernel, task.namespaces
    owner, fs, numbers = child.credentials.user_namespace, child.fs, kernel.namespace_numbers
    if flags & CLONE.NEWNS:
        from aionoah.fs.mount_copying import Copying  # noqa: PLC0415 - most do not

        copying = Copying(mounts, next(numbers), owner)
        mounts = copying.namespace
        fs.root, fs.cwd = copying.position(fs.root), copying.position(fs.cwd)
    else:
        mounts.hold()
    if flags & CLONE.NEWUTS:
        uts = UtsNamespace(uts.hostname, uts.domainname, next(numbers), owner)
    if flags & CLONE.NEWIPC:
        ipc = IpcNamespace(kernel.ipc_namespaces, next(numbers), owner)
    else:
        ipc.hold()
    return Namespaces(uts, ipc, mounts)


def enter(task: "Task", new: Namespaces) -> None:
    """Take over the caller's use of name spaces. What was to be undone in the old semaphores is undone."""
    old, task.namespaces = task.namespaces, new
    if new.ipc is not old.ipc and task.semaphore_undo is not None:
        undo, task.semaphore_undo = task.semaphore_undo, None
        undo.leave(task)
    old.drop()
