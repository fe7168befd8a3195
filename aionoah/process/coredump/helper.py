"""The program that a core is piped to (core(5), "Piping core dumps to a program"; Linux kernel/umh.c, fs/coredump.c)."""

from typing import TYPE_CHECKING, Final

from aionoah.abi.errno import LinuxError
from aionoah.fs.file import TO_WRITE, File, WouldBlock, sleep_until
from aionoah.fs.pipe import PipeEnd, open_pipe
from aionoah.host.waiting import Source, WaitQueue, sleep_on
from aionoah.memory.buffer import KernelBuffer
from aionoah.process.coredump.file import cut_short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aionoah.process.task import Task

_ZEROS: Final = bytes(64 << 10)


class _Start:
    """What has become of the helper's start; it may come after whoever waits for it has gone."""

    def __init__(self, reader: File) -> None:
        self._reader = reader
        self.has_started: bool | None = None
        self.queue = WaitQueue()

    def tell(self, *, has_started: bool) -> None:
        self._reader.drop()
        self.has_started = has_started
        self.queue.wake()


async def open_helper(task: "Task", argv: "Sequence[bytes]") -> PipeEnd | None:
    """The writing end of its standard input, None if it cannot be started. Interrupted."""
    kernel, settings = task.kernel, task.kernel.core_settings
    has_room = kernel.pid_count < kernel.max_tasks and not 0 < settings.pipe_limit <= settings.piped
    if kernel.run_helper is None or not has_room:
        return None
    reader, writer = open_pipe()
    start = _Start(reader)
    try:
        kernel.run_helper(argv, reader, start.tell)
    except LinuxError:
        start.tell(has_started=False)
    try:
        while start.has_started is None:
            with cut_short(task):
                await sleep_on(Source(start.queue))
    finally:
        if not start.has_started:
            writer.drop()
    return writer if start.has_started else None


class PipedCore:
    """As CoreFile; without holes or a limit."""

    def __init__(self, task: "Task", file: PipeEnd) -> None:
        """The file's one reference becomes ours."""
        self._task = task
        self._settings = task.kernel.core_settings
        self._settings.piped += 1
        self._file = file
        self._position = 0

    def has_room(self, size: int) -> bool:  # noqa: ARG002
        return True

    async def put(self, data: bytes, offset: int, unit: int = 0) -> None:  # noqa: ARG002 - nothing is cut
        await self.end_at(offset)
        await self._write(data)

    async def end_at(self, size: int) -> None:
        while self._position < size:
            await self._write(_ZEROS[: size - self._position])

    def close(self) -> None:
        self._settings.piped -= 1
        self._file.drop()

    async def settle(self) -> None:
        """Where the number of such programs is limited, they may look at the process until they close the pipe."""
        pipe = self._file.pipe
        while self._settings.pipe_limit and pipe.readers:
            with cut_short(self._task):
                await sleep_on(Source(pipe.writable))

    async def _write(self, data: bytes) -> None:
        """LinuxError(EPIPE) if nobody reads any more, Interrupted."""
        rest = memoryview(data)
        while rest:
            try:
                done = self._file.write_nowait(KernelBuffer(rest))
            except WouldBlock:
                with cut_short(self._task):
                    await sleep_until(self._file, TO_WRITE)
                continue
            rest = rest[done:]
            self._position += done
