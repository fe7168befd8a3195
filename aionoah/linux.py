"""One Linux inside the application: a tree of files, a machine, and the programs that run in it."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, TextIO, TypeVar

from aionoah.abi.architecture import architecture_named
from aionoah.abi.errno import LinuxError
from aionoah.abi.limits import ID_MAX
from aionoah.abi.signal import SIG
from aionoah.abi.utsname import NEW_UTS_LEN
from aionoah.boot import Command, boot_helper, boot_process, give_file, host_errno, new_kernel
from aionoah.host import platform
from aionoah.host.application import Application
from aionoah.host.waiting import kernel_lock
from aionoah.hypervisor.select import host_architecture, open_machine
from aionoah.net.policy import POLICIES
from aionoah.popen import StrPath, check_options, environment_words, without_nul, words_of
from aionoah.process.elf import ExecError, show_path
from aionoah.process.kernel import DEFAULT_MAX_TASKS
from aionoah.processes import ProcessInfo, describe_processes
from aionoah.reactor import Reactor
from aionoah.root import Writes, checked_root
from aionoah.subprocess import Conversation, Process, Redirection, Streams, finished, ignored_signals
from aionoah.syscalls.dispatch import SyscallTable
from aionoah.vcpu_thread import VcpuThread
from aionoah.vcpu_threads import VcpuThreads

if TYPE_CHECKING:
    from aionoah.files import Files
    from aionoah.fs.file import File
    from aionoah.network import Network
    from aionoah.process.kernel import Kernel, Told
    from aionoah.process.task import Process as GuestProcess
    from aionoah.process.task import Task
    from aionoah.terminals import Terminal
    from aionoah.x11 import Display

_DEFAULT_STREAM_LIMIT: Final = 1 << 16
_NETWORKS: Final = (*POLICIES, "loopback")
T = TypeVar("T")


class Mount(NamedTuple):
    """A host directory or file in the guests' tree."""

    source: Any  # a host path, or what else `mounts` takes
    read_only: bool = False


class Linux:
    """An asynchronous context manager. Guests made in it end with it, and nothing of them is left.

    root: host directory that guests see as "/", or several, each shown above the next. /proc, /dev, /tmp, /run and
        /dev/shm are the instance's own.
    writes: what becomes of changes to the root: "private" are seen by this instance only, "through" go to the
        directory itself, and are "refused" with EROFS.
    upper: host directory that keeps private changes, made if need be, and shows those that are there already; its
        format is that of Linux's overlay file system. None: they vanish with the instance.
    mounts: guest path → host path (writable) or Mount; or a file system in Python (aionoah.fs.FileSystem), a dict of
        bytes, a file system of fsspec, an aionoah.fs.Device or TextFile.
    hypervisor: "auto", "kvm" or "unicorn".
    architecture: "x86_64" or "aarch64" of the guests; None for the host's.
    memory: bytes that all guests together may use; None for three quarters of the host's.
    pids: threads and processes (zombies too) that may exist at once; beyond them fork fails with EAGAIN.
    hostname: the name of the machine; None for what the tree's /etc/hostname says, "aionoah" if that says nothing; at
        most 64 bytes.
    strace: a text file that every system call is written to.
    network: "host" (what the application itself reaches), "none", "loopback" (guests reach one another, and what
        `connect` gives the application) or a Network.
    x11: the X server that guests reach: its name as in $DISPLAY, such as ":0", or an aionoah.x11.Display. Programs then
        have its DISPLAY and XAUTHORITY in their environment.

    It may be entered again once it has been left. Entering raises hypervisor.errors.HypervisorError or OSError, each with a
    sentence for the user; RuntimeError if it is entered already.
    """

    def __init__(
        self,
        root: StrPath | Sequence[StrPath] = "/",
        *,
        upper: StrPath | None = None,
        writes: Writes = "private",
        mounts: Mapping[str, Any] | None = None,
        hypervisor: str = "auto",
        architecture: str | None = None,
        memory: int | None = None,
        pids: int | None = None,
        hostname: str | None = None,
        strace: TextIO | None = None,
        network: "str | Network" = "host",
        x11: "str | Display | None" = None,
    ) -> None:
        if isinstance(network, str) and network not in _NETWORKS:
            raise ValueError(f"network must be one of {', '.join(_NETWORKS)}, or a Network")
        if not isinstance(network, str):
            _require("network", network, "open", "a Network or the name of one")
        _require("mounts", mounts, "items", "a mapping of guest paths")
        _require("strace", strace, "write", "a text file")
        if memory is not None and memory <= 0:
            raise ValueError("memory must be a positive number of bytes")
        if pids is not None and pids <= 0:
            raise ValueError("pids must be a positive number of processes")
        if hostname is not None and (len(hostname.encode()) > NEW_UTS_LEN or "\0" in hostname):
            raise ValueError(f"hostname must be of {NEW_UTS_LEN} bytes at most, without NUL")
        layers = [root] if isinstance(root, str | bytes | os.PathLike) else root
        self._root = checked_root(layers, upper, writes)
        self._mounts = {
            os.fsencode(place): what if isinstance(what, Mount) else Mount(what)
            for place, what in (mounts or {}).items()
        }
        self._hypervisor = hypervisor
        self._architecture_name = architecture or host_architecture()
        self._memory = memory
        self._pids = DEFAULT_MAX_TASKS if pids is None else pids
        self._hostname = None if hostname is None else hostname.encode()
        self._strace = strace
        self._network = _new_network() if network == "loopback" else network
        self._display = _display_of(x11)
        self._is_entered = self._is_open = False
        self._launches: set[asyncio.Future[Process]] = set()  # about to become processes
        self._processes: dict[GuestProcess, Process] = {}  # that run, and that the application has started
        self._idle_waiters: list[asyncio.Future[None]] = []
        self._streams: set[Streams] = set()  # some of them closed since they were put in

    # -- lifetime -----------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._is_entered:
            raise RuntimeError("a Linux is entered once at a time: make another")
        self._is_entered = True
        try:
            await self._open()
        except BaseException:
            self._is_entered = False
            raise
        return self

    async def _open(self) -> None:
        self._loop = asyncio.get_running_loop()
        memory = self._memory or platform.total_memory() // 4 * 3
        self._machine = open_machine(self._hypervisor, self._architecture_name, memory)
        try:
            self._application = Application(self._loop)
            self.kernel = new_kernel(
                self._machine, self._root, self._mounts, self._hostname, self._application
            )
            try:
                await self._open_network()
                if self._display is not None:
                    self._display.show(self.kernel)
            except BaseException:
                self.kernel.close()
                raise
        except BaseException:
            self._machine.close()
            raise
        self.kernel.max_tasks = self._pids
        self._reactor = Reactor(self._loop)
        self.kernel.timers, self.kernel.host_edges = self._reactor.timers, self._reactor.edges
        self._table = self._new_table()
        self._threads = VcpuThreads(
            self._machine,
            self._reactor,
            self._table,
            self._thread_ends,
        )
        self.kernel.run_helper = self._run_helper
        self._is_open = True

    async def _open_network(self) -> None:
        if isinstance(self._network, str):
            self.kernel.network.policy = POLICIES[self._network]()
            return
        await self._network.open(self.kernel.network)
        for path, text in self._network.files(self.kernel.hostname).items():
            give_file(self.kernel, path, text)

    def _environment(self, env: Mapping[str, str] | None) -> Mapping[str, str]:
        given = os.environ if env is None else env
        return given if self._display is None else {**given, **self._display.environment()}

    def _new_table(self) -> SyscallTable:
        architecture = architecture_named(self._architecture_name)
        if self._strace is None:
            return SyscallTable(architecture)
        from aionoah.syscalls.strace import Tracer  # noqa: PLC0415 - loaded by those who trace

        return SyscallTable(architecture, Tracer(self._strace))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_open = False
        was_cancelled = await self._close()
        self._is_entered = False
        if was_cancelled:
            raise asyncio.CancelledError

    async def _close(self) -> bool:
        """Kill what runs and free everything, even if cancelled meanwhile; returns whether that was so."""
        was_cancelled = await finished(self._launches)
        with kernel_lock:
            for guest in self.kernel.guests:
                guest.exit_group(SIG.KILL)
        was_cancelled |= await finished([self._idle()])
        self._threads.close()
        was_cancelled |= await finished(closed for streams in self._streams for closed in streams.close())
        was_cancelled |= await finished(
            [self._loop.create_task(self._reactor.run(self._application.settle()))]
        )
        self._reactor.close()
        if not isinstance(self._network, str):
            await self._network.close()
        with kernel_lock:
            self.kernel.close()
            self._machine.close()
        return was_cancelled

    @property
    def files(self) -> "Files":
        """The guests' files, to be read and changed by the application."""
        from aionoah.files import Files  # noqa: PLC0415 - loaded by those who use it

        return Files(self._open_kernel, self._reactor_here)

    def _reactor_here(self) -> Reactor:
        """RuntimeError on another loop, whose tasks ours cannot wake."""
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError("a Linux is used on the event loop that it was entered on")
        return self._reactor

    def _open_kernel(self) -> "Kernel":
        if not self._is_open:
            raise RuntimeError("files can be used inside the `async with` block of their Linux only")
        return self.kernel

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
        user: int | str | None = None,
        group: int | str | None = None,
        extra_groups: Collection[int | str] | None = None,
        umask: int = -1,
        executable: StrPath | None = None,
        pass_fds: Collection[int] = (),
        restore_signals: bool = True,
        limit: int = _DEFAULT_STREAM_LIMIT,
        terminal: "bool | Terminal" = False,
        **popen: Any,  # noqa: ANN401 - see aionoah.popen
    ) -> Process:
        """Start a program, as asyncio.create_subprocess_exec does.

        A program without a slash is looked for in the PATH of `env` (None: the application's own
        environment). `user` and `group`, numbers or names of the guest's passwd(5) and group(5), are by default the
        application's; `extra_groups` are further ones. What signals the application ignores, the program ignores;
        it has the application's umask if no other is given. `executable` is run in place of `program`, which it then has
        for its name; `pass_fds` are host descriptors for it to have by the same numbers.
        `cwd` is a guest path, by default the application's if the guest has it, else "/".

        With a `terminal` (True: of 80 columns and 24 rows) the program runs on one of its own, as a session's leader:
        `stdin` types on it, `stdout` is its screen, `resize` changes it. Closing `stdin` hangs up.

        Raises OSError (FileNotFoundError, PermissionError, …) with a sentence naming the file, ValueError for
        words with NUL bytes in them, impossible users and what else subprocess.Popen has for text and processes of the host
        (each guest leads a session of its own), RuntimeError outside the `async with` block.
        """
        if self._is_open:
            self._reactor_here()
        check_options(popen)
        command = Command(
            argv=words_of(program, args),
            environment=environment_words(self._environment(env)),
            cwd=None if cwd is None else without_nul(os.fsencode(cwd)),
            uid=os.getuid() if user is None else await self._number(user, "user"),
            gid=os.getgid() if group is None else await self._number(group, "group"),
            groups=None
            if extra_groups is None
            else tuple([await self._number(each, "group") for each in extra_groups]),
            ignored=ignored_signals(restore=restore_signals),
            umask=platform.umask() if umask < 0 else umask,
            executable=None if executable is None else without_nul(os.fsencode(executable)),
        )
        if not all(0 <= number <= ID_MAX for number in (command.uid, command.gid, *(command.groups or ()))):
            raise ValueError(f"users and groups are numbers from 0 to {ID_MAX}")
        streams = self._new_streams(terminal, limit, command.uid)
        await streams.open(stdin, stdout, stderr, pass_fds)
        if not self._is_open:
            streams.close()
            raise RuntimeError("programs run inside the `async with` block of their Linux only")
        self._streams = {known for known in self._streams if known.is_open} | {streams}
        started = self._launch(command, streams)
        try:
            return await asyncio.shield(started)
        except asyncio.CancelledError:
            await finished([started])
            await _abandon(started)
            raise
        except ExecError as error:
            raise _os_error(error, error.reason, error.path or command.program) from None
        except LinuxError as error:
            sentence = f"{show_path(command.program)} cannot be started: {os.strerror(host_errno(error))}"
            raise _os_error(error, sentence, command.program) from None

    async def create_subprocess_shell(self, cmd: str | bytes, **options: Any) -> Process:  # noqa: ANN401 - of the other
        """Let the guest's shell run a command line, as asyncio.create_subprocess_shell does."""
        if not isinstance(cmd, str | bytes):
            raise ValueError("cmd must be a string")  # noqa: TRY004 - as there
        return await self.create_subprocess_exec("/bin/sh", "-c", cmd, **options)

    async def _number(self, wanted: int | str, kind: str) -> int:
        """Of a user or a group that may be named. ValueError."""
        if isinstance(wanted, int):
            return wanted
        from aionoah.images import ImageError  # noqa: PLC0415 - numbers are the rule
        from aionoah.images.running import table  # noqa: PLC0415

        fields = {"user": ("/etc/passwd", 7), "group": ("/etc/group", 4)}[kind]
        try:
            accounts = await table(self.files, *fields)
        except ImageError as error:  # a file without end
            raise ValueError(str(error)) from None
        for name, _, number, *_ in accounts:
            if name == wanted and number.isdecimal():
                return int(number)
        raise ValueError(f"the guest has no {kind} {wanted}")

    def _new_streams(self, terminal: "bool | Terminal", limit: int, uid: int) -> Streams:
        loop = asyncio.get_running_loop()
        if terminal is False or not self._is_open:
            return Streams(loop, limit)
        from aionoah.terminals import Terminal, TerminalStreams  # noqa: PLC0415 - loaded by those who have one

        size = Terminal() if terminal is True else terminal.checked()
        try:
            return TerminalStreams(loop, limit, self.kernel, size, uid)
        except LinuxError as error:
            raise OSError(host_errno(error), "there are too many terminals") from None

    def _launch(self, command: Command, streams: Streams) -> "asyncio.Future[Process]":
        """Begin to start a program. What its thread reports is dealt with on the loop, in order."""
        started: asyncio.Future[Process] = self._loop.create_future()

        def has_started(thread: VcpuThread, result: "Task | Exception") -> None:
            self._launches.discard(started)
            if isinstance(result, Exception):
                self._has_gone(thread)
                streams.close()
                started.set_exception(result)
            else:
                process = Process(result.process, streams, self._loop)
                self._processes[result.process] = process
                started.set_result(process)

        self._launches.add(started)
        try:
            with kernel_lock:
                self._threads.boot(
                    lambda: boot_process(self.kernel, self._table.architecture, command, streams),
                    lambda thread, result: self._report(has_started, thread, result),
                )
        except LinuxError as error:
            self._launches.discard(started)
            streams.close()
            started.set_exception(error)
        return started

    def _run_helper(self, argv: Sequence[bytes], stdin: "File", told: "Told") -> None:
        """RunHelper of the kernel."""

        def has_started(thread: VcpuThread, result: "Task | Exception") -> None:
            told(has_started=not isinstance(result, Exception))
            if isinstance(result, Exception):
                self._report(lambda failed, _: self._has_gone(failed), thread, None)

        architecture = self._table.architecture
        self._threads.boot(lambda: boot_helper(self.kernel, architecture, argv, stdin), has_started)

    def _thread_ends(self, thread: VcpuThread, failure: BaseException | None) -> None:
        """On a guest thread, under the kernel lock. The loop, whose turn costs much of what a short thread does, hears
        only of what somebody may wait for: of processes that the application has started, and of the last thread.
        """
        running, guest = self._threads.running, thread.task.process
        running.discard(thread)
        is_our_child = guest.parent is self.kernel.init
        if failure is not None or not running or (guest.cpus == 0 and is_our_child):
            self._report(self._has_ended, thread, failure)

    def _has_ended(self, thread: VcpuThread, failure: BaseException | None) -> None:
        """A guest thread has ended; with the last one of a process its Process has."""
        self._has_gone(thread)
        guest = thread.task.process
        process = self._processes.get(guest)
        if process is not None and failure is not None:
            process.failure = process.failure or failure
        if process is not None and guest.cpus == 0:
            del self._processes[guest]
            process.finish(process.failure)

    def _has_gone(self, thread: VcpuThread) -> None:
        with kernel_lock:
            self._threads.running.discard(thread)
        if not self._threads.running:
            for waiter in self._idle_waiters:
                waiter.set_result(None)
            self._idle_waiters.clear()

    def _idle(self) -> "asyncio.Future[None]":
        """Done once no guest thread is left. Not a task: nobody may cancel it."""
        waiter = self._loop.create_future()
        if self._threads.running:
            self._idle_waiters.append(waiter)
        else:
            waiter.set_result(None)
        return waiter

    def _report(self, listener: Callable[[VcpuThread, T], None], thread: VcpuThread, news: T) -> None:
        """Tell the loop, from a thread. Nobody is left to be told once the application has closed it."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(listener, thread, news)

    async def connect(
        self, port: int, host: str = "127.0.0.1", *, limit: int = _DEFAULT_STREAM_LIMIT
    ) -> "tuple[asyncio.StreamReader, asyncio.StreamWriter]":
        """A stream to a guest's TCP server, as asyncio.open_connection gives one.

        With a Network or "loopback" no port of the host takes part; with "host" it is the host's own.
        Raises ConnectionRefusedError.
        """
        if isinstance(self._network, str):
            if self._network != "host":
                raise ConnectionRefusedError(f"no guest listens on port {port}: there is no network")
            return await asyncio.open_connection(host, port, limit=limit)
        return await self._network.connect(host, port, limit)

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
            if options.get("stdin") is not None:
                raise ValueError("stdin and input arguments may not both be used.")
            options["stdin"] = subprocess.PIPE
        if capture_output:
            if options.get("stdout") is not None or options.get("stderr") is not None:
                raise ValueError("stdout and stderr arguments may not be used with capture_output.")
            options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        talk = Conversation(input)
        async with self._running(args, options) as process:
            try:
                async with asyncio.timeout(timeout):
                    await process.converse(talk)
            except TimeoutError:
                raise subprocess.TimeoutExpired(list(args), timeout or 0, *talk.results(process)) from None
        assert process.returncode is not None  # noqa: S101 - converse waits
        done = subprocess.CompletedProcess(list(args), process.returncode, *talk.results(process))
        if check:
            done.check_returncode()
        return done

    def processes(self) -> list[ProcessInfo]:
        """The guest processes that there are now, by pid; zombies too."""
        if not self._is_open:
            raise RuntimeError("there are processes inside the `async with` block of their Linux only")
        with kernel_lock:
            return describe_processes(self.kernel)

    @contextlib.asynccontextmanager
    async def _running(self, args: Sequence[StrPath], options: dict[str, Any]) -> AsyncIterator[Process]:
        """A process that is killed and waited for if the block is left early, and whose pipes end with it."""
        process = await self.create_subprocess_exec(*args, **options)
        try:
            yield process
        finally:
            process.kill()
            was_cancelled = await finished([process.ended])
            was_cancelled |= await finished(process.close_streams())
        if was_cancelled:
            raise asyncio.CancelledError


def _require(name: str, value: object, method: str, what: str) -> None:
    """TypeError for what it cannot be, before a guest runs into it."""
    if value is not None and not hasattr(value, method):
        raise TypeError(f"{name} must be {what}, not {type(value).__name__}")


def _display_of(x11: "str | Display | None") -> "Display | None":
    """ValueError for what is no name of a server of this machine."""
    if not isinstance(x11, str):
        return x11
    from aionoah.x11 import parse_display  # noqa: PLC0415 - most instances have none

    try:
        return parse_display(x11, os.environ)
    except ValueError as error:
        raise ValueError(f"x11 {error}") from None


def _new_network() -> "Network":
    from aionoah.network import Network  # noqa: PLC0415 - loaded by those who want one

    return Network()


async def _abandon(started: "asyncio.Future[Process]") -> None:
    """Whoever has asked for the process has gone."""
    if started.exception() is None:
        process = started.result()
        process.kill()
        await finished([process.ended, *process.close_streams()])


def _os_error(error: LinuxError, sentence: str, program: bytes) -> OSError:
    """The exception that a host's exec would have raised."""
    return OSError(host_errno(error), sentence, os.fsdecode(program))
