"""What of a file is in memory: cachestat(2); Linux mm/filemap.c."""

from typing import Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import ACCESS
from aionoah.abi.pagecache import Cachestat, CachestatRange
from aionoah.fs.file import File
from aionoah.fs.permissions import allows, effective_identity
from aionoah.host import platform
from aionoah.host.errors import host_errors
from aionoah.process.task import Task
from aionoah.syscalls.arguments import Fd, In, Ptr, UInt
from aionoah.syscalls.registry import syscall

_NOTHING: Final = Cachestat(0, 0, 0, 0, 0)


@syscall(partial="As far as the host tells.")
def cachestat(
    task: Task, fd: Fd, cstat_range: In[CachestatRange], cstat: Ptr[Cachestat], flags: UInt
) -> None:
    file = task.files[fd]
    wanted = task.memory.get(CachestatRange, cstat_range)
    if not _may_write(task, file):
        raise LinuxError(Errno.EPERM)
    if flags:
        raise LinuxError(Errno.EINVAL)
    task.memory.put(cstat, _counts(file, wanted))


def _may_write(task: Task, file: File) -> bool:
    """Whoever might change it may know of it (can_do_cachestat)."""
    if file.is_writable:
        return True
    facts, identity = file.attributes(), effective_identity(task.credentials)
    return identity.may_act_as(facts.uid) or allows(facts, identity, ACCESS.W)


def _counts(file: File, wanted: CachestatRange) -> Cachestat:
    try:
        pages = file.mapping()
    except LinuxError as error:
        if error.errno is Errno.ENODEV:
            return _NOTHING
        raise
    with host_errors():
        return Cachestat(*platform.page_cache(pages.fd, pages.offset + wanted.off, wanted.len))
