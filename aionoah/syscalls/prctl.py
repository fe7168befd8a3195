"""Attributes of a task: prctl(2), arch_prctl(2)."""

from collections.abc import Callable
from typing import Final

from aionoah.abi.capability import CAP, CAP_LAST_CAP
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.limits import TASK_COMM_LEN
from aionoah.abi.prctl import MDWE, PR, PR_CAP_AMBIENT, PR_MCE_KILL, PR_TSC, SECCOMP_MODE, SUID_DUMP
from aionoah.abi.securebits import SECBIT, SECURE_ALL_BITS, SECURE_ALL_LOCKS
from aionoah.abi.x86_64 import ARCH
from aionoah.memory.mm import Execution
from aionoah.process.task import DEFAULT_TIMER_SLACK_NS, Task
from aionoah.signals.actions import LAST_SIGNAL
from aionoah.syscalls.arguments import Addr, ULong
from aionoah.syscalls.registry import syscall

_ANYBODY: Final = (1 << 64) - 1  # PR_SET_PTRACER_ANY
Operation = Callable[[Task, int, int, int, int], int | None]


@syscall(
    partial="Names, death signal, dumpability, capabilities, no_new_privs, timer slack, subreaper, tracers, seccomp. "
    "The rest is EINVAL, as in a kernel built without it."
)
def prctl(task: Task, option: PR, arg2: ULong, arg3: ULong, arg4: ULong, arg5: ULong) -> int | None:
    operation = _OPERATIONS.get(option)
    if operation is None:
        raise LinuxError(Errno.EINVAL)
    return operation(task, arg2, arg3, arg4, arg5)


def _require_zero(*arguments: int) -> None:
    if any(arguments):
        raise LinuxError(Errno.EINVAL)


# -- names and life -------------------------------------------------------------------------------------


def _set_name(task: Task, address: int, *_: int) -> None:
    try:
        name = task.memory.read_cstring(address, TASK_COMM_LEN - 1)
    except LinuxError as error:
        if error.errno is not Errno.ENAMETOOLONG:
            raise
        name = task.memory.read(address, TASK_COMM_LEN - 1)
    task.rename(name)


def _get_name(task: Task, address: int, *_: int) -> None:
    task.memory.write(address, task.name.ljust(TASK_COMM_LEN, b"\0"))


def _set_death_signal(task: Task, signal: int, *_: int) -> None:
    if signal > LAST_SIGNAL:
        raise LinuxError(Errno.EINVAL)
    task.parent_death_signal = signal


def _get_death_signal(task: Task, address: int, *_: int) -> None:
    task.memory.write_word(address, task.parent_death_signal, 4)


def _set_dumpable(task: Task, value: int, *_: int) -> None:
    if value not in (SUID_DUMP.DISABLE, SUID_DUMP.USER):
        raise LinuxError(Errno.EINVAL)
    task.process.dumpable = value


def _get_dumpable(task: Task, *_: int) -> int:
    return task.process.dumpable


def _set_subreaper(task: Task, value: int, *_: int) -> None:
    task.process.is_child_subreaper = bool(value)


def _get_subreaper(task: Task, address: int, *_: int) -> None:
    task.memory.write_word(address, int(task.process.is_child_subreaper), 4)


def _get_tid_address(task: Task, address: int, *_: int) -> None:
    task.memory.write_word(address, task.clear_child_tid)


def _set_timer_slack(task: Task, slack_ns: int, *_: int) -> None:
    task.timer_slack_ns = slack_ns or DEFAULT_TIMER_SLACK_NS


def _get_timer_slack(task: Task, *_: int) -> int:
    return task.timer_slack_ns


def _set_timing(_task: Task, value: int, *_: int) -> None:
    _require_zero(value)  # PR_TIMING_STATISTICAL is all that Linux has


def _get_timing(_task: Task, *_: int) -> int:
    return 0


def _set_thp_disable(task: Task, value: int, *rest: int) -> None:
    """There are no huge pages, whatever is set."""
    _require_zero(*rest)
    task.process.is_thp_disabled = bool(value)


def _get_thp_disable(task: Task, *arguments: int) -> int:
    _require_zero(*arguments)
    return int(task.process.is_thp_disabled)


def _set_tsc(_task: Task, value: int, *_: int) -> None:
    """The counter cannot be taken away."""
    _require_zero(value != PR_TSC.ENABLE)


def _get_tsc(task: Task, address: int, *_: int) -> None:
    task.memory.write_word(address, PR_TSC.ENABLE, 4)


def _set_tracer(task: Task, pid: int, *_: int) -> None:
    """Whom Yama would let trace this process: without its restrictions, as here, anybody of the same user may."""
    if pid not in (0, _ANYBODY) and pid & 0xFFFF_FFFF not in task.kernel.tasks:
        raise LinuxError(Errno.EINVAL)


def _set_seccomp(task: Task, mode: int, filters: int, *_: int) -> None:
    from aionoah.syscalls.seccomp import set_mode  # noqa: PLC0415 - few have filters

    set_mode(task, mode, filters)


def _get_seccomp(task: Task, *_: int) -> int:
    return task.seccomp.mode if task.seccomp is not None else SECCOMP_MODE.DISABLED


def _set_execution(task: Task, bits: int, *rest: int) -> None:
    _require_zero(bits & ~(MDWE.REFUSE_EXEC_GAIN | MDWE.NO_INHERIT), *rest)
    wanted = _EXECUTION.get(bits)
    if wanted is None:
        raise LinuxError(Errno.EINVAL)
    if task.memory.execution not in (Execution.FREE, wanted):
        raise LinuxError(Errno.EPERM)
    task.memory.execution = wanted


def _get_execution(task: Task, *arguments: int) -> int:
    _require_zero(*arguments)
    return next(bits for bits, rule in _EXECUTION.items() if rule is task.memory.execution)


_EXECUTION: Final = {
    0: Execution.FREE,
    MDWE.REFUSE_EXEC_GAIN: Execution.DENIED,
    MDWE.REFUSE_EXEC_GAIN | MDWE.NO_INHERIT: Execution.DENIED_HERE,
}


def _set_error_policy(task: Task, operation: int, policy: int, *rest: int) -> None:
    """When to be told of broken memory, of which nobody here hears."""
    _require_zero(*rest)
    if operation == PR_MCE_KILL.CLEAR:
        _require_zero(policy)
        task.memory_errors &= ~_OWN_POLICY
        return
    _require_zero(operation != PR_MCE_KILL.SET)
    task.memory_errors |= _OWN_POLICY  # even if nothing else comes of it, as on Linux
    if policy not in PR_MCE_KILL.members():
        raise LinuxError(Errno.EINVAL)
    task.memory_errors = _ERROR_POLICIES[policy]


def _get_error_policy(task: Task, *arguments: int) -> int:
    _require_zero(*arguments)
    if not task.memory_errors & _OWN_POLICY:
        return PR_MCE_KILL.DEFAULT
    return PR_MCE_KILL.EARLY if task.memory_errors & _EARLY else PR_MCE_KILL.LATE


_OWN_POLICY: Final = 1  # PF_MCE_PROCESS
_EARLY: Final = 2  # PF_MCE_EARLY
_ERROR_POLICIES: Final = {
    PR_MCE_KILL.LATE: _OWN_POLICY,
    PR_MCE_KILL.EARLY: _OWN_POLICY | _EARLY,
    PR_MCE_KILL.DEFAULT: 0,
}


# -- privileges -----------------------------------------------------------------------------------------


def _set_no_new_privileges(task: Task, value: int, *rest: int) -> None:
    _require_zero(value != 1, *rest)
    task.credentials.no_new_privileges = True


def _get_no_new_privileges(task: Task, *arguments: int) -> int:
    _require_zero(*arguments)
    return int(task.credentials.no_new_privileges)


def _set_keep_capabilities(task: Task, value: int, *_: int) -> None:
    who = task.credentials
    _require_zero(value & ~1)
    if SECBIT.KEEP_CAPS_LOCKED in who.securebits:
        raise LinuxError(Errno.EPERM)
    who.securebits = SECBIT(who.securebits.outside(SECBIT.KEEP_CAPS) | value * SECBIT.KEEP_CAPS)


def _get_keep_capabilities(task: Task, *_: int) -> int:
    return int(SECBIT.KEEP_CAPS in task.credentials.securebits)


def _read_bounding(task: Task, capability: int, *_: int) -> int:
    _require_capability_number(capability)
    return task.credentials.bounding >> capability & 1


def _drop_bounding(task: Task, capability: int, *_: int) -> None:
    task.credentials.require_own(CAP.SETPCAP)
    _require_capability_number(capability)
    task.credentials.bounding &= ~(1 << capability)


def _require_capability_number(capability: int) -> None:
    if capability > CAP_LAST_CAP:
        raise LinuxError(Errno.EINVAL)


def _set_securebits(task: Task, value: int, *_: int) -> None:
    old = task.credentials.securebits
    locked_bits = (old & SECURE_ALL_LOCKS) >> 1
    if (
        locked_bits & (old ^ value)
        or old & SECURE_ALL_LOCKS & ~value
        or value & ~(SECURE_ALL_BITS | SECURE_ALL_LOCKS)
    ):
        raise LinuxError(Errno.EPERM)
    task.credentials.require_own(CAP.SETPCAP)
    task.credentials.securebits = SECBIT(value)


def _get_securebits(task: Task, *_: int) -> int:
    return int(task.credentials.securebits)


def _change_ambient(task: Task, operation: int, capability: int, *rest: int) -> int | None:
    who = task.credentials
    _require_zero(*rest)
    if operation == PR_CAP_AMBIENT.CLEAR_ALL:
        _require_zero(capability)
        who.ambient = 0
        return None
    if capability > CAP_LAST_CAP or operation not in PR_CAP_AMBIENT.members():
        raise LinuxError(Errno.EINVAL)
    bit = 1 << capability
    if operation == PR_CAP_AMBIENT.IS_SET:
        return int(bool(who.ambient & bit))
    if operation == PR_CAP_AMBIENT.LOWER:
        who.ambient &= ~bit
        return None
    if not who.permitted & who.inheritable & bit or SECBIT.NO_CAP_AMBIENT_RAISE in who.securebits:
        raise LinuxError(Errno.EPERM)
    who.ambient |= bit
    return None


_OPERATIONS: Final[dict[int, Operation]] = {
    PR.SET_NAME: _set_name,
    PR.GET_NAME: _get_name,
    PR.SET_PDEATHSIG: _set_death_signal,
    PR.GET_PDEATHSIG: _get_death_signal,
    PR.SET_DUMPABLE: _set_dumpable,
    PR.GET_DUMPABLE: _get_dumpable,
    PR.SET_CHILD_SUBREAPER: _set_subreaper,
    PR.GET_CHILD_SUBREAPER: _get_subreaper,
    PR.GET_TID_ADDRESS: _get_tid_address,
    PR.SET_TIMERSLACK: _set_timer_slack,
    PR.GET_TIMERSLACK: _get_timer_slack,
    PR.SET_TIMING: _set_timing,
    PR.GET_TIMING: _get_timing,
    PR.SET_THP_DISABLE: _set_thp_disable,
    PR.GET_THP_DISABLE: _get_thp_disable,
    PR.SET_MDWE: _set_execution,
    PR.GET_MDWE: _get_execution,
    PR.MCE_KILL: _set_error_policy,
    PR.MCE_KILL_GET: _get_error_policy,
    PR.SET_TSC: _set_tsc,
    PR.GET_TSC: _get_tsc,
    PR.SET_SECCOMP: _set_seccomp,
    PR.GET_SECCOMP: _get_seccomp,
    PR.SET_PTRACER: _set_tracer,
    PR.SET_NO_NEW_PRIVS: _set_no_new_privileges,
    PR.GET_NO_NEW_PRIVS: _get_no_new_privileges,
    PR.SET_KEEPCAPS: _set_keep_capabilities,
    PR.GET_KEEPCAPS: _get_keep_capabilities,
    PR.CAPBSET_READ: _read_bounding,
    PR.CAPBSET_DROP: _drop_bounding,
    PR.SET_SECUREBITS: _set_securebits,
    PR.GET_SECUREBITS: _get_securebits,
    PR.CAP_AMBIENT: _change_ambient,
}


# -- x86_64 ---------------------------------------------------------------------------------------------


@syscall(
    own_thread=True,
    partial="The bases of FS and GS; CPUID is always enabled. No shadow stacks, no dynamic features.",
)
def arch_prctl(task: Task, code: ARCH, address: Addr) -> int | None:
    if code in (ARCH.SET_FS, ARCH.SET_GS):
        if address >= task.architecture.task_size:
            raise LinuxError(Errno.EPERM)
        (task.control.set_tls if code == ARCH.SET_FS else task.control.set_gs_base)(address)
    elif code == ARCH.GET_FS:
        task.memory.write_word(address, task.control.get_tls())
    elif code == ARCH.GET_GS:
        task.memory.write_word(address, task.control.get_gs_base())
    elif code == ARCH.GET_CPUID:
        return 1
    elif code == ARCH.SET_CPUID:
        raise LinuxError(Errno.ENODEV)
    else:
        raise LinuxError(Errno.EINVAL)
    return None
