"""execve as far as it concerns files and memory: find the program, check it, lay out a new address space.

Sources: execve(2), getauxval(3); Linux fs/exec.c, fs/binfmt_elf.c, fs/binfmt_script.c. Everything that can
fail happens in a new address space, so unlike Linux an execve of ours never kills the program that called it.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.architecture import PAGE_SIZE, Architecture
from aionoah.abi.auxv import AUX
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.personality import PER, PER_CLEAR_ON_SETID
from aionoah.abi.resource import RLIMIT, STK_LIM
from aionoah.abi.time import USER_HZ
from aionoah.fs.file_capabilities import capabilities_of
from aionoah.memory.memory import Memory, Strings
from aionoah.process.elevation import Elevation, FileRights, elevate
from aionoah.process.elf import ExecError, Image, parse_elf, show_path
from aionoah.process.executable import Executable, find_executable
from aionoah.process.image import contents_of, load_image, page_down
from aionoah.process.layout import Layout
from aionoah.process.limits import Limits, memory_limit
from aionoah.process.processor import Processor
from aionoah.process.rseq import ALIGNMENT, FEATURE_SIZE
from aionoah.process.script import HEAD_SIZE, MAX_DEPTH, is_script, parse_script
from aionoah.process.stack import StackLayout, build_stack, check_arguments

if TYPE_CHECKING:
    from aionoah.fs.context import FsContext
    from aionoah.fs.path import Dentry
    from aionoah.hypervisor.protocols import Machine
    from aionoah.process.credentials import Credentials

_STACK_ROOM: Final = 128 * 1024  # mapped below the arguments at once; the rest grows


class Program(NamedTuple):
    """What to run: the arguments of execve and who asks."""

    machine: "Machine"
    architecture: Architecture
    fs: "FsContext"
    executable: Executable
    argv: Sequence[bytes]
    envp: Sequence[bytes]
    execfn: bytes  # the path as given, for AT_EXECFN
    credentials: "Credentials"  # changed to what the new program has
    limits: Limits  # of the process; the new memory goes on asking them
    processor: Processor = Processor()
    personality: int = 0
    # Whether another process could change the working directory (CLONE_FS).
    is_shared: Callable[[], bool] = lambda: False

    @property
    def stack_limit(self) -> int:
        """RLIMIT_STACK in bytes."""
        return self.limits.soft(RLIMIT.STACK)


class Loaded(NamedTuple):
    """A program in memory, ready for its first instruction."""

    memory: Memory
    entry: int
    stack_pointer: int
    executable: "Dentry"
    credentials: "Credentials"
    name: bytes  # comm
    command_line: bytes
    environment: bytes
    stack: StackLayout
    is_secure: bool  # AT_SECURE
    is_readable: bool  # by who has started it: nobody may learn from memory what the file does not tell
    personality: int


class _Files(NamedTuple):
    """The program at the end of a chain of scripts, with its final arguments, and its dynamic loader."""

    executable: Executable
    image: Image
    argv: Sequence[bytes]
    interpreter: Executable | None = None
    interpreter_image: Image | None = None


class _Places(NamedTuple):
    """Where the parts of a program have been put."""

    bias: int
    entry: int
    interpreter_base: int
    vdso: int | None


def load_program(program: Program) -> Loaded:
    """Lay the program out in an address space of its own.

    Raises ExecError with a sentence for what is wrong with a file, LinuxError(E2BIG) for too many
    arguments, and ENOMEM; then nothing has changed but `program.credentials`. `program.executable` stays
    the caller's.
    """
    argv = list(program.argv) or [b""]
    check_arguments(program.execfn, argv, program.envp, program.stack_limit)
    with ExitStack() as opened:
        files = _find_interpreter(program, _resolve(program, argv, opened), opened)
        check_arguments(program.execfn, files.argv, program.envp, program.stack_limit)
        is_readable = all(
            file.may_be_read(program.fs) for file in (files.executable, files.interpreter) if file
        )
        is_secure, resets_personality = _take_credentials(program, files.executable)
        stack_limit = min(program.stack_limit, STK_LIM) if is_secure else program.stack_limit
        if resets_personality:
            program = program._replace(personality=program.personality & ~PER_CLEAR_ON_SETID)
        is_random = not program.personality & PER.ADDR_NO_RANDOMIZE
        layout = Layout(program.architecture, stack_limit, is_random=is_random)
        return _load(program, files, layout, is_secure=is_secure, is_readable=is_readable)


def _load(program: Program, files: _Files, layout: Layout, *, is_secure: bool, is_readable: bool) -> Loaded:
    try:
        limit = memory_limit(program.limits, program.credentials)
        memory = Memory(program.machine, mmap_base=layout.mmap_base(), limit=limit)
    except MemoryError:
        raise LinuxError(Errno.ENOMEM) from None
    with ExitStack() as failure:
        failure.callback(memory.close)
        _reserve_vcpu(memory)
        places = _place(program, memory, files, layout)
        stack = _make_stack(program, memory, files, places, layout, is_secure=is_secure)
        failure.pop_all()
    return Loaded(
        memory=memory,
        entry=places.entry,
        stack_pointer=stack.pointer,
        executable=files.executable.dentry,
        credentials=program.credentials,
        name=program.executable.name,
        command_line=_joined(files.argv),
        environment=_joined(program.envp),
        stack=stack,
        is_secure=is_secure,
        is_readable=is_readable,
        personality=program.personality,
    )


def _reserve_vcpu(memory: Memory) -> None:
    """What the task takes once nothing may fail any more. ENOMEM."""
    try:
        memory.space.reserve_vcpus(1)
    except MemoryError:
        raise LinuxError(Errno.ENOMEM) from None


def _joined(strings: Sequence[bytes]) -> bytes:
    return b"".join(text + b"\0" for text in strings)


# -- files --------------------------------------------------------------------------------------------


def _resolve(program: Program, argv: list[bytes], opened: ExitStack) -> _Files:
    """Follow scripts to a program that is no script, with the arguments it gets."""
    executable, path = program.executable, program.execfn
    for _ in range(MAX_DEPTH + 1):
        head = executable.read(0, HEAD_SIZE)
        if not is_script(head):
            return _Files(executable, _parse(program, executable), argv)
        try:
            interpreter = parse_script(head)
        except LinuxError as error:
            raise ExecError(error.errno, f"{show_path(path)} has a malformed #! line") from None
        argument = [] if interpreter.argument is None else [interpreter.argument]
        argv = [interpreter.path, *argument, path, *argv[1:]]
        executable = opened.enter_context(_open_named(program, path, interpreter.path))
        path = interpreter.path
    raise ExecError(Errno.ELOOP, f"{show_path(program.execfn)} needs scripts to run scripts, too many times")


def _parse(program: Program, executable: Executable) -> Image:
    name = program.architecture.name
    return parse_elf(executable.read, executable.attributes.size, path=executable.path, machine=name)


def _find_interpreter(program: Program, files: _Files, opened: ExitStack) -> _Files:
    """Add the dynamic loader that the program names, if any. ELIBBAD if that is no program itself."""
    wanted, path = files.image.interpreter, files.executable.path
    if wanted is None:
        return files
    executable = opened.enter_context(_open_named(program, path, wanted))
    try:
        image = _parse(program, executable)
    except ExecError as error:
        errno = Errno.ELIBBAD if error.errno is Errno.ENOEXEC else error.errno
        raise ExecError(errno, f"{show_path(path)} cannot use its interpreter: {error.reason}") from None
    return files._replace(interpreter=executable, interpreter_image=image)


def _open_named(program: Program, path: bytes, interpreter: bytes) -> Executable:
    """Open what the file at `path` names as its interpreter; both are in the sentence if that fails."""
    try:
        return find_executable(program.fs, interpreter)
    except ExecError as error:
        needs = f"{show_path(path)} needs the interpreter {show_path(interpreter)}, which"
        what = error.reason.removeprefix(show_path(interpreter)).strip()
        where = " in this root" if error.errno is Errno.ENOENT else ""
        raise ExecError(error.errno, f"{needs} {what}{where}") from None


def _take_credentials(program: Program, executable: Executable) -> Elevation:
    """Set-user-ID and all that, by the file that is really run: bits of a script mean nothing, nor do those of a file in
    another mount name space (mnt_may_suid).
    """
    rights, mount = FileRights(), executable.dentry.mount
    is_own = mount.namespace is program.fs.root.mount.namespace
    if is_own and b"nosuid" not in mount.options.split(b","):
        found = executable.attributes
        rights = FileRights(found.mode, found.uid, found.gid, capabilities_of(executable.dentry.inode))
    return elevate(program.credentials, rights, program.is_shared)


# -- memory -------------------------------------------------------------------------------------------


def _place(program: Program, memory: Memory, files: _Files, layout: Layout) -> _Places:
    """Map the program, its dynamic loader and the vDSO, and set brk behind the program."""
    image, map_vdso = files.image, program.processor.map_vdso
    try:
        bias = load_image(memory, image, files.executable.file, layout.image_start(image))
        memory.contents = contents_of(image, bias)
        memory.set_brk(layout.brk_start(image, bias), image_data_length=image.data_length)
        entry, base = image.entry + bias, 0
        if files.interpreter is not None and files.interpreter_image is not None:
            base = load_image(memory, files.interpreter_image, files.interpreter.file, None)
            entry = files.interpreter_image.entry + base
        return _Places(bias, entry, base, map_vdso(memory) if map_vdso is not None else None)
    except LinuxError as error:
        path = show_path(files.executable.path)
        raise ExecError(error.errno, f"{path} cannot be put into memory ({error.errno.name})") from None


def _make_stack(
    program: Program, memory: Memory, files: _Files, places: _Places, layout: Layout, *, is_secure: bool
) -> StackLayout:
    """Map what the arguments need and some room below, as far as the limit allows, and write them."""
    top = layout.stack_top(memory.space.end)
    stack = build_stack(
        top,
        files.argv,
        program.envp,
        program.execfn,
        _auxiliary_vector(program, files.image, places, is_secure=is_secure),
        platform=program.architecture.platform,
        random_bytes=os.urandom(16),
        gap=layout.stack_gap(),
    )
    used = top - page_down(stack.pointer)
    size = max(min(used + _STACK_ROOM, page_down(program.stack_limit)), used)
    memory.setup_stack(top, size, is_executable=files.image.is_stack_executable)
    memory.write(stack.pointer, stack.data)
    memory.initial_stack_pointer = stack.pointer
    memory.strings = Strings(
        stack.argument_start, stack.argument_end, stack.environment_start, stack.environment_end
    )
    return stack


def _auxiliary_vector(
    program: Program, image: Image, places: _Places, *, is_secure: bool
) -> list[tuple[int, int]]:
    """The entries in Linux's order; the stack fills in what points into itself."""
    who, processor = program.credentials, program.processor
    names = who.user_namespace
    entries: list[tuple[int, int | None]] = [
        (AUX.SYSINFO_EHDR, places.vdso),
        (AUX.MINSIGSTKSZ, processor.minimum_signal_stack),
        (AUX.HWCAP, processor.hwcap),
        (AUX.PAGESZ, PAGE_SIZE),
        (AUX.CLKTCK, USER_HZ),
        (AUX.PHDR, image.headers_address + places.bias),
        (AUX.PHENT, image.header_size),
        (AUX.PHNUM, image.header_count),
        (AUX.BASE, places.interpreter_base),
        (AUX.FLAGS, 0),
        (AUX.ENTRY, image.entry + places.bias),
        (AUX.UID, names.uids.shown(who.uid)),
        (AUX.EUID, names.uids.shown(who.euid)),
        (AUX.GID, names.gids.shown(who.gid)),
        (AUX.EGID, names.gids.shown(who.egid)),
        (AUX.SECURE, int(is_secure)),
        (AUX.RANDOM, 0),
        (AUX.HWCAP2, processor.hwcap2),
        (AUX.EXECFN, 0),
        (AUX.PLATFORM, 0),
        (AUX.RSEQ_FEATURE_SIZE, FEATURE_SIZE),
        (AUX.RSEQ_ALIGN, ALIGNMENT),
    ]
    return [(kind, value) for kind, value in entries if value is not None]
