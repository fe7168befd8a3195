"""System V IPC of one Linux instance."""

from aionoah.process.ipc.limits import IpcLimits
from aionoah.process.ipc.messages import MessageQueues
from aionoah.process.ipc.semaphores import SemaphoreSets
from aionoah.process.ipc.shared_memory import SharedMemory


class Ipc:
    """The three kinds of objects, and how many there may be."""

    def __init__(self) -> None:
        self.limits = IpcLimits()
        self.memory = SharedMemory(self.limits)
        self.semaphores = SemaphoreSets(self.limits)
        self.messages = MessageQueues(self.limits)
