"""execve as far as it concerns files and memory: find the program, check it, lay out a new address space.

Sources: execve(2), vdso(7), getauxval(3); Linux fs/exec.c, fs/binfmt_elf.c, fs/binfmt_script.c,
arch/x86/mm/mmap.c, arch/arm64/mm/mmap.c. Everything that can fail happens in a new address space, so
unlike Linux an execve of ours never kills the program that called it.
"""

import os
import secrets
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.architecture import PAGE_SIZE, Architecture
from aionoah.abi.auxv import AUX
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.mman import MAP, PROT
from aionoah.abi.personality import PER
from aionoah.abi.resource import RLIMIT
from aionoah.process.elf import ExecError, Image, parse_elf, show_path
from aionoah.process.executable import Executable, find_executable
from aionoah.process.image import ProgramMemory, load_image, page_down, page_up
from aionoah.process.limits import Limits
from aionoah.process.script import HEAD_SIZE, MAX_DEPTH, is_script, parse_script
from aionoah.process.stack import StackLayout, build_stack, check_arguments

if TYPE_CHECKING:
    from aionoah.fs.context import FsContext
    from aionoah.fs.path import Dentry
    from aionoah.process.credentials import Credentials

_MMAP_RANDOM_BITS: Final = {"x86_64": 28, "aarch64": 18}  # CONFIG_ARCH_MMAP_RND_BITS, in pages
_STACK_RANDOM_BITS: Final = {"x86_64": 22, "aarch64": 18}  # STACK_RND_MASK, in pages
_BRK_RANDOM_RANGE: Final = 1 << 30  # arch_randomize_brk of 64-bit programs
_STACK_GAP_RANGE: Final = 8192  # arch_align_stack
_STACK_ROOM: Final = 128 * 1024  # mapped below the arguments at once; the rest grows
_CLOCK_TICKS: Final = 100  # USER_HZ
_SECURE_STACK_LIMIT: Final = 8 << 20  # _STK_LIM


class Processor(NamedTuple):
    """What the auxiliary vector says of the CPU and of the kernel's code in the program's memory."""

    hwcap: int  # x86_64: CPUID(1).edx; aarch64: HWCAP_* bits
    hwcap2: int = 0
    minimum_signal_stack: int | None = None  # bytes of the largest signal frame; None leaves it out
    vdso: int | None = None  # address of its ELF header


class Program(NamedTuple):
    """What to run: the arguments of execve and who asks."""

    fs: "FsContext"
    executable: Executable
    argv: Sequence[bytes]
    envp: Sequence[bytes]
    execfn: bytes  # the path as given, for AT_EXECFN
    architecture: Architecture
    credentials: "Credentials"  # those of the new program: changed in place
    limits: Limits
    processor: Processor
    personality: int = 0

    @property
    def is_random(self) -> bool:
        return not self.personality & PER.ADDR_NO_RANDOMIZE


class Loaded(NamedTuple):
    """A program in memory, ready for its first instruction."""

    memory: ProgramMemory
    entry: int
    stack_pointer: int
    executable: "Dentry"
    name: bytes  # comm
    command_line: bytes
    environment: bytes
    stack: StackLayout
    is_secure: bool  # AT_SECURE
    personality: int


class _Resolved(NamedTuple):
    """The program at the end of a chain of scripts."""

    executable: Executable
    argv: Sequence[bytes]
    image: Image


class _Places(NamedTuple):
    """Where the parts of a program have been put."""

    image: Image
    bias: int
    entry: int
    interpreter_base: int


def load_program(program: Program, memory: ProgramMemory) -> Loaded:
    """Lay the program out in an empty address space.

    Raises ExecError with a sentence for what is wrong with a file, LinuxError(E2BIG) for too many
    arguments, and what mmap raises. `program.executable` stays the caller's; `memory` is to be closed by the
    caller on failure. On success `program.credentials` and, for a set-user-ID program, `program.limits`
    are the new program's.
    """
    argv = list(program.argv) or [b""]
    stack_limit = program.limits.soft(RLIMIT.STACK)
    check_arguments(program.execfn, argv, program.envp, stack_limit)
    with ExitStack() as opened:
        resolved = _resolve(program, argv, opened)
        interpreter = _find_interpreter(program, resolved, opened)
        check_arguments(program.execfn, resolved.argv, program.envp, stack_limit)
        is_secure = _take_credentials(program, resolved.executable)
        top = _stack_top(program, memory)
        memory.set_mmap_base(_mmap_base(program, memory))
        places = _place(program, memory, resolved, interpreter)
        stack = _build_stack(program, resolved.argv, places, top, is_secure=is_secure)
        _map_stack(program, memory, stack, top, executable=resolved.image.is_stack_executable)
        executable = resolved.executable.dentry
    return Loaded(
        memory=memory,
        entry=places.entry,
        stack_pointer=stack.pointer,
        executable=executable,
        name=program.executable.name,
        command_line=b"".join(text + b"\0" for text in resolved.argv),
        environment=b"".join(text + b"\0" for text in program.envp),
        stack=stack,
        is_secure=is_secure,
        personality=program.personality,
    )


# -- files --------------------------------------------------------------------------------------------


def _resolve(program: Program, argv: list[bytes], opened: ExitStack) -> _Resolved:
    """Follow scripts to a program that is no script, with the arguments it gets."""
    executable, path = program.executable, program.execfn
    for _ in range(MAX_DEPTH + 1):
        head = executable.read(0, HEAD_SIZE)
        if not is_script(head):
            return _Resolved(executable, argv, _parse(program, executable))
        try:
            interpreter = parse_script(head)
        except LinuxError as error:
            raise ExecError(error.errno, f"{show_path(path)} has a malformed #! line") from None
        argument = [] if interpreter.argument is None else [interpreter.argument]
        argv = [interpreter.path, *argument, path, *argv[1:]]
        executable = opened.enter_context(_open_named(program, path, interpreter.path))
        path = interpreter.path
    raise ExecError(
        Errno.ELOOP, f"{show_path(program.execfn)} is a script of a script of a script, too many times"
    )


def _parse(program: Program, executable: Executable) -> Image:
    name = program.architecture.name
    return parse_elf(executable.read, executable.attributes.size, path=executable.path, machine=name)


def _find_interpreter(
    program: Program, resolved: _Resolved, opened: ExitStack
) -> tuple[Executable, Image] | None:
    """The dynamic loader that the program names. ELIBBAD if that is no program itself."""
    wanted = resolved.image.interpreter
    if wanted is None:
        return None
    executable = opened.enter_context(_open_named(program, resolved.executable.path, wanted))
    try:
        return executable, _parse(program, executable)
    except ExecError as error:
        errno = Errno.ELIBBAD if error.errno is Errno.ENOEXEC else error.errno
        reason = f"{show_path(resolved.executable.path)} cannot use its interpreter: {error.reason}"
        raise ExecError(errno, reason) from None


def _open_named(program: Program, path: bytes, interpreter: bytes) -> Executable:
    """Open what the file at `path` names as its interpreter; both are in the sentence if that fails."""
    try:
        return find_executable(program.fs, interpreter)
    except ExecError as error:
        needs = f"{show_path(path)} needs the interpreter {show_path(interpreter)}, which"
        what = error.reason.removeprefix(show_path(interpreter)).strip()
        where = " in this root" if error.errno is Errno.ENOENT else ""
        raise ExecError(error.errno, f"{needs} {what}{where}") from None


def _take_credentials(program: Program, executable: Executable) -> bool:
    """Set-user-ID and all that, by the file that is really run; whether the program must be careful."""
    attributes = executable.attributes
    options = executable.dentry.mount.options.split(b",")
    is_secure = program.credentials.for_program(
        attributes.mode, attributes.uid, attributes.gid, honour_set_id=b"nosuid" not in options
    )
    if is_secure:
        program.limits.limit_stack(_SECURE_STACK_LIMIT)
    return is_secure


# -- places -------------------------------------------------------------------------------------------


def _random_pages(program: Program, bits: int) -> int:
    """A random number of pages below 2**bits, in bytes; 0 without randomization."""
    return secrets.randbits(bits) * PAGE_SIZE if program.is_random else 0


def _stack_top(program: Program, memory: ProgramMemory) -> int:
    highest = min(program.architecture.stack_top, page_down(memory.end))
    return highest - _random_pages(program, _STACK_RANDOM_BITS[program.architecture.name])


def _mmap_base(program: Program, memory: ProgramMemory) -> int:
    """Below the room for the stack, wherever randomization has put that."""
    name = program.architecture.name
    stack_room = program.limits.soft(RLIMIT.STACK)
    if program.is_random:
        stack_room += PAGE_SIZE << _STACK_RANDOM_BITS[name]
    base = program.architecture.mmap_base(stack_room) - _random_pages(program, _MMAP_RANDOM_BITS[name])
    return min(base, page_down(memory.end))


def _place(
    program: Program, memory: ProgramMemory, resolved: _Resolved, interpreter: tuple[Executable, Image] | None
) -> _Places:
    """Map the program and its interpreter, and set brk behind the program."""
    image = resolved.image
    try:
        bias = load_image(memory, image, resolved.executable.file, _wanted_start(program, image))
        _place_brk(program, memory, image, bias)
        if interpreter is None:
            return _Places(image, bias, image.entry + bias, 0)
        executable, loader = interpreter
        base = load_image(memory, loader, executable.file, None)
        return _Places(image, bias, loader.entry + base, base)
    except LinuxError as error:
        path = show_path(resolved.executable.path)
        raise ExecError(error.errno, f"{path} does not fit into memory ({error.errno.name})") from None


def _wanted_start(program: Program, image: Image) -> int | None:
    """Where a position-independent program begins. One without an interpreter (a static program, or the
    dynamic loader run by hand) goes where mappings go, to be out of the way of the program it may load.
    """
    if image.interpreter is None or not image.is_position_independent:
        return None
    random = _random_pages(program, _MMAP_RANDOM_BITS[program.architecture.name])
    return (program.architecture.pie_base + random) & -image.alignment


def _place_brk(program: Program, memory: ProgramMemory, image: Image, bias: int) -> None:
    start = page_up(image.end + bias)
    if image.is_position_independent and image.interpreter is None:
        start = program.architecture.pie_base + PAGE_SIZE  # out of the way of mappings; Linux rounds up here
    if program.is_random:
        start += page_down(secrets.randbelow(_BRK_RANDOM_RANGE))
    memory.set_brk_start(start)


# -- stack --------------------------------------------------------------------------------------------


def _build_stack(
    program: Program, argv: Sequence[bytes], places: _Places, top: int, *, is_secure: bool
) -> StackLayout:
    return build_stack(
        top,
        argv,
        program.envp,
        program.execfn,
        _auxiliary_vector(program, places, is_secure=is_secure),
        platform=program.architecture.platform,
        random_bytes=os.urandom(16),
        gap=secrets.randbelow(_STACK_GAP_RANGE) if program.is_random else 0,
    )


def _auxiliary_vector(program: Program, places: _Places, *, is_secure: bool) -> list[tuple[int, int]]:
    """The entries in Linux's order; the stack fills in what points into itself."""
    image, who, processor = places.image, program.credentials, program.processor
    headers = image.headers_address + places.bias if image.headers_address else 0
    entries: list[tuple[int, int | None]] = [
        (AUX.SYSINFO_EHDR, processor.vdso),
        (AUX.MINSIGSTKSZ, processor.minimum_signal_stack),
        (AUX.HWCAP, processor.hwcap),
        (AUX.PAGESZ, PAGE_SIZE),
        (AUX.CLKTCK, _CLOCK_TICKS),
        (AUX.PHDR, headers),
        (AUX.PHENT, image.header_size),
        (AUX.PHNUM, image.header_count),
        (AUX.BASE, places.interpreter_base),
        (AUX.FLAGS, 0),
        (AUX.ENTRY, image.entry + places.bias),
        (AUX.UID, who.uid),
        (AUX.EUID, who.euid),
        (AUX.GID, who.gid),
        (AUX.EGID, who.egid),
        (AUX.SECURE, int(is_secure)),
        (AUX.RANDOM, 0),
        (AUX.HWCAP2, processor.hwcap2),
        (AUX.EXECFN, 0),
        (AUX.PLATFORM, 0),
    ]
    return [(kind, value) for kind, value in entries if value is not None]


def _map_stack(
    program: Program, memory: ProgramMemory, stack: StackLayout, top: int, *, executable: bool
) -> None:
    """Map what the arguments need and some room below, as far as the limit allows, and write them."""
    used = top - page_down(stack.pointer)
    limit = page_down(program.limits.soft(RLIMIT.STACK))
    length = max(min(used + _STACK_ROOM, limit), used)
    prot = PROT.READ | PROT.WRITE | (PROT.EXEC if executable else 0)
    flags = MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED_NOREPLACE | MAP.GROWSDOWN | MAP.STACK
    memory.mmap(top - length, length, prot, flags)
    memory.write(stack.pointer, stack.data)
