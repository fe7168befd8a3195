"""What may be written to the small files of /proc/PID: a number each (fs/proc/base.c), read as the kernel reads numbers (lib/kstrtox.c)."""

import re
from typing import Final

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.fs.proc.subject import Subject, process_of, require_inspectable
from aionoah.process.current import current_task
from aionoah.process.task import DEFAULT_TIMER_SLACK_NS, Login

NOT_SET: Final = 4294967295  # of user and session ids: never set
_NUMBER: Final = re.compile(rb"([+-]?)(?:(0[xX])([0-9a-fA-F]+)|(0?)([0-9]+))\n?")
_SPACES: Final = b" \t\n\v\f\r"
_INT: Final = range(-(2**31), 2**31)
_UNSIGNED: Final = range(2**32)
_UNSIGNED_LONG: Final = range(2**64)
_LONGEST: Final = 12  # bytes of a number that are looked at where there may be spaces (PROC_NUMBUF)
_SCORE_RANGE: Final = 1000  # oom_score_adj goes from -1000 to 1000
_OOM_DISABLE: Final = -17
_OOM_ADJUST_MAX: Final = 15
_CORE_KINDS: Final = 0x1FF


def number_in(data: bytes, allowed: range, *, is_decimal: bool = True) -> int:
    """The number that is written up to a NUL, with a newline at most behind it; unless `is_decimal`, octal or
    hexadecimal as in C. EINVAL, ERANGE.
    """
    match = _NUMBER.fullmatch(data.partition(b"\0")[0])
    if match is None or (match[1] == b"-" and allowed.start == 0) or (match[2] and is_decimal):
        raise LinuxError(Errno.EINVAL)
    base = 16 if match[2] else 8 if match[4] and not is_decimal else 10
    try:
        value = int(match[1] + (match[3] or match[5]), base)
    except ValueError:  # 8 and 9 are no octal digits
        raise LinuxError(Errno.EINVAL) from None
    if value not in allowed:
        raise LinuxError(Errno.ERANGE)
    return value


def _score_in(data: bytes) -> int:
    return number_in(data[:_LONGEST].partition(b"\0")[0].strip(_SPACES), _INT, is_decimal=False)


def set_oom_score_adj(subject: Subject, data: bytes) -> None:
    """Remembered; nobody is killed for want of memory here. EACCES for less than CAP_SYS_RESOURCE has last allowed; EINVAL, ERANGE."""
    value, process = _score_in(data), process_of(subject)
    if abs(value) > _SCORE_RANGE:
        raise LinuxError(Errno.EINVAL)
    may_lower = current_task().credentials.has_capability(CAP.SYS_RESOURCE)
    if value < process.oom_score_adj_min and not may_lower:
        raise LinuxError(Errno.EACCES)
    process.oom_score_adj = value
    if may_lower:
        process.oom_score_adj_min = value


def set_oom_adj(subject: Subject, data: bytes) -> None:
    """The older scale, -17 to 15. EACCES for less than it is, EINVAL, ERANGE."""
    value, process = _score_in(data), process_of(subject)
    if not _OOM_DISABLE <= value <= _OOM_ADJUST_MAX:
        raise LinuxError(Errno.EINVAL)
    score = _SCORE_RANGE if value == _OOM_ADJUST_MAX else int(value * _SCORE_RANGE / -_OOM_DISABLE)
    if score < process.oom_score_adj and not current_task().credentials.has_capability(CAP.SYS_RESOURCE):
        raise LinuxError(Errno.EACCES)
    process.oom_score_adj = score


def oom_adj(subject: Subject) -> bytes:
    adjustment = process_of(subject).oom_score_adj
    is_most = adjustment == _SCORE_RANGE
    return b"%d\n" % (_OOM_ADJUST_MAX if is_most else int(adjustment * -_OOM_DISABLE / _SCORE_RANGE))


def set_login_user(subject: Subject, data: bytes) -> None:
    """Anybody may once, for itself; later CAP_AUDIT_CONTROL is needed (audit_set_loginuid in kernel/auditsc.c)."""
    task, process = current_task(), process_of(subject)
    if task.process is not process:
        raise LinuxError(Errno.EPERM)
    user = number_in(data, _UNSIGNED)
    if process.login is not None:
        task.credentials.require(CAP.AUDIT_CONTROL)
    if user == NOT_SET:
        process.login = None
        return
    task.kernel.logins += 1
    process.login = Login(user, task.kernel.logins)


def core_filter(subject: Subject) -> bytes:
    return b"%08x\n" % process_of(subject).core_filter


def set_core_filter(subject: Subject, data: bytes) -> None:
    """What of the memory a core dump is to have (abi.core.DUMP)."""
    process_of(subject).core_filter = number_in(data, _UNSIGNED, is_decimal=False) & _CORE_KINDS


def set_timer_slack(subject: Subject, data: bytes) -> None:
    """In nanoseconds, 0 for the default; EPERM for somebody else's without CAP_SYS_NICE, EINVAL, ERANGE."""
    slack_ns, task = number_in(data, _UNSIGNED_LONG), require_inspectable(subject)
    if task is not current_task():
        current_task().credentials.require(CAP.SYS_NICE)
    task.timer_slack_ns = slack_ns or DEFAULT_TIMER_SLACK_NS
