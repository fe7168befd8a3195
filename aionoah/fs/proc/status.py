"""/proc/PID/status, stat, limits and io, byte for byte as Linux's fs/proc/array.c and base.c write them.

What we do not count (major page faults, bytes of disk I/O) is reported as 0.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.mempolicy import MAX_NUMNODES
from aionoah.abi.resource import RLIM_INFINITY, RLIM_NLIMITS, RLIMIT
from aionoah.abi.signal import SIG_DFL, SIG_IGN, signal_bit
from aionoah.abi.time import USER_TICK_NS
from aionoah.abi.words import WORD_MASK
from aionoah.fs.proc.maps import sizes
from aionoah.fs.proc.subject import (
    Subject,
    find_task,
    may_inspect,
    number_of,
    process_of,
    require_inspectable,
    thread_count,
)
from aionoah.process.rseq import cpu_of
from aionoah.process.usage import Usage, usage_of_process, usage_of_thread, usage_with_children
from aionoah.process.user_namespaces import callers_names

if TYPE_CHECKING:
    from aionoah.process.task import Process, Task


def comm(subject: Subject) -> bytes:
    task = find_task(subject)
    return task.name if task is not None else process_of(subject).name


def _escape_name(name: bytes) -> bytes:
    return name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")


def _state(subject: Subject) -> bytes:
    """A thread that is not in a call that sleeps runs, whether the host has a CPU for it or not."""
    task = find_task(subject)
    if task is None:
        return b"Z"
    if task.tracing is not None and task.tracing.stop is not None:
        return b"t"
    if task.is_stopped:
        return b"T"
    return b"S" if task.is_sleeping else b"R"


def _signal_sets(process: "Process") -> tuple[int, int]:
    """Ignored and caught signals."""
    ignored = caught = 0
    for signal, disposition in enumerate(process.signals.dispositions):
        if signal and disposition.handler == SIG_IGN:
            ignored |= signal_bit(signal)
        elif signal and disposition.handler != SIG_DFL:
            caught |= signal_bit(signal)
    return ignored, caught


# -- status -------------------------------------------------------------------------------------------------


def status(subject: Subject) -> bytes:
    task = find_task(subject)
    lines = [*_identity_lines(subject, task), *_memory_lines(subject, task), *_signal_lines(subject, task)]
    if task is not None:
        lines += _capability_lines(task)
    seccomp = task.seccomp if task is not None else None
    mode, filters = (0, 0) if seccomp is None else (seccomp.mode, len(seccomp.programs))
    lines += [b"Seccomp:\t%d" % mode, b"Seccomp_filters:\t%d" % filters]
    lines += [b"Speculation_Store_Bypass:\tunknown", b"SpeculationIndirectBranch:\tunsupported"]
    if task is not None:
        lines += _cpu_lines(task)
    counts = task.counts if task is not None else Usage()  # of the thread alone, in Linux too
    lines.append(b"voluntary_ctxt_switches:\t%d" % counts.voluntary_switches)
    lines.append(b"nonvoluntary_ctxt_switches:\t%d" % counts.involuntary_switches)
    return b"\n".join(lines) + b"\n"


_STATE_NAMES = {
    b"R": b"R (running)",
    b"S": b"S (sleeping)",
    b"T": b"T (stopped)",
    b"t": b"t (tracing stop)",
    b"Z": b"Z (zombie)",
}


def _identity_lines(subject: Subject, task: "Task | None") -> Iterator[bytes]:
    process, number = process_of(subject), number_of(subject)
    yield b"Name:\t%s" % _escape_name(comm(subject))
    if task is not None:
        yield b"Umask:\t%04o" % task.fs.umask
    yield b"State:\t%s" % _STATE_NAMES[_state(subject)]
    yield b"Tgid:\t%d" % process.pid
    yield b"Ngid:\t0"
    yield b"Pid:\t%d" % number
    yield b"PPid:\t%d" % (process.parent.pid if process.parent is not None else 0)
    yield b"TracerPid:\t%d" % (
        task.tracing.tracer.tid if task is not None and task.tracing is not None else 0
    )
    who = task.credentials if task is not None else None
    uids = (who.uid, who.euid, who.suid, who.fsuid) if who is not None else (0, 0, 0, 0)
    gids = (who.gid, who.egid, who.sgid, who.fsgid) if who is not None else (0, 0, 0, 0)
    names = callers_names()
    yield b"Uid:\t%d\t%d\t%d\t%d" % tuple(map(names.uids.shown, uids))
    yield b"Gid:\t%d\t%d\t%d\t%d" % tuple(map(names.gids.shown, gids))
    yield b"FDSize:\t%d" % (_table_size(task) if task is not None else 0)
    groups = map(names.gids.shown, who.groups if who is not None else ())
    yield b"Groups:\t%s " % b" ".join(b"%d" % gid for gid in groups)
    yield b"NStgid:\t%d" % process.pid
    yield b"NSpid:\t%d" % number
    yield b"NSpgid:\t%d" % process.process_group
    yield b"NSsid:\t%d" % process.session
    yield b"Kthread:\t0"


def _table_size(task: "Task") -> int:
    """Slots of a descriptor table: 64, doubled until the highest number fits (fs/file.c)."""
    return max(64, 1 << max(task.files, default=0).bit_length())


def _memory_lines(subject: Subject, task: "Task | None") -> Iterator[bytes]:
    if task is not None:
        found = sizes(subject)
        for name, size in (
            *(
                (b"VmPeak", task.memory.peak_total),
                (b"VmSize", found.total),
                (b"VmLck", found.locked),
                (b"VmPin", 0),
            ),
            *(
                (b"VmHWM", task.memory.peak_resident),
                (b"VmRSS", found.resident),
                (b"RssAnon", found.anonymous),
            ),
            *((b"RssFile", found.file), (b"RssShmem", found.shared), (b"VmData", found.data)),
            *((b"VmStk", found.stack), (b"VmExe", found.code), (b"VmLib", found.libraries)),
            *((b"VmPTE", 0), (b"VmSwap", 0), (b"HugetlbPages", 0)),
        ):
            yield b"%s:\t%8d kB" % (name, size // 1024)
        yield b"CoreDumping:\t%d" % (process_of(subject).core_dump is not None)
        yield b"THP_enabled:\t0"
        if task.architecture.name == "x86_64":
            yield b"untag_mask:\t0xffffffffffffffff"
    yield b"Threads:\t%d" % thread_count(process_of(subject))


def _signal_lines(subject: Subject, task: "Task | None") -> Iterator[bytes]:
    process = process_of(subject)
    ignored, caught = _signal_sets(process)
    queued = len(process.signals.pending) + sum(len(t.signals.pending) for t in process.tasks.values())
    yield b"SigQ:\t%d/%d" % (queued, process.limits.soft(RLIMIT.SIGPENDING))
    for name, bits in (
        (b"SigPnd", task.signals.pending.bits if task is not None else 0),
        (b"ShdPnd", process.signals.pending.bits),
        (b"SigBlk", task.signals.mask if task is not None else 0),
        (b"SigIgn", ignored),
        (b"SigCgt", caught),
    ):
        yield b"%s:\t%016x" % (name, bits)


def _capability_lines(task: "Task") -> Iterator[bytes]:
    who = task.credentials
    for name, bits in (
        (b"CapInh", who.inheritable),
        (b"CapPrm", who.permitted),
        (b"CapEff", who.effective),
        (b"CapBnd", who.bounding),
        (b"CapAmb", who.ambient),
    ):
        yield b"%s:\t%016x" % (name, bits)
    yield b"NoNewPrivs:\t%d" % who.no_new_privileges


def _cpu_lines(task: "Task") -> Iterator[bytes]:
    affinity, count = task.scheduling.affinity, task.scheduling.cpu_count
    yield b"Cpus_allowed:\t%s" % format_mask(affinity, count)
    yield b"Cpus_allowed_list:\t%s" % format_list(affinity)
    yield b"Mems_allowed:\t%s" % format_mask(1, MAX_NUMNODES)
    yield b"Mems_allowed_list:\t0"


def format_mask(mask: int, count: int) -> bytes:
    """A set of `count` possible members as the kernel's %*pb: hexadecimal, in groups of 32 bits."""
    first_width = -(-(count % 32 or 32) // 4)
    groups = [mask >> shift & 0xFFFF_FFFF for shift in range(32 * (-(-count // 32) - 1), -1, -32)]
    text = [b"%0*x" % (first_width if not index else 8, group) for index, group in enumerate(groups)]
    return b",".join(text)


def format_list(mask: int) -> bytes:
    """As %*pbl: 0-3,5."""
    ranges: list[bytes] = []
    start = 0
    while mask >> start:
        if mask >> start & 1:
            length = (~(mask >> start) & -~(mask >> start)).bit_length() - 1
            end = start + length - 1
            ranges.append(b"%d-%d" % (start, end) if end > start else b"%d" % start)
            start = end
        start += 1
    return b",".join(ranges)


# -- stat ---------------------------------------------------------------------------------------------------


def stat(subject: Subject) -> bytes:
    """Addresses are for who may look into the process: to others code is at 1, and the rest at 0."""
    task, process = find_task(subject), process_of(subject)
    is_thread = process is not subject
    used = usage_of_thread(task) if is_thread and task is not None else usage_of_process(process)
    of_children = process.children_usage
    found = sizes(subject)
    nice = task.scheduling.nice if task is not None else 0
    ignored, caught = _signal_sets(process)
    pending = task.signals.pending.bits if task is not None else 0
    blocked = task.signals.mask if task is not None else 0
    rss_limit = process.limits.soft(RLIMIT.RSS)
    terminal, foreground = _terminal(process)
    code, stack_start, is_waiting, data = _places(subject, task)
    fields: list[int] = [
        *(process.parent.pid if process.parent is not None else 0, process.process_group, process.session),
        *(terminal, foreground, 0),  # … flags
        *(used.minor_faults, of_children.minor_faults, 0, 0),  # minflt cminflt majflt cmajflt
        *(
            used.user_time_ns // USER_TICK_NS,
            used.system_time_ns // USER_TICK_NS,
            of_children.user_time_ns // USER_TICK_NS,
            of_children.system_time_ns // USER_TICK_NS,
        ),  # utime stime cutime cstime
        *(20 + nice, nice, thread_count(process), 0),  # priority nice num_threads itrealvalue
        process.start_ns // USER_TICK_NS,
        *(found.total, found.resident // PAGE_SIZE, min(rss_limit, WORD_MASK)),
        *(*code, stack_start, 0, 0),  # startcode endcode startstack kstkesp kstkeip
        *(pending & 0x7FFF_FFFF, blocked & 0x7FFF_FFFF, ignored & 0x7FFF_FFFF, caught & 0x7FFF_FFFF),
        *(is_waiting, 0, 0, -1 if is_thread else process.exit_signal),  # wchan nswap cnswap exit_signal
        cpu_of(task) if task is not None else 0,
        *((task.scheduling.priority, task.scheduling.policy) if task is not None else (0, 0)),
        *(0, 0, 0),  # delayacct_blkio_ticks guest_time cguest_time
        *data,  # start_data end_data start_brk arg_start arg_end env_start env_end
        process.wait_status or 0,
    ]
    head = b"%d (%s) %s " % (number_of(subject), comm(subject), _state(subject))
    return head + b" ".join(b"%d" % field for field in fields) + b"\n"


def _places(subject: Subject, task: "Task | None") -> tuple[tuple[int, int], int, bool, tuple[int, ...]]:
    """Code, stack, whether there is something in wchan, and data, heap, arguments and environment."""
    if task is None:
        return (0, 0), 0, False, (0,) * 7
    if not may_inspect(subject):
        return (1, 1), 0, False, (0,) * 7
    memory = task.memory
    contents, strings = memory.contents or (0, 0, 0, 0), memory.strings or (0, 0, 0, 0)
    data = (*contents[2:], memory.heap[0], *strings)
    return contents[:2], memory.initial_stack_pointer, task.is_sleeping, data


def _terminal(process: "Process") -> tuple[int, int]:
    """Device number of the controlling terminal, and the process group in its foreground."""
    terminal = process.terminal
    return (terminal.rdev, terminal.foreground) if terminal is not None else (0, -1)


# -- limits and io ------------------------------------------------------------------------------------------

_LIMIT_NAMES: dict[int, tuple[bytes, bytes]] = {
    RLIMIT.CPU: (b"Max cpu time", b"seconds"),
    RLIMIT.FSIZE: (b"Max file size", b"bytes"),
    RLIMIT.DATA: (b"Max data size", b"bytes"),
    RLIMIT.STACK: (b"Max stack size", b"bytes"),
    RLIMIT.CORE: (b"Max core file size", b"bytes"),
    RLIMIT.RSS: (b"Max resident set", b"bytes"),
    RLIMIT.NPROC: (b"Max processes", b"processes"),
    RLIMIT.NOFILE: (b"Max open files", b"files"),
    RLIMIT.MEMLOCK: (b"Max locked memory", b"bytes"),
    RLIMIT.AS: (b"Max address space", b"bytes"),
    RLIMIT.LOCKS: (b"Max file locks", b"locks"),
    RLIMIT.SIGPENDING: (b"Max pending signals", b"signals"),
    RLIMIT.MSGQUEUE: (b"Max msgqueue size", b"bytes"),
    RLIMIT.NICE: (b"Max nice priority", b""),
    RLIMIT.RTPRIO: (b"Max realtime priority", b""),
    RLIMIT.RTTIME: (b"Max realtime timeout", b"us"),
}


def limits(subject: Subject) -> bytes:
    table = process_of(subject).limits
    return format_limits([(table[resource].soft, table[resource].hard) for resource in range(RLIM_NLIMITS)])


def format_limits(pairs: list[tuple[int, int]]) -> bytes:
    """Soft and hard limits by the numbers of their resources."""
    lines = [b"%-25s %-20s %-20s %-10s" % (b"Limit", b"Soft Limit", b"Hard Limit", b"Units")]
    for (name, unit), pair in zip(_LIMIT_NAMES.values(), pairs, strict=True):
        soft, hard = (b"unlimited" if limit == RLIM_INFINITY else b"%d" % limit for limit in pair)
        lines.append(b"%-25s %-20s %-20s " % (name, soft, hard) + (b"%-10s" % unit if unit else b""))
    return b"\n".join(lines) + b"\n"


def io(subject: Subject) -> bytes:
    """Of a process with what its children have done that it has waited for. What of it reached disks is not known."""
    task = find_task(subject)
    if task is not None:
        require_inspectable(subject)
    used = usage_of_thread(task) if task is subject else usage_with_children(process_of(subject))
    return (
        b"rchar: %d\nwchar: %d\nsyscr: %d\nsyscw: %d\nread_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n"
        % (*(used.bytes_read, used.bytes_written, used.read_calls, used.write_calls),)
    )
