"""Controlling terminals: whose a terminal is, who may use it now, and who hears when it goes.

Source: credentials(7), ioctl_tty(2), setsid(2); Linux drivers/tty/tty_jobctrl.c.
"""

from typing import TYPE_CHECKING

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.ioctl import Winsize
from aionoah.abi.signal import SIG, SIG_IGN, signal_bit
from aionoah.process.groups import is_orphaned, members
from aionoah.signals.generate import send_to_process
from aionoah.signals.info import from_kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aionoah.process.kernel import Kernel
    from aionoah.process.task import Process, Task
    from aionoah.terminal.pty import Pty


def signal_group(kernel: "Kernel", group: int, signal: int) -> None:
    """Send a signal to a process group, if it is one."""
    if group:
        for process in members(kernel, group):
            send_to_process(process, from_kernel(signal))


# -- use ------------------------------------------------------------------------------------------------


def require_foreground(task: "Task", pty: "Pty", signal: int) -> None:
    """Whoever uses the controlling terminal from the background gets SIGTTIN or SIGTTOU, all of his group do,
    and the call goes on with the process.

    ERESTARTSYS, or EIO where the signal could not stop anybody. With SIGTTOU ignored or blocked the call simply
    goes on.
    """
    process = task.process
    if process.terminal is not pty or pty.foreground in (0, process.process_group):
        return
    is_blocked = bool(task.signals.mask & signal_bit(signal))
    if is_blocked or process.signals.dispositions[signal].handler == SIG_IGN:
        if signal == SIG.TTIN:
            raise LinuxError(Errno.EIO)
        return
    if is_orphaned(task.kernel, process.process_group):
        raise LinuxError(Errno.EIO)
    signal_group(task.kernel, process.process_group, signal)
    raise LinuxError(Errno.ERESTARTSYS)


# -- becoming a controlling terminal ----------------------------------------------------------------------


def is_leader(process: "Process") -> bool:
    """Whether a process leads its session."""
    return process.session == process.pid


def opened(process: "Process", pty: "Pty") -> None:
    """A session leader without a terminal has opened one that is nobody's, for reading and without O_NOCTTY."""
    if is_leader(process) and process.terminal is None and not pty.session:
        take(process, pty)


def take(process: "Process", pty: "Pty") -> None:
    """The terminal controls the session of its leader `process` from now on, who is in the foreground."""
    pty.session, pty.foreground = process.session, process.process_group
    process.terminal, process.old_foreground = pty, 0


def set_controlling(task: "Task", pty: "Pty", *, steals: bool, is_readable: bool) -> None:
    """TIOCSCTTY. EPERM."""
    process = task.process
    is_privileged = task.credentials.has_capability(CAP.SYS_ADMIN)
    if is_leader(process) and process.session == pty.session:
        return
    if not is_leader(process) or process.terminal is not None:
        raise LinuxError(Errno.EPERM)
    if pty.session and not (steals and is_privileged):
        raise LinuxError(Errno.EPERM)
    if not is_readable and not is_privileged:
        raise LinuxError(Errno.EPERM)
    if pty.session:
        _clear_session(task.kernel, pty.session)
    take(process, pty)


# -- and no more ------------------------------------------------------------------------------------------


def give_up(process: "Process") -> None:
    """TIOCNOTTY: by the leader for the whole session, whose foreground is hung up and continued."""
    pty = process.terminal
    if pty is not None and is_leader(process):
        group = pty.foreground
        signal_group(process.kernel, group, SIG.HUP)
        signal_group(process.kernel, group, SIG.CONT)
        _disassociate(process, pty)
    process.terminal = None


def process_ended(process: "Process") -> None:
    """With its leader a session loses its terminal (disassociate_ctty). Who was in the foreground of one that
    has been hung up before hears of it now.
    """
    if not is_leader(process):
        return
    pty = process.terminal
    if pty is not None:
        signal_group(process.kernel, pty.foreground, SIG.HUP)
        _disassociate(process, pty)
        return
    group, process.old_foreground = process.old_foreground, 0
    signal_group(process.kernel, group, SIG.HUP)
    signal_group(process.kernel, group, SIG.CONT)


def _disassociate(leader: "Process", pty: "Pty") -> None:
    leader.old_foreground = 0
    pty.session = pty.foreground = 0
    _clear_session(leader.kernel, leader.session)


def hang_up(kernel: "Kernel", pty: "Pty") -> None:
    """The master has been closed: the session's leader hears of it, and every open slave is dead."""
    if pty.session:
        for process in _session(kernel, pty.session):
            if process.terminal is pty:
                process.terminal = None
            if is_leader(process):
                send_to_process(process, from_kernel(SIG.HUP))
                send_to_process(process, from_kernel(SIG.CONT))
                process.old_foreground = pty.foreground
    pty.hang_up()


def _session(kernel: "Kernel", session: int) -> "Iterator[Process]":
    return (process for process in list(kernel.processes.values()) if process.session == session)


def _clear_session(kernel: "Kernel", session: int) -> None:
    for process in _session(kernel, session):
        process.terminal = None


def resize(kernel: "Kernel", pty: "Pty", size: Winsize) -> None:
    """The window has another size: whoever is in the foreground hears of it (SIGWINCH)."""
    if size != pty.size:
        signal_group(kernel, pty.foreground, SIG.WINCH)
        pty.size = size


# -- groups -----------------------------------------------------------------------------------------------


def set_foreground(task: "Task", pty: "Pty", group: int) -> None:
    """TIOCSPGRP: ENOTTY if it is not the caller's terminal, EINVAL, ESRCH, EPERM for a group elsewhere."""
    if group < 0:
        raise LinuxError(Errno.EINVAL)
    session = _session_of_group(task.kernel, group)
    if session != task.process.session:
        raise LinuxError(Errno.EPERM)
    pty.foreground = group


def require_may_set_foreground(task: "Task", pty: "Pty") -> None:
    """What TIOCSPGRP wants before it looks at its argument."""
    try:
        require_foreground(task, pty, SIG.TTOU)
    except LinuxError as error:
        raise LinuxError(Errno.ENOTTY) if error.errno is Errno.EIO else error from None
    if task.process.terminal is not pty or pty.session != task.process.session:
        raise LinuxError(Errno.ENOTTY)


def _session_of_group(kernel: "Kernel", group: int) -> int:
    """ESRCH for a number that nobody has."""
    for process in members(kernel, group):
        return process.session
    leader = kernel.processes.get(group)
    if leader is not None:
        return leader.session
    if group in kernel.tasks or any(other.session == group for other in kernel.processes.values()):
        return 0
    raise LinuxError(Errno.ESRCH)
