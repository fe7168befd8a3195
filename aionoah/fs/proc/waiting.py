"""/proc/PID/wchan and syscall: what a thread sleeps for (proc(5); Linux fs/proc/base.c).

There are no functions of a kernel to be named: who reads the names of Linux's, as `ps -o wchan` shows them, gets those for
the call that the thread is in.
"""

from typing import TYPE_CHECKING, Final

from aionoah.fs.proc.subject import Subject, find_task, may_inspect, require_inspectable

if TYPE_CHECKING:
    from aionoah.process.task import Task

_FUNCTIONS: Final = {
    **dict.fromkeys(("nanosleep", "clock_nanosleep"), b"hrtimer_nanosleep"),
    **dict.fromkeys(("poll", "ppoll", "select", "pselect6"), b"poll_schedule_timeout"),
    **dict.fromkeys(("epoll_wait", "epoll_pwait", "epoll_pwait2"), b"do_epoll_wait"),
    **dict.fromkeys(("wait4", "waitid"), b"do_wait"),
    **dict.fromkeys(("clone", "clone3", "fork", "vfork"), b"kernel_clone"),
    **dict.fromkeys(("semop", "semtimedop"), b"__do_semtimedop"),
    **dict.fromkeys(("mq_timedsend", "mq_timedreceive"), b"wq_sleep"),
    "futex": b"futex_do_wait",
    "rt_sigsuspend": b"sigsuspend",
    "rt_sigtimedwait": b"do_sigtimedwait",
    "msgrcv": b"do_msgrcv",
    "msgsnd": b"do_msgsnd",
}


def wait_channel(subject: Subject) -> bytes:
    """0 for who runs, and for who may not be looked into."""
    task = find_task(subject)
    if task is None or not task.is_sleeping or not may_inspect(subject):
        return b"0"
    if task.tracing is not None and task.tracing.stop is not None:
        return b"ptrace_stop"
    return b"do_signal_stop" if task.is_stopped else _function_of_call(task)


def _function_of_call(task: "Task") -> bytes:
    number = task.control.present_call().number
    name = task.architecture.syscall_names.get(number)
    return b"0" if name is None else _FUNCTIONS.get(name, b"__do_sys_" + name.encode())


def system_call(subject: Subject) -> bytes:
    """Number, six arguments, stack pointer and program counter; without the first ones outside of calls."""
    task = require_inspectable(subject)
    if not task.is_sleeping:
        return b"running\n"
    number, arguments, stack_pointer, program_counter = task.control.present_call()
    words = (*arguments, stack_pointer, program_counter)
    return b" ".join((b"%d" % number, *(b"%#x" % word for word in words))) + b"\n"
