"""Waiting for children: which of them somebody waits for, and what there is to tell (wait(2), waitid(2);
Linux kernel/exit.c, wait_consider_task).
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.signal import SIG
from aionoah.abi.wait import W
from aionoah.host.waiting import Source, sleep_on
from aionoah.process.family import ending

if TYPE_CHECKING:
    from aionoah.process.task import Process
    from aionoah.signals.info import SigInfo

_CLONE_CHILDREN: Final = W.CLONE | W.ALL


class News(NamedTuple):
    """What a wait has found."""

    child: "Process"
    status: int  # as wait4 reports it
    info: "SigInfo"  # as waitid does
    cpu_time_ns: int  # of the child and the children it has waited for


async def wait_for_child(
    parent: "Process", wanted: "Callable[[Process], bool]", events: int, options: W
) -> News | None:
    """The first news of a child that is wanted; with WNOHANG None if there is none yet. ECHILD.

    `events` are WEXITED, WSTOPPED, WCONTINUED.
    """
    while True:
        candidates = list(_candidates(parent, wanted, options))
        if not candidates:
            raise LinuxError(Errno.ECHILD)
        for child in candidates:
            news = _news_of(child, events, options)
            if news is not None:
                return news
        if options & W.NOHANG:
            return None
        await sleep_on(Source(parent.child_changed))


def _candidates(parent: "Process", wanted: "Callable[[Process], bool]", options: W) -> "Iterator[Process]":
    for child in parent.children.values():
        is_clone = child.exit_signal != SIG.CHLD
        if wanted(child) and (W.ALL in options or is_clone == bool(options & W.CLONE)):
            yield child


def _news_of(child: "Process", events: int, options: W) -> News | None:
    if child.wait_status is not None and events & W.EXITED:
        total = child.all_cpu_time_ns + child.children_cpu_time_ns
        news = News(child, child.wait_status, ending(child), total)
        if W.NOWAIT not in options:
            child.reap()
        return news
    return None
