"""OS threads that serve one guest thread after the other: most of these live shorter than it takes to start one."""

import signal
import threading
from collections.abc import Callable
from typing import Final

from aionoah.host.waiting import kernel_lock, kernel_lock_in_turn

# Signals are for the application's own threads, except those that an instruction of the thread itself causes:
# blocked, they kill the whole process, and the emulator catches one of them.
_OF_INSTRUCTIONS: Final = {signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGTRAP}
_MOST_IDLE: Final = 8


class _Worker:
    def __init__(self, threads: "OsThreads", work: Callable[[], None]) -> None:
        self._threads = threads
        self._work: Callable[[], None] | None = work
        self._has_work = threading.Lock()
        self._has_work.acquire()
        self.thread = threading.Thread(target=self._main, name="vcpu-new", daemon=True)

    def give(self, work: Callable[[], None] | None) -> None:
        self._work = work
        self._has_work.release()

    def _main(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - _OF_INSTRUCTIONS)
        while self._work is not None:
            self._work()
            self._work = None
            self.thread.name = "vcpu-idle"
            with kernel_lock_in_turn():
                stays = self._threads.take_back(self)
            if stays:
                self._has_work.acquire()


class OsThreads:
    """The OS threads of one instance."""

    def __init__(self) -> None:
        self._workers: set[_Worker] = set()
        self._idle: list[_Worker] = []
        self._ending: list[_Worker] = []  # have no more to do; `close` waits for their last steps
        self._is_closing = False

    def run(self, work: Callable[[], None]) -> None:
        """Call something on a thread of its own. Under the kernel lock. RuntimeError if the host has no more."""
        if self._idle:
            self._idle.pop().give(work)
            return
        worker = _Worker(self, work)
        worker.thread.start()
        self._workers.add(worker)

    def take_back(self, worker: _Worker) -> bool:
        """A worker has done its work; whether it is to wait for more. Under the kernel lock."""
        if self._is_closing or len(self._idle) >= _MOST_IDLE:
            self._workers.discard(worker)
            self._ending = [other for other in self._ending if other.thread.is_alive()]
            self._ending.append(worker)
            return False
        self._idle.append(worker)
        return True

    def close(self) -> None:
        """Wait for the end of all threads, none of which has more to do than to end. Without the kernel lock."""
        with kernel_lock:
            self._is_closing = True
            workers = [*self._workers, *self._ending]
            while self._idle:
                self._idle.pop().give(None)
        for worker in workers:
            worker.thread.join()
        with kernel_lock:
            self._is_closing = False
            self._workers.clear()
            self._ending.clear()
