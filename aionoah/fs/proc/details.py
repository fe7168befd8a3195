"""Small files of /proc/PID that hardly anybody reads, but those who do insist on.

What has no meaning here says what Linux says when there is nothing to say.
"""

from typing import TYPE_CHECKING, Final

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.signal import SIGEV
from aionoah.abi.time import CLOCK, NSEC_PER_MSEC
from aionoah.fs.proc.maps import sizes
from aionoah.fs.proc.mounts import escape, visible
from aionoah.fs.proc.settings import NOT_SET
from aionoah.fs.proc.smaps import require_administrator
from aionoah.fs.proc.status import comm
from aionoah.fs.proc.subject import Subject, find_task, number_of, process_of, require_inspectable

if TYPE_CHECKING:
    from aionoah.clocks.posix_timers import Wish
    from aionoah.process.task import Task

_NOTIFICATIONS: Final = {SIGEV.SIGNAL: b"signal", SIGEV.NONE: b"none", SIGEV.THREAD: b"thread"}
_OWN_CPU_CLOCKS: Final = {CLOCK.PROCESS_CPUTIME_ID: -6, CLOCK.THREAD_CPUTIME_ID: -2}  # as those of pid 0


def cpu_time_ns(subject: Subject) -> int:
    task = find_task(subject)
    if task is subject and task is not None:
        return task.control.cpu_time_ns()
    return process_of(subject).all_cpu_time_ns


def sched(subject: Subject) -> bytes:
    """The start of what CONFIG_SCHED_DEBUG shows (kernel/sched/debug.c)."""
    task = find_task(subject)
    head = b"%s (%d, #threads: %d)\n" % (comm(subject), number_of(subject), len(process_of(subject).tasks))
    runtime = b"%d.%06d" % divmod(cpu_time_ns(subject), NSEC_PER_MSEC)
    voluntary, involuntary = _switches(task)
    fields = (
        (b"se.sum_exec_runtime", runtime),
        (b"se.nr_migrations", b"0"),
        (b"nr_switches", b"%d" % (voluntary + involuntary)),
        (b"nr_voluntary_switches", b"%d" % voluntary),
        (b"nr_involuntary_switches", b"%d" % involuntary),
        (b"policy", b"%d" % (task.scheduling.policy if task is not None else 0)),
        (b"prio", b"%d" % (120 + task.scheduling.nice if task is not None else 120)),
    )
    return head + b"-" * 67 + b"\n" + b"".join(b"%-45s:%21s\n" % field for field in fields)


def _switches(task: "Task | None") -> tuple[int, int]:
    if task is None:
        return 0, 0
    return task.counts.voluntary_switches, task.counts.involuntary_switches


def schedstat(subject: Subject) -> bytes:
    """Time on a processor, time waiting for one (unknown), turns."""
    return b"%d 0 %d\n" % (cpu_time_ns(subject), sum(_switches(find_task(subject))))


def personality(subject: Subject) -> bytes:
    return b"%08x\n" % require_inspectable(subject).personality


def timer_slack(subject: Subject) -> bytes:
    return b"%d\n" % require_inspectable(subject).timer_slack_ns


def stack(subject: Subject) -> bytes:
    """The kernel's own stack: there is none."""
    require_administrator()
    require_inspectable(subject)
    return b""


def oom_score(subject: Subject) -> bytes:
    """As mm/oom_kill.c: 0 to 1000 for the share of memory, twice the adjustment's third around 667."""
    process, kernel = process_of(subject), process_of(subject).kernel
    pages = max(kernel.machine.frames.limit, 1)
    points = sizes(subject).resident // PAGE_SIZE * 1000 // pages + process.oom_score_adj
    return b"%d\n" % max(min((1000 + points) * 2 // 3, 2000), 0)


def login_user(subject: Subject) -> bytes:
    login = process_of(subject).login
    return b"%d" % (NOT_SET if login is None else login.uid)


def login_session(subject: Subject) -> bytes:
    login = process_of(subject).login
    return b"%d" % (NOT_SET if login is None else login.session)


def timers(subject: Subject) -> bytes:
    """The POSIX timers, the youngest first (show_timer in fs/proc/base.c)."""
    known = process_of(subject).timers.posix
    return b"".join(_timer(number, known[number].wish) for number in sorted(known, reverse=True))


def _timer(number: int, wish: "Wish | None") -> bytes:
    if wish is None:
        return b""
    kind = _NOTIFICATIONS[wish.notify & ~SIGEV.THREAD_ID]
    whom = b"tid" if wish.notify & SIGEV.THREAD_ID else b"pid"
    text = b"ID: %d\nsignal: %d/%016x\nnotify: %s/%s.%d\nClockID: %d\n"
    clock_id = _OWN_CPU_CLOCKS.get(wish.clock_id, wish.clock_id)
    return text % (number, wish.signal, wish.value, kind, whom, wish.target, clock_id)


def children(subject: Subject) -> bytes:
    """Of the process; Linux tells them apart by the thread that made them."""
    process = process_of(subject)
    return (
        b"".join(b"%d " % pid for pid in sorted(process.children))
        if number_of(subject) == process.pid
        else b""
    )


def mountstats(subject: Subject) -> bytes:
    lines = []
    for mount, path in visible(subject):
        columns = (mount.source, path, mount.filesystem.type_name)
        lines.append(b"device %s mounted on %s with fstype %s\n" % tuple(map(escape, columns)))
    return b"".join(lines)


def clear_refs(subject: Subject, data: bytes) -> None:
    """Which pages were touched is not known, so there is nothing to clear. EINVAL for no number from 1 to 5."""
    require_inspectable(subject)
    if data.strip() not in (b"1", b"2", b"3", b"4", b"5"):
        raise LinuxError(Errno.EINVAL)


def no_security_module(subject: Subject) -> bytes:  # noqa: ARG001
    """Files of attr/ without a security module (fs/proc/base.c: proc_pid_attr_read)."""
    raise LinuxError(Errno.EINVAL)
