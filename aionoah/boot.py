"""How an instance comes up: its tree of mounts, and a process that starts from nothing.

Later processes come from clone and execve; this is for those that the application starts.
"""

import errno
import os
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah import naming
from aionoah.abi.architecture import architecture_named
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.resource import RLIMIT
from aionoah.abi.stat import S
from aionoah.clocks.vdso import Vdso
from aionoah.fs.context import FsContext
from aionoah.fs.devfs import new_devfs
from aionoah.fs.devpts import OPTIONS as DEVPTS_OPTIONS
from aionoah.fs.devpts import DevPts
from aionoah.fs.mount_namespace import MountNamespace
from aionoah.fs.opening import open_file
from aionoah.fs.path import Dentry, walk
from aionoah.fs.proc import new_procfs
from aionoah.fs.stdio import HostStreamFile
from aionoah.fs.sys import new_cgroupfs, new_sysfs
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.fs.tmpfs_inode import TmpRegular
from aionoah.host import facts
from aionoah.host.application import answered_here
from aionoah.memory.buffer import KernelBuffer
from aionoah.process.credentials import Credentials
from aionoah.process.descriptors import DescriptorTable
from aionoah.process.elf import ExecError, show_path
from aionoah.process.exec import Loaded, Program, load_program
from aionoah.process.executable import Executable, find_executable
from aionoah.process.init import show_init
from aionoah.process.kernel import Kernel
from aionoah.process.limits import Limit, Limits
from aionoah.process.processor import Processor
from aionoah.process.scheduling import Scheduling
from aionoah.process.task import NO_PIPED_CORE, Process, Task
from aionoah.root import Root, open_root, shown_writable
from aionoah.terminal import job_control

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from aionoah.abi.architecture import Architecture
    from aionoah.fs.file import File
    from aionoah.fs.inode import FileSystem
    from aionoah.host.application import Application
    from aionoah.hypervisor.protocols import Machine
    from aionoah.linux import Mount
    from aionoah.subprocess import Streams
    from aionoah.terminal.pty import Pty

_KERNEL_OPTIONS: Final = b"nosuid,nodev,noexec"  # of file systems that hold the kernel's own files
_HOST_PATHS: Final = (str, bytes, os.PathLike)
_DEFAULT_PATH: Final = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Command(NamedTuple):
    """What the application wants to run."""

    argv: list[bytes]
    environment: list[bytes]
    cwd: bytes | None
    uid: int
    gid: int
    groups: tuple[int, ...] | None = None  # supplementary ones
    ignored: frozenset[int] = frozenset()  # signals
    umask: int = 0o022
    executable: bytes | None = None  # in place of argv[0]

    @property
    def program(self) -> bytes:
        return self.executable or self.argv[0]


def host_errno(error: LinuxError) -> int:
    """The host's number for Linux's error of the same name."""
    return int(getattr(errno, error.errno.name, errno.EIO))


def new_kernel(
    machine: "Machine",
    root: Root,
    mounts: "Mapping[bytes, Mount]",
    hostname: bytes | None,
    application: "Application | None" = None,
) -> "Kernel":
    """The root, the kernel's own file systems above it, and what the user gives; None for the name that those say.

    OSError with a sentence for what cannot be shown to guests.
    """
    tree = MountNamespace.of(open_root(root), read_only=root.writes == "refused", source=root.source)
    try:
        kernel = Kernel(machine, tree)
        show_init(kernel, architecture_named(machine.architecture))
        kernel.processor = Processor(machine.hwcap, map_vdso=Vdso(machine).map)
        tree.mount(new_procfs(kernel), b"/proc")
        tree.mount(new_sysfs(kernel), b"/sys", read_only=True, options=_KERNEL_OPTIONS)
        tree.mount(new_cgroupfs(kernel), b"/sys/fs/cgroup", read_only=True, options=_KERNEL_OPTIONS)
        tree.mount(new_devfs(), b"/dev")
        tree.mount(DevPts(kernel.ptys), b"/dev/pts", options=DEVPTS_OPTIONS)
        tree.mount(TmpFileSystem(mode=0o1777), b"/dev/shm")
        tree.mount(kernel.namespaces.ipc.message_queues, b"/dev/mqueue", options=_KERNEL_OPTIONS)
        tree.mount(TmpFileSystem(mode=0o1777), b"/tmp")
        tree.mount(TmpFileSystem(mode=0o755), b"/run")
        for path, what in mounts.items():
            _mount(tree, path, what, application)
        kernel.hostname = _own_name(tree, mounts) if hostname is None else hostname
    except BaseException:
        tree.release()
        raise
    return kernel


def _own_name(tree: MountNamespace, mounts: "Mapping[bytes, Mount]") -> bytes:
    """What the tree says, unless that is the application's to answer: it could take its time."""
    asked = (path.rstrip(b"/") for path, what in mounts.items() if not isinstance(what.source, _HOST_PATHS))
    return (
        naming.DEFAULT
        if any((naming.PATH + b"/").startswith(path + b"/") for path in asked)
        else naming.name_of(tree)
    )


def _mount(tree: MountNamespace, path: bytes, what: "Mount", application: "Application | None") -> None:
    if isinstance(what.source, _HOST_PATHS):
        source = os.path.abspath(os.fsencode(what.source))  # noqa: PTH100 - bytes
        filesystem: FileSystem = shown_writable(source)
    else:
        from aionoah.fs.python.showing import filesystem_for  # noqa: PLC0415 - most show host files only

        filesystem = filesystem_for(what.source, application)
        source = filesystem.type_name
    try:
        tree.mount(filesystem, path, read_only=what.read_only, source=source).is_locked = True
    except LinuxError as error:
        filesystem.release()
        number = host_errno(error)
        sentence = f"{show_path(source)} cannot be mounted at {show_path(path)}: {os.strerror(number)}"
        raise OSError(number, sentence) from None


def give_file(kernel: "Kernel", path: bytes, text: bytes) -> None:
    """A file in memory at a path, whatever the tree has there."""
    filesystem = TmpFileSystem(mode=0o755)
    inode = filesystem.root.create(os.path.basename(path), 0o644, 0, 0)  # noqa: PTH119 - bytes
    assert isinstance(inode, TmpRegular)  # noqa: S101 - just made
    inode.contents.write(KernelBuffer(text), 0)
    kernel.mounts.mount(filesystem, path, root=inode)


def boot_process(
    kernel: "Kernel", architecture: "Architecture", command: Command, streams: "Streams"
) -> "tuple[Task, Loaded]":
    """A process of one thread with the command's program in memory and the streams as descriptors.

    Raises LinuxError, among them ExecError with a sentence; then nothing is left of it.
    """
    credentials = Credentials(command.uid, command.gid, _groups(command))
    limits = Limits()
    fs = FsContext(kernel.mounts.root, credentials, programs=kernel.programs)
    fs.cwd = answered_here(lambda: _working_directory(fs, command.cwd))
    fs.umask = command.umask
    files = DescriptorTable(lambda: limits.soft(RLIMIT.NOFILE))
    try:
        _open_streams(kernel, files, streams)
        loaded = answered_here(lambda: _load(kernel, architecture, command, fs, credentials, limits))
    except BaseException:
        files.leave()
        raise
    task = _new_process(kernel, architecture, loaded, files, fs, limits)
    task.process.signals.ignore(command.ignored)
    if streams.pty is not None:
        job_control.take(task.process, streams.pty)
    return task, loaded


def boot_helper(
    kernel: "Kernel", architecture: "Architecture", argv: "Sequence[bytes]", stdin: "File"
) -> "tuple[Task, Loaded]":
    """A process that the kernel itself wants: root's, with a standard input and nothing else, and without a core of its
    own (Linux kernel/umh.c, fs/coredump.c: umh_coredump_setup). Raises as `boot_process`.
    """
    command = Command(list(argv), [], b"/", 0, 0, ())
    credentials, limits = Credentials(0, 0), Limits()
    limits.set(RLIMIT.CORE, Limit(NO_PIPED_CORE, NO_PIPED_CORE), credentials)
    fs = FsContext(kernel.mounts.root, credentials, programs=kernel.programs)
    files = DescriptorTable(lambda: limits.soft(RLIMIT.NOFILE))
    try:
        files.add(stdin.hold(), cloexec=False)
        loaded = answered_here(lambda: _load(kernel, architecture, command, fs, credentials, limits))
    except BaseException:
        files.leave()
        raise
    return _new_process(kernel, architecture, loaded, files, fs, limits), loaded


def _load(
    kernel: "Kernel",
    architecture: "Architecture",
    command: Command,
    fs: FsContext,
    credentials: Credentials,
    limits: Limits,
) -> Loaded:
    with _find_program(fs, command) as executable:
        return load_program(
            Program(
                machine=kernel.machine,
                architecture=architecture,
                fs=fs,
                executable=executable,
                argv=command.argv,
                envp=command.environment,
                execfn=executable.path,
                credentials=credentials,
                limits=limits,
                processor=kernel.processor,
            )
        )


def _groups(command: Command) -> "Collection[int]":
    """Those asked for, else the application's own if the guest is to be the same user."""
    if command.groups is not None:
        return command.groups
    return os.getgroups() if command.uid == os.getuid() and command.uid != 0 else []


def _working_directory(fs: FsContext, wanted: bytes | None) -> Dentry:
    """The directory that was asked for, else the application's own if the guest has it."""
    if wanted is None:
        try:
            return _directory(fs, os.getcwdb())  # noqa: PTH109 - bytes
        except (LinuxError, OSError):
            return fs.root
    try:
        return _directory(fs, wanted)
    except LinuxError as error:
        reason = os.strerror(host_errno(error))
        raise ExecError(
            error.errno, f"{show_path(wanted)} cannot be the working directory: {reason}", wanted
        ) from None


def _directory(fs: FsContext, path: bytes) -> Dentry:
    found = walk(fs, fs.root, path)
    if found.inode.kind != S.IFDIR:
        raise LinuxError(Errno.ENOTDIR)
    return found


def _find_program(fs: FsContext, command: Command) -> Executable:
    """The program by its path, or by name in PATH as execvp(3) looks for it."""
    name = command.program
    if not name:
        raise ExecError(Errno.ENOENT, "a program without a name does not exist")
    if b"/" in name:
        return find_executable(fs, name)
    path = dict(word.partition(b"=")[::2] for word in command.environment).get(b"PATH", _DEFAULT_PATH)
    refused: ExecError | None = None
    for directory in path.split(b":"):
        try:
            return find_executable(fs, (directory or b".") + b"/" + name)
        except ExecError as error:
            if error.errno is Errno.EACCES:
                refused = error
    raise refused or ExecError(Errno.ENOENT, f"{show_path(name)} is not in PATH ({os.fsdecode(path)})")


def _open_streams(kernel: "Kernel", files: DescriptorTable, streams: "Streams") -> None:
    """Descriptors 0, 1 and 2; one host descriptor given twice is one open file description."""
    if streams.pty is not None:
        slave = _open_slave(kernel, streams.pty)
        for _ in range(3 - len(streams.guest_fds)):
            files.add(slave.hold(), cloexec=False)
        slave.drop()
    opened: dict[int, HostStreamFile] = {}
    for fd in streams.guest_fds:
        if fd in opened:
            files.add(opened[fd].hold(), cloexec=False)
        else:
            opened[fd] = HostStreamFile(fd)
            files.add(opened[fd], cloexec=False)
    for number, fd in streams.passed.items():
        file = opened[fd].hold() if fd in opened else HostStreamFile(fd)
        try:
            files.replace(number, file, cloexec=False)
        finally:
            file.drop()
    streams.release_guest_ends()


def _open_slave(kernel: "Kernel", pty: "Pty") -> "File":
    """The terminal by its name, so that ttyname(3) finds it."""
    root = kernel.mounts.root
    if kernel.console is None or kernel.console.is_gone:
        kernel.console = pty
    return open_file(FsContext(root, Credentials(0, 0)), root, pty.name, O(O.RDWR | O.NOCTTY))


def _new_process(
    kernel: "Kernel",
    architecture: "Architecture",
    loaded: Loaded,
    files: DescriptorTable,
    fs: FsContext,
    limits: Limits,
) -> Task:
    pid = kernel.allocate_pid()
    process = Process(kernel, pid, parent=kernel.init, limits=limits, start_ns=facts.uptime_ns())
    process.process_group = process.session = pid
    task = process.new_task(
        pid,
        architecture=architecture,
        memory=loaded.memory,
        files=files,
        fs=fs,
        credentials=loaded.credentials,
        scheduling=Scheduling(kernel.cpu_count),
    )
    task.become(loaded)
    return task
