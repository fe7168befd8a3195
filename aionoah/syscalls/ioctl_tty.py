"""The requests of terminals (ioctl_tty(2); Linux drivers/tty/tty_io.c, tty_ioctl.c, tty_jobctrl.c, pty.c)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.ioctl import IOCTL, Winsize
from aionoah.abi.signal import SIG
from aionoah.abi.termios import CC, TC, TCFLUSH, Cflag, Termio, Termios, Termios2
from aionoah.fs.context import FsContext
from aionoah.fs.operations import open_file
from aionoah.syscalls.cells import Cell32
from aionoah.terminal import job_control
from aionoah.terminal.files import TerminalFile
from aionoah.terminal.settings import Settings

if TYPE_CHECKING:
    from aionoah.process.task import Task

Request = Callable[["Task", TerminalFile, int], int | None]
_PEER_FLAGS: Final = O.ACCMODE | O.NOCTTY | O.NONBLOCK | O.CLOEXEC


def terminal_ioctl(task: "Task", file: TerminalFile, request: int, argument: int) -> int:
    """Perform a request on an open terminal; ENOTTY for one that there is not."""
    if file.is_hung_up:
        raise LinuxError(Errno.ENOTTY if request == IOCTL.TIOCSPGRP else Errno.EIO)
    perform = _REQUESTS.get(request) or (_MASTER_REQUESTS.get(request) if file.is_master else None)
    if perform is None:
        raise LinuxError(Errno.ENOTTY)
    return perform(task, file, argument) or 0


def _require_foreground(task: "Task", file: TerminalFile) -> None:
    """Whoever changes a terminal from the background gets SIGTTOU; the master may always."""
    if not file.is_master:
        job_control.require_foreground(task, file.pty, SIG.TTOU)


# -- settings -------------------------------------------------------------------------------------------


def _settings(file: TerminalFile) -> Settings:
    """Those of the slave, on whichever side one asks."""
    return file.pty.slave.settings


def _get(structure: Callable[[Settings], Termios | Termios2 | Termio]) -> Request:
    def perform(task: "Task", file: TerminalFile, address: int) -> None:
        task.memory.put(address, structure(_settings(file)))

    return perform


_FORMS: Final = {
    Termios: Settings.changed_by_termios,
    Termios2: Settings.changed_by_termios2,
    Termio: Settings.changed_by_termio,
}


def _set(form: type[Termios | Termios2 | Termio], *, flushes: bool = False) -> Request:
    """TCSETS and TCSETSW are the same: output is never under way. TCSETSF throws unread input away."""

    def perform(task: "Task", file: TerminalFile, address: int) -> None:
        slave = file.pty.slave
        job_control.require_foreground(task, file.pty, SIG.TTOU)
        wanted = task.memory.get(form, address)
        if flushes:
            slave.flush_input(incoming=False)
        slave.change(_FORMS[form](slave.settings, wanted))  # type: ignore[operator]

    return perform


def _get_carrier(task: "Task", file: TerminalFile, address: int) -> None:
    task.memory.put(address, Cell32(int(bool(_settings(file).cflag & Cflag.CLOCAL))))


def _set_carrier(task: "Task", file: TerminalFile, address: int) -> None:
    is_on = task.memory.get(Cell32, address).value
    old = _settings(file)
    cflag = old.cflag | Cflag.CLOCAL if is_on else old.cflag & ~Cflag.CLOCAL
    file.pty.slave.change(old._replace(cflag=cflag))


def _get_size(task: "Task", file: TerminalFile, address: int) -> None:
    task.memory.put(address, file.pty.size)


def _set_size(task: "Task", file: TerminalFile, address: int) -> None:
    job_control.resize(task.kernel, file.pty, task.memory.get(Winsize, address))


# -- flow -----------------------------------------------------------------------------------------------


def _break(task: "Task", file: TerminalFile, argument: int) -> None:  # noqa: ARG001
    """TCSBRK, TIOCSBRK and tcdrain: there is no line to break, and nothing to wait for."""
    _require_foreground(task, file)


def _nothing(task: "Task", file: TerminalFile, argument: int) -> None:
    """TIOCCBRK."""


def _control_flow(task: "Task", file: TerminalFile, action: int) -> None:
    _require_foreground(task, file)
    side = file.side
    if action == TC.OOFF:
        side.suspend_output()
    elif action == TC.OON:
        side.resume_output()
    elif action == TC.IOFF:
        side.send_flow_character(CC.STOP)
    elif action == TC.ION:
        side.send_flow_character(CC.START)
    else:
        raise LinuxError(Errno.EINVAL)


def _flush(task: "Task", file: TerminalFile, queue: int) -> None:
    _require_foreground(task, file)
    if queue not in TCFLUSH.members():
        raise LinuxError(Errno.EINVAL)
    if queue != TCFLUSH.OUTPUT:
        file.side.flush_input()
    if queue != TCFLUSH.INPUT:
        file.side.flush_output()


def _count_input(task: "Task", file: TerminalFile, address: int) -> None:
    task.memory.put(address, Cell32(file.side.discipline.readable))


def _count_output(task: "Task", file: TerminalFile, address: int) -> None:  # noqa: ARG001
    """What is written is at the other side at once."""
    task.memory.put(address, Cell32(0))


def _simulate_input(task: "Task", file: TerminalFile, address: int) -> None:
    """TIOCSTI: for root only, as kernels have it whose dev.tty.legacy_tiocsti is 0."""
    if not task.credentials.has_capability(CAP.SYS_ADMIN):
        raise LinuxError(Errno.EIO)
    file.side.incoming += task.memory.read(address, 1)
    file.side.receive()


# -- job control ----------------------------------------------------------------------------------------


def _set_controlling(task: "Task", file: TerminalFile, argument: int) -> None:
    job_control.set_controlling(task, file.pty, steals=argument == 1, is_readable=file.is_readable)


def _give_up(task: "Task", file: TerminalFile, argument: int) -> None:  # noqa: ARG001
    if file.is_master or task.process.terminal is not file.pty:
        raise LinuxError(Errno.ENOTTY)
    job_control.give_up(task.process)


def _require_controlling(task: "Task", file: TerminalFile) -> None:
    if not file.is_master and task.process.terminal is not file.pty:
        raise LinuxError(Errno.ENOTTY)


def _get_foreground(task: "Task", file: TerminalFile, address: int) -> None:
    _require_controlling(task, file)
    task.memory.put(address, Cell32(file.pty.foreground))


def _set_foreground(task: "Task", file: TerminalFile, address: int) -> None:
    job_control.require_may_set_foreground(task, file.pty)
    job_control.set_foreground(task, file.pty, task.memory.get(Cell32, address).value)


def _get_session(task: "Task", file: TerminalFile, address: int) -> None:
    _require_controlling(task, file)
    if not file.pty.session:
        raise LinuxError(Errno.ENOTTY)
    task.memory.put(address, Cell32(file.pty.session))


def _hang_up(task: "Task", file: TerminalFile, argument: int) -> None:  # noqa: ARG001
    if not task.credentials.has_capability(CAP.SYS_ADMIN):
        raise LinuxError(Errno.EPERM)
    job_control.hang_up(task.kernel, file.pty)


# -- which terminal -------------------------------------------------------------------------------------


def _exclude(*, others: bool) -> Request:
    def perform(task: "Task", file: TerminalFile, argument: int) -> None:  # noqa: ARG001
        file.side.is_exclusive = others

    return perform


def _is_exclusive(task: "Task", file: TerminalFile, address: int) -> None:
    task.memory.put(address, Cell32(int(file.side.is_exclusive)))


def _get_discipline(task: "Task", file: TerminalFile, address: int) -> None:  # noqa: ARG001
    task.memory.put(address, Cell32(0))  # N_TTY


def _set_discipline(task: "Task", file: TerminalFile, address: int) -> None:
    """There is no other than N_TTY."""
    _require_foreground(task, file)
    if task.memory.get(Cell32, address).value:
        raise LinuxError(Errno.EINVAL)


def _get_device(task: "Task", file: TerminalFile, address: int) -> None:
    task.memory.put(address, Cell32(file.pty.rdev))


# -- the master's own -----------------------------------------------------------------------------------


def _get_number(task: "Task", file: TerminalFile, address: int) -> None:
    task.memory.put(address, Cell32(file.pty.index))


def _set_lock(task: "Task", file: TerminalFile, address: int) -> None:
    file.pty.is_locked = bool(task.memory.get(Cell32, address).value)


def _get_lock(task: "Task", file: TerminalFile, address: int) -> None:
    task.memory.put(address, Cell32(int(file.pty.is_locked)))


def _set_packet(task: "Task", file: TerminalFile, address: int) -> None:
    is_on = bool(task.memory.get(Cell32, address).value)
    if is_on and not file.side.is_packet:
        file.side.link.news = 0
    file.side.is_packet = is_on


def _get_packet(task: "Task", file: TerminalFile, address: int) -> None:
    task.memory.put(address, Cell32(int(file.side.is_packet)))


def _signal(task: "Task", file: TerminalFile, number: int) -> None:
    if number not in (SIG.INT, SIG.QUIT, SIG.TSTP):
        raise LinuxError(Errno.EINVAL)
    job_control.signal_group(task.kernel, file.pty.foreground, number)


def _open_peer(task: "Task", file: TerminalFile, flags: int) -> int:
    """TIOCGPTPEER: the slave, even where /dev/pts cannot be reached by name."""
    root = task.kernel.mounts.root
    wanted = O(flags & _PEER_FLAGS)
    with task.files.reserve() as (fd,):
        peer = open_file(FsContext(root, task.credentials), root, file.pty.name, wanted)
        task.files.install(fd, peer, cloexec=O.CLOEXEC in wanted)
    return fd


_REQUESTS: Final[dict[int, Request]] = {
    IOCTL.TCGETS: _get(Settings.termios),
    IOCTL.TCGETS2: _get(Settings.termios2),
    IOCTL.TCGETA: _get(Settings.termio),
    IOCTL.TCSETS: _set(Termios),
    IOCTL.TCSETSW: _set(Termios),
    IOCTL.TCSETSF: _set(Termios, flushes=True),
    IOCTL.TCSETS2: _set(Termios2),
    IOCTL.TCSETSW2: _set(Termios2),
    IOCTL.TCSETSF2: _set(Termios2, flushes=True),
    IOCTL.TCSETA: _set(Termio),
    IOCTL.TCSETAW: _set(Termio),
    IOCTL.TCSETAF: _set(Termio, flushes=True),
    IOCTL.TIOCGSOFTCAR: _get_carrier,
    IOCTL.TIOCSSOFTCAR: _set_carrier,
    IOCTL.TIOCGWINSZ: _get_size,
    IOCTL.TIOCSWINSZ: _set_size,
    IOCTL.TCSBRK: _break,
    IOCTL.TCSBRKP: _break,
    IOCTL.TIOCSBRK: _break,
    IOCTL.TIOCCBRK: _nothing,
    IOCTL.TCXONC: _control_flow,
    IOCTL.TCFLSH: _flush,
    IOCTL.FIONREAD: _count_input,
    IOCTL.TIOCOUTQ: _count_output,
    IOCTL.TIOCSTI: _simulate_input,
    IOCTL.TIOCSCTTY: _set_controlling,
    IOCTL.TIOCNOTTY: _give_up,
    IOCTL.TIOCGPGRP: _get_foreground,
    IOCTL.TIOCSPGRP: _set_foreground,
    IOCTL.TIOCGSID: _get_session,
    IOCTL.TIOCVHANGUP: _hang_up,
    IOCTL.TIOCEXCL: _exclude(others=True),
    IOCTL.TIOCNXCL: _exclude(others=False),
    IOCTL.TIOCGEXCL: _is_exclusive,
    IOCTL.TIOCGETD: _get_discipline,
    IOCTL.TIOCSETD: _set_discipline,
    IOCTL.TIOCGDEV: _get_device,
}
_MASTER_REQUESTS: Final[dict[int, Request]] = {
    IOCTL.TIOCGPTN: _get_number,
    IOCTL.TIOCSPTLCK: _set_lock,
    IOCTL.TIOCGPTLCK: _get_lock,
    IOCTL.TIOCPKT: _set_packet,
    IOCTL.TIOCGPKT: _get_packet,
    IOCTL.TIOCSIG: _signal,
    IOCTL.TIOCGPTPEER: _open_peer,
}
