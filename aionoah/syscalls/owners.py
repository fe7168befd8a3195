"""Who gets the signals of an open file, and which: F_SETOWN, F_SETSIG and F_NOTIFY of fcntl(2); Linux fs/fcntl.c,
fs/notify/dnotify.
"""

from functools import partial
from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import OWNER, F, FOwnerEx
from aionoah.abi.inotify import DN, IN
from aionoah.abi.poll import Poll
from aionoah.abi.siginfo import POLL_CODE, SigInfoPoll
from aionoah.abi.signal import SIG
from aionoah.abi.stat import S
from aionoah.abi.words import signed
from aionoah.fs import notify
from aionoah.fs.file import File, SignalOwner
from aionoah.net.socket import Socket
from aionoah.process.task import Process
from aionoah.signals.actions import LAST_SIGNAL
from aionoah.signals.generate import send_to_process, send_to_task
from aionoah.signals.info import SigInfo, from_kernel
from aionoah.syscalls.urgent import UrgentWatch

if TYPE_CHECKING:
    from aionoah.fs.inode import Inode
    from aionoah.process.kernel import Kernel
    from aionoah.process.task import Task

COMMANDS: Final = (F.SETOWN, F.GETOWN, F.SETOWN_EX, F.GETOWN_EX, F.SETSIG, F.GETSIG, F.NOTIFY)
_BANDS: Final = {  # si_band (band_table)
    POLL_CODE.IN: Poll.IN | Poll.RDNORM,
    POLL_CODE.OUT: Poll.OUT | Poll.WRNORM | Poll.WRBAND,
    POLL_CODE.MSG: Poll.IN | Poll.RDNORM | Poll.MSG,
    POLL_CODE.ERR: Poll.ERR,
    POLL_CODE.PRI: Poll.PRI | Poll.RDBAND,
    POLL_CODE.HUP: Poll.HUP | Poll.ERR,
}
_EVENTS: Final = {  # of dnotify, by what the VFS tells
    IN.ACCESS: DN.ACCESS,
    IN.MODIFY: DN.MODIFY,
    IN.ATTRIB: DN.ATTRIB,
    IN.CREATE: DN.CREATE,
    IN.MOVED_TO: DN.CREATE,
    IN.DELETE: DN.DELETE,
    IN.MOVED_FROM: DN.DELETE,
}


def control_owner(task: "Task", fd: int, file: File, cmd: int, arg: int) -> int:
    """The commands above. EINVAL, ESRCH; ENOTDIR for F_NOTIFY of anything but a directory."""
    owner = file.signal_owner or SignalOwner(OWNER.PID, 0, 0)
    number = signed(arg)
    match cmd:
        case F.GETOWN:
            return -owner.number if owner.kind == OWNER.PGRP else owner.number
        case F.GETSIG:
            return owner.signal
        case F.GETOWN_EX:
            task.memory.put(arg, FOwnerEx(owner.kind, owner.number))
        case F.SETOWN:
            kind = OWNER.PGRP if number < 0 else OWNER.PID
            _set_owner(task, file, kind, abs(number))
        case F.SETOWN_EX:
            wanted = task.memory.get(FOwnerEx, arg)
            if wanted.type not in (OWNER.TID, OWNER.PID, OWNER.PGRP):
                raise LinuxError(Errno.EINVAL)
            _set_owner(task, file, wanted.type, wanted.pid)
        case F.SETSIG:
            if arg > LAST_SIGNAL:
                raise LinuxError(Errno.EINVAL)
            file.signal_owner = owner._replace(signal=arg)
        case F.NOTIFY:
            _notify(task, fd, file, arg & 0xFFFF_FFFF)
    return 0


def _set_owner(task: "Task", file: File, kind: int, number: int) -> None:
    """ESRCH for nobody; 0 takes the owner away."""
    if number and not _receivers(task.kernel, kind, number):
        raise LinuxError(Errno.ESRCH)
    signal = file.signal_owner.signal if file.signal_owner is not None else 0
    file.signal_owner = SignalOwner(kind, number, signal, task.credentials.uid, task.credentials.euid)
    if number and isinstance(file, Socket) and file.is_stream:
        _watch_urgent_data(task.kernel, file)


def own_by_default(task: "Task", file: File) -> None:
    """Tell the calling process, if nobody is told yet."""
    if file.signal_owner is None or not file.signal_owner.number:
        _set_owner(task, file, OWNER.PID, task.process.pid)


def _watch_urgent_data(kernel: "Kernel", file: File) -> None:
    if not any(isinstance(each, UrgentWatch) for each in file.dependents or ()):
        UrgentWatch(file, kernel.host_edges, partial(_send_urgent, kernel))


def _send_urgent(kernel: "Kernel", file: File) -> None:
    """To the owner there is now; F_SETSIG says nothing about it (send_sigurg)."""
    owner = file.signal_owner
    if owner is None or not owner.number:
        return
    for each in _receivers(kernel, owner.kind, owner.number):
        if _may_send(owner, each):
            _send(each, from_kernel(SIG.URG))


def _receivers(kernel: "Kernel", kind: int, number: int) -> "list[Process | Task]":
    if kind == OWNER.TID:
        task = kernel.tasks.get(number)
        return [] if task is None else [task]
    if kind == OWNER.PID:
        process = kernel.processes.get(number)
        return [] if process is None else [process]
    return [each for each in kernel.processes.values() if each.process_group == number]


def send_io_signal(kernel: "Kernel", file: File, fd: int, code: int = POLL_CODE.MSG) -> None:
    """Tell the owner what there is. A real-time signal that finds no room becomes SIGIO (send_sigio)."""
    owner = file.signal_owner
    if owner is None or not owner.number:
        return
    plain = from_kernel(SIG.IO)
    info: SigInfo = plain
    if owner.signal:
        info = SigInfoPoll(owner.signal, 0, code, _BANDS[POLL_CODE(code)], fd)
    for each in _receivers(kernel, owner.kind, owner.number):
        if not _may_send(owner, each):
            continue
        try:
            _send(each, info)
        except LinuxError:  # EAGAIN: too many are pending
            _send(each, plain)


def _may_send(owner: SignalOwner, receiver: "Process | Task") -> bool:
    """sigio_perm."""
    task = next(iter(receiver.tasks.values()), None) if isinstance(receiver, Process) else receiver
    if owner.euid == 0 or task is None:
        return True
    theirs = (task.credentials.uid, task.credentials.suid)
    return owner.euid in theirs or owner.uid in theirs


def _send(receiver: "Process | Task", info: SigInfo) -> None:
    if isinstance(receiver, Process):
        send_to_process(receiver, info)
    else:
        send_to_task(receiver, info)


# -- dnotify ------------------------------------------------------------------------------------------


def _notify(task: "Task", fd: int, file: File, wanted: int) -> None:
    """F_NOTIFY: further events for this open file, or none any more."""
    known = next((each for each in file.dependents or () if isinstance(each, _DirectoryWatch)), None)
    if not wanted & ~DN.MULTISHOT:
        if known is not None:
            known.end()
        return
    inode = file.inode
    if inode.kind != S.IFDIR:
        raise LinuxError(Errno.ENOTDIR)
    if known is None:
        known = _DirectoryWatch(task.kernel, file, fd, inode)
    known.mask |= wanted
    own_by_default(task, file)


class _DirectoryWatch:
    """What a program wants to hear of a directory that it has open."""

    def __init__(self, kernel: "Kernel", file: File, fd: int, inode: "Inode") -> None:
        self.inode = inode
        self.mask = 0
        self._kernel = kernel
        self._file = file
        self._fd = fd
        if file.dependents is None:
            file.dependents = {}
        file.dependents[self] = None
        notify.watch(inode, self)

    def happened(self, mask: int, name: bytes, cookie: int, *, is_unlinked: bool) -> None:  # noqa: ARG002
        """Only what happens to entries counts."""
        if not name:
            return
        event = mask & ~IN.ISDIR
        if event == IN.MOVED_FROM and self.mask & DN.RENAME:
            self._tell()
        if self.mask & _EVENTS.get(event, 0):
            self._tell()

    def _tell(self) -> None:
        send_io_signal(self._kernel, self._file, self._fd)
        if not self.mask & DN.MULTISHOT:
            self.end()

    def end(self) -> None:
        self.mask = 0
        notify.unwatch(self.inode, self)
        if self._file.dependents is not None:
            self._file.dependents.pop(self, None)

    def inode_gone(self) -> None:
        """It is open, so it cannot go."""

    def unmounted(self) -> None:
        self.end()

    def file_released(self) -> None:
        self.end()

    def source_will_change(self) -> None:
        """Nobody waits for a directory."""

    def source_has_changed(self) -> None:
        """Nobody waits for a directory."""
