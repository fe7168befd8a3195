"""One Linux inside the application: a tree of files, a machine, and the programs that run in it."""

import asyncio
import contextlib
import errno
import os
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, TextIO

from aionoah.abi.aarch64 import AARCH64
from aionoah.abi.errno import LinuxError
from aionoah.abi.x86_64 import X86_64
from aionoah.boot import Command, boot_process, new_kernel
from aionoah.host import platform
from aionoah.host.waiting import kernel_lock
from aionoah.hypervisor.select import host_architecture, open_machine
from aionoah.process.elf import ExecError
from aionoah.reactor import Reactor
from aionoah.subprocess import Process, Redirection, Streams
from aionoah.syscalls import load_handlers
from aionoah.syscalls.dispatch import SyscallTable
from aionoah.vcpu_thread import VcpuThread

if TYPE_CHECKING:
    from aionoah.process.task import Task

_ARCHITECTURES: Final = {"x86_64": X86_64, "aarch64": AARCH64}
_DEFAULT_STREAM_LIMIT: Final = 1 << 16
StrPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]


class Mount(NamedTuple):
    """A host directory or file in the guests' tree."""

    source: StrPath
    read_only: bool = False


class Linux:
    """An asynchronous context manager. Guests made in it end with it, and nothing of them is left.

    root: host directory that guests see as "/", read-only; /proc, /dev, /tmp, /run and /dev/shm are its own.
    mounts: guest path → host path (writable) or Mount.
    hypervisor: "auto", "kvm" or "unicorn".
    architecture: "x86_64" or "aarch64" of the guests; None for the host's.
    memory: bytes that all guests together may use; None for three quarters of the host's.
    strace: a text file that every system call is written to.

    Entering raises hypervisor.errors.HypervisorError or OSError, each with a sentence for the user.
    """

    def __init__(
        self,
        root: StrPath = "/",
        *,
        mounts: Mapping[str, StrPath | Mount] | None = None,
        hypervisor: str = "auto",
        architecture: str | None = None,
        memory: int | None = None,
        hostname: str = "aionoah",
        strace: TextIO | None = None,
    ) -> None:
        self._root = os.fsencode(root)
        self._mounts = {
            os.fsencode(place): what if isinstance(what, Mount) else Mount(what)
            for place, what in (mounts or {}).items()
        }
        self._hypervisor = hypervisor
        self._architecture_name = architecture or host_architecture()
        self._memory = memory
        self._hostname = hostname.encode()
        self._strace = strace
        self._processes: dict[Process, VcpuThread] = {}

    # -- lifetime -----------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        load_handlers()
        self._loop = asyncio.get_running_loop()
        memory = self._memory or platform.total_memory() // 4 * 3
        self._machine = open_machine(self._hypervisor, self._architecture_name, memory)
        try:
            self.kernel = new_kernel(self._machine, self._root, self._mounts, self._hostname)
        except BaseException:
            self._machine.close()
            raise
        self._reactor = Reactor(self._loop)
        self._table = self._new_table()
        return self

    def _new_table(self) -> SyscallTable:
        architecture = _ARCHITECTURES[self._architecture_name]
        if self._strace is None:
            return SyscallTable(architecture)
        from aionoah.syscalls.strace import Tracer  # noqa: PLC0415 - loaded by those who trace

        return SyscallTable(architecture, Tracer(self._strace))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.kill()
        ends = [asyncio.ensure_future(_outcome(process)) for process in self._processes]
        while ends:
            _, pending = await asyncio.shield(asyncio.wait(ends))
            ends = list(pending)
        await self._reactor.close()
        with kernel_lock:
            self.kernel.mounts.release()
            self._machine.close()

    # -- programs -----------------------------------------------------------------------------------------

    async def create_subprocess_exec(
        self,
        program: StrPath,
        *args: StrPath,
        stdin: Redirection = None,
        stdout: Redirection = None,
        stderr: Redirection = None,
        env: Mapping[str, str] | None = None,
        cwd: StrPath | None = None,
        user: int | None = None,
        group: int | None = None,
        limit: int = _DEFAULT_STREAM_LIMIT,
    ) -> Process:
        """Start a program, as asyncio.create_subprocess_exec does.

        A program without a slash is looked for in the PATH of `env` (None: the application's own
        environment). `user` and `group` are numbers, by default the application's. `cwd` is a guest path, by
        default the application's if the guest has it, else "/".

        Raises OSError (FileNotFoundError, PermissionError, …) with a sentence naming the file.
        """
        command = Command(
            argv=[os.fsencode(word) for word in (program, *args)],
            environment=[os.fsencode(f"{k}={v}") for k, v in (os.environ if env is None else env).items()],
            cwd=None if cwd is None else os.fsencode(cwd),
            uid=os.getuid() if user is None else user,
            gid=os.getgid() if group is None else group,
        )
        streams = Streams(self._loop, limit)
        await streams.open(stdin, stdout, stderr)
        try:
            return await self._start(command, streams)
        except BaseException:
            streams.close()
            raise

    async def _start(self, command: Command, streams: Streams) -> Process:
        started: asyncio.Future[Task] = self._loop.create_future()
        process: Process | None = None

        def on_start(result: "Task | Exception") -> None:
            self._loop.call_soon_threadsafe(_settle, started, result)

        def on_exit(failure: BaseException | None) -> None:
            self._loop.call_soon_threadsafe(ended, failure)

        def ended(failure: BaseException | None) -> None:
            thread.join()  # it has called us as its last act
            if process is not None:
                del self._processes[process]
                process.finish(failure)

        thread = VcpuThread(
            self._machine,
            self._reactor,
            self._table,
            boot=lambda: boot_process(self.kernel, self._table.architecture, command, streams),
            on_start=on_start,
            on_exit=on_exit,
        )
        thread.start()
        try:
            task = await asyncio.shield(started)
        except ExecError as error:
            raise _os_error(error, error.reason, command.argv[0]) from None
        except LinuxError as error:
            raise _os_error(error, error.errno.name, command.argv[0]) from None
        process = Process(task.process, streams, self._loop)
        self._processes[process] = thread
        return process

    async def run(
        self,
        args: Sequence[StrPath],
        *,
        input: bytes | None = None,  # noqa: A002 - as in subprocess.run
        capture_output: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109 - as in subprocess.run
        check: bool = False,
        **options: Any,  # noqa: ANN401 - those of create_subprocess_exec
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program to its end, as subprocess.run does; further options as create_subprocess_exec.

        Raises subprocess.TimeoutExpired after `timeout` seconds, when the program has been killed, and
        subprocess.CalledProcessError with `check` for a status that is not 0.
        """
        if input is not None:
            options.setdefault("stdin", subprocess.PIPE)
        if capture_output:
            options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        async with self._running(args, options) as process:
            try:
                async with asyncio.timeout(timeout):
                    out, err = await process.communicate(input)
            except TimeoutError:
                raise subprocess.TimeoutExpired(list(args), timeout or 0) from None
        assert process.returncode is not None  # noqa: S101 - communicate waits
        done = subprocess.CompletedProcess(list(args), process.returncode, out, err)
        if check:
            done.check_returncode()
        return done

    @contextlib.asynccontextmanager
    async def _running(self, args: Sequence[StrPath], options: dict[str, Any]) -> AsyncIterator[Process]:
        """A process that is killed and waited for if the block is left early."""
        process = await self.create_subprocess_exec(*args, **options)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def _outcome(process: Process) -> None:
    with contextlib.suppress(Exception):
        await process.wait()


def _settle(future: "asyncio.Future[Task]", result: "Task | Exception") -> None:
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)


def _os_error(error: LinuxError, sentence: str, program: bytes) -> OSError:
    """The exception that a host's exec would have raised."""
    number = getattr(errno, error.errno.name, errno.EIO)
    return OSError(number, sentence, os.fsdecode(program))
