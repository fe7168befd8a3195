"""Files in memory without a name: memfd_create(2); Linux mm/memfd.c."""

from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import F_SEAL
from aionoah.abi.mman import MFD
from aionoah.fs.memfd import create_memory_file
from aionoah.syscalls.arguments import Path
from aionoah.syscalls.registry import syscall

if TYPE_CHECKING:
    from aionoah.process.task import Task

_VALID_FLAGS: Final = MFD.CLOEXEC | MFD.ALLOW_SEALING | MFD.NOEXEC_SEAL | MFD.EXEC
_NAME_MAX: Final = 249  # NAME_MAX less the prefix "memfd:"


@syscall(partial="No huge pages (EINVAL).")
def memfd_create(task: "Task", name: Path, flags: MFD) -> int:
    if flags.outside(_VALID_FLAGS) or MFD.NOEXEC_SEAL | MFD.EXEC in flags or len(name) > _NAME_MAX:
        raise LinuxError(Errno.EINVAL)

    seals = 0 if flags & (MFD.ALLOW_SEALING | MFD.NOEXEC_SEAL) else F_SEAL.SEAL
    mode = 0o777
    if MFD.NOEXEC_SEAL in flags:
        seals, mode = seals | F_SEAL.EXEC, 0o666
    who = task.credentials
    file = create_memory_file(name, mode=mode, uid=who.fsuid, gid=who.fsgid, seals=seals)
    return task.files.add(file, cloexec=MFD.CLOEXEC in flags)
