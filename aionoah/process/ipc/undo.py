"""What SEM_UNDO promises (semop(2)). Every program with threads has such a list, so this loads nothing else."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aionoah.process.ipc.semaphores import SemaphoreSet
    from aionoah.process.task import Task


class UndoList:
    """What is to be undone when the last thread that shares the list ends (CLONE_SYSVSEM)."""

    def __init__(self) -> None:
        self.users = 1
        self.adjustments: dict[SemaphoreSet, list[int]] = {}

    def share(self) -> "UndoList":
        self.users += 1
        return self

    def leave(self, task: "Task") -> None:
        """A thread ends; the last one has its operations undone."""
        self.users -= 1
        if self.users:
            return
        adjustments, self.adjustments = self.adjustments, {}
        for semaphores, changes in adjustments.items():
            semaphores.undo(self, changes, task.process.pid)

    def of(self, semaphores: "SemaphoreSet") -> list[int]:
        """The adjustment of each semaphore of a set."""
        if semaphores not in self.adjustments:
            self.adjustments[semaphores] = [0] * len(semaphores)
            semaphores.undo_lists[self] = None
        return self.adjustments[semaphores]
