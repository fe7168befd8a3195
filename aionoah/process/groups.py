"""Process groups: who belongs to one, and whether anybody outside looks after it (setpgid(2), credentials(7);
Linux kernel/exit.c, will_become_orphaned_pgrp).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aionoah.process.kernel import Kernel
    from aionoah.process.task import Process


def members(kernel: "Kernel", group: int) -> "Iterator[Process]":
    """The processes of a group, zombies among them."""
    return (process for process in list(kernel.processes.values()) if process.process_group == group)


def is_orphaned(kernel: "Kernel", group: int, leaving: "Process | None" = None) -> bool:
    """Whether no living member has a parent in another group of the same session: a shell, that is, which
    could let it go on once it has been stopped. `leaving` counts as dead already.
    """
    for process in members(kernel, group):
        parent = process.parent
        if process is leaving or not process.tasks or parent is None or parent.is_init:
            continue
        if parent.process_group != group and parent.session == process.session:
            return False
    return True


def has_stopped_member(kernel: "Kernel", group: int) -> bool:
    return any(process.stop.is_complete for process in members(kernel, group))
