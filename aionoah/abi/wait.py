"""Waiting for children (uapi linux/wait.h; wait(2), waitid(2))."""

from aionoah.abi.flags import Choice, Flags


class W(Flags):
    """Options of wait4 and waitid: WNOHANG and so on."""

    NOHANG = 0x00000001
    UNTRACED = 0x00000002
    STOPPED = 0x00000002
    EXITED = 0x00000004
    CONTINUED = 0x00000008
    NOWAIT = 0x01000000
    NOTHREAD = 0x20000000  # __WNOTHREAD
    ALL = 0x40000000  # __WALL
    CLONE = 0x80000000  # __WCLONE


class P(Choice):
    """What the id of waitid is."""

    ALL = 0
    PID = 1
    PGID = 2
    PIDFD = 3


WAIT_CONTINUED = 0xFFFF
CORE_FLAG = 0x80


def exited_status(code: int) -> int:
    """The wait status of a process that called exit."""
    return (code & 0xFF) << 8


def killed_status(signal: int, *, core: bool = False) -> int:
    """The wait status of a process that a signal ended."""
    return signal | (CORE_FLAG if core else 0)


def stopped_status(signal: int) -> int:
    return signal << 8 | 0x7F


def term_signal(status: int) -> int:
    """The signal that ended the process, 0 if it exited."""
    return status & 0x7F


def exit_code(status: int) -> int:
    """The code that the process exited with; only where `term_signal` is 0."""
    return status >> 8 & 0xFF


class PIDFD(Flags):
    """Flags of pidfd_open (linux/pidfd.h)."""

    NONBLOCK = 0o4000
    THREAD = 0o200


class PIDFD_SIGNAL(Flags):  # noqa: N801 - the name of the header
    """Whom pidfd_send_signal means (linux/pidfd.h)."""

    THREAD = 1
    THREAD_GROUP = 2
    PROCESS_GROUP = 4
