"""Waiting for children: which of them somebody waits for, and what there is to tell (wait(2), waitid(2);
Linux kernel/exit.c, wait_consider_task).
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.siginfo import CLD
from aionoah.abi.signal import SIG
from aionoah.abi.wait import WAIT_CONTINUED, W, stopped_status
from aionoah.host.waiting import Source, sleep_on
from aionoah.process.family import ending, ending_of_tracee, news_of_tracee, stopping
from aionoah.process.usage import Usage, usage_with_children

if TYPE_CHECKING:
    from aionoah.process.task import Process, Task
    from aionoah.process.tracees import Tracing
    from aionoah.signals.info import SigInfo


class Waitable(Protocol):
    """What the argument of a wait can mean: a child, or a thread that is traced."""

    @property
    def pid(self) -> int: ...

    @property
    def process_group(self) -> int: ...


Wanted = Callable[[Waitable], bool]


class News(NamedTuple):
    """What a wait has found."""

    pid: int
    status: int  # as wait4 reports it
    info: "SigInfo"  # as waitid does
    process: "Process"

    @property
    def usage(self) -> Usage:
        """Of the child and the children it has waited for."""
        return usage_with_children(self.process)


async def wait_for_child(task: "Task", wanted: Wanted, options: W) -> News | None:
    """The first news of a child that is wanted; with WNOHANG None if there is none yet. ECHILD.

    `options` has one of WEXITED, WSTOPPED, WCONTINUED at least.
    """
    while True:
        candidates = list(_candidates(task, wanted, options))
        tracees = [tracing for tracing in tracees_of(task, options) if wanted(tracing.subject)]
        if not candidates and not tracees:
            raise LinuxError(Errno.ECHILD)
        for child in candidates:
            news = _news_of(child, options)
            if news is not None:
                return news
        for tracing in tracees:
            news = _news_of_tracee(tracing, options)
            if news is not None:
                return news
        if options & W.NOHANG:
            return None
        await sleep_on(Source(task.process.child_changed))


def _candidates(task: "Task", wanted: Wanted, options: W) -> "Iterator[Process]":
    """Children of which there is or will be something to tell: a zombie's only news is its end."""
    for child in task.process.children.values():
        is_clone = child.exit_signal != SIG.CHLD
        is_of_kind = W.ALL in options or is_clone == bool(options & W.CLONE)
        is_mine = not options & W.NOTHREAD or child.parent_task is task
        has_news = child.wait_status is None or options & W.EXITED
        if is_of_kind and is_mine and has_news and wanted(child):
            yield child


def _news_of(child: "Process", options: W) -> News | None:
    """What there is to tell, which after that is told (without WNOWAIT)."""
    is_taken = not options & W.NOWAIT
    stop = child.stop
    if child.wait_status is not None:
        if child.held_threads or child.tracing is not None:
            return None  # its tracer comes first
        news = News(child.pid, child.wait_status, ending(child), child)
        if is_taken:
            child.reap(is_waited_for=True)
        return news
    if stop.unreported and options & W.STOPPED:
        signal = stop.unreported
        if is_taken:
            stop.unreported = 0
        return News(
            child.pid,
            stopped_status(signal),
            stopping(child, CLD.STOPPED, signal),
            child,
        )
    if stop.has_continued and options & W.CONTINUED:
        if is_taken:
            stop.has_continued = False
        info = stopping(child, CLD.CONTINUED, SIG.CONT)
        return News(child.pid, WAIT_CONTINUED, info, child)
    return None


# -- who is traced --------------------------------------------------------------------------------------


def tracees_of(task: "Task", options: W) -> "list[Tracing]":
    """Whom the thread traces, or any of its process."""
    tracers = [task] if options & W.NOTHREAD else task.process.tasks.values()
    return [tracing for tracer in tracers if tracer.tracees for tracing in tracer.tracees.values()]


def _news_of_tracee(tracing: "Tracing", options: W) -> News | None:
    """What there is to tell of a thread; stops whether they are asked for or not."""
    if tracing.end is not None:
        return _end_of_tracee(tracing, options)
    stop = tracing.stop
    if stop is None or stop.is_reported or stop.is_listening:
        return None
    stop.is_reported = not options & W.NOWAIT
    info = news_of_tracee(tracing, CLD.TRAPPED, stop.status)
    return News(tracing.pid, stopped_status(stop.status), info, tracing.task.process)


def _end_of_tracee(tracing: "Tracing", options: W) -> News | None:
    if tracing.end is None or not options & W.EXITED:
        return None
    process, status = tracing.task.process, tracing.end
    news = News(tracing.pid, status, ending_of_tracee(tracing, status), process)
    if not options & W.NOWAIT:
        tracing.forget_end()
    return news
