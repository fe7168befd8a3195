"""Loading real programs: the memory at the first instruction is what Linux makes it, byte for place."""

import gc
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import pytest
from fakes.machine import FakeMachine, FakeSpace

from aionoah.abi.aarch64 import AARCH64
from aionoah.abi.architecture import Architecture
from aionoah.abi.auxv import AUX
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import O
from aionoah.abi.personality import PER
from aionoah.abi.resource import RLIM_INFINITY, RLIMIT
from aionoah.abi.x86_64 import X86_64
from aionoah.fs.context import FsContext
from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.mount_namespace import MountNamespace
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.memory.buffer import KernelBuffer
from aionoah.memory.memory import Memory
from aionoah.process.credentials import Credentials
from aionoah.process.elf import ExecError, parse_elf
from aionoah.process.exec import Loaded, Program, load_program
from aionoah.process.executable import find_executable
from aionoah.process.limits import Limit, Limits
from aionoah.process.processor import Processor

ORACLE: Final = os.uname().sysname == "Linux" and os.uname().machine == "x86_64" and shutil.which("setarch")
needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
needs_oracle = pytest.mark.skipif(
    not ORACLE or shutil.which("cc") is None, reason="needs Linux and a C compiler"
)

# A program without any library that shows its memory map before anything has changed it. `big` makes a bss
# that needs pages of its own, `data` is not zero.
DUMP = r"""
static long call(long n, long a, long b, long c) {
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return r;
}
static char buffer[65536];
int data[1000] = {1};
char big[100000];
void _start(void) {
    long fd = call(2, (long)"/proc/self/maps", 0, 0), n;
    while ((n = call(0, fd, (long)buffer, sizeof buffer)) > 0) call(1, 1, (long)buffer, n);
    call(231, big[data[0]], 0, 0);
}
"""
_BARE: Final = ("-O1", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-fcf-protection=none")


class Area(NamedTuple):
    start: int
    end: int
    prot: int
    offset: int
    inode: int


class World:
    """A file tree, the host's unless said otherwise, and programs loaded from it."""

    def __init__(self, machine: FakeMachine, root: bytes = b"/") -> None:
        self.machine = machine
        self.namespace = MountNamespace.of(HostFileSystem(root))
        self.credentials = Credentials()
        self.limits = Limits()
        self.fs = FsContext(self.namespace.root, self.credentials)
        self.architecture: Architecture = X86_64
        self.processor = Processor()
        self.loaded: list[Loaded] = []

    def load(
        self,
        path: Path | bytes,
        *argv: bytes,
        envp: tuple[bytes, ...] = (),
        personality: int = 0,
        empty_argv: bool = False,
    ) -> Loaded:
        name = bytes(path)
        with find_executable(self.fs, name) as executable:
            loaded = load_program(
                Program(
                    machine=cast("Any", self.machine),
                    architecture=self.architecture,
                    fs=self.fs,
                    executable=executable,
                    argv=[] if empty_argv else [name, *argv],
                    envp=envp,
                    execfn=name,
                    credentials=self.credentials,
                    limits=self.limits,
                    processor=self.processor,
                    personality=personality,
                )
            )
        self.loaded.append(loaded)
        return loaded

    def refusal(self, path: Path | bytes, *argv: bytes) -> tuple[Errno, str]:
        with pytest.raises(ExecError) as caught:
            self.load(path, *argv)
        return caught.value.errno, caught.value.reason

    def close(self) -> None:
        for loaded in self.loaded:
            loaded.memory.close()
        self.loaded.clear()
        self.namespace.release()


@pytest.fixture
def world(machine: FakeMachine) -> Iterator[World]:
    """Programs are unloaded at the end, and `machine` sees to it that no frame is left."""
    made = World(machine)
    yield made
    made.close()


def areas(loaded: Loaded) -> list[Area]:
    return [Area(*line[:3], line.offset, line.inode) for line in loaded.memory.maps()]


def auxiliary(loaded: Loaded) -> dict[int, int]:
    words = struct.unpack(f"<{len(loaded.stack.auxiliary_vector) // 8}Q", loaded.stack.auxiliary_vector)
    return dict(zip(words[::2], words[1::2], strict=True))


def compiled(directory: Path, name: str, source: str, *options: str) -> Path:
    path = directory / name
    path.with_suffix(".c").write_text(source)
    subprocess.run(["cc", *options, "-o", path, path.with_suffix(".c")], check=True)
    return path


# -- compared with the kernel -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same program linked in every way there is."""
    top = tmp_path_factory.mktemp("programs")
    loader = compiled(top, "loader", DUMP, *_BARE, "-static-pie", "-fPIE")
    dynamic = f"-Wl,--dynamic-linker={loader}"
    return {
        "static": compiled(top, "static", DUMP, *_BARE, "-static", "-no-pie"),
        "static-pie": loader,
        "dynamic": compiled(top, "dynamic", "int main(void) { return 0; }", "-pie", "-fPIE", dynamic),
        "no-pie": compiled(top, "no-pie", "int x[5000]; int main(void) { return 0; }", "-no-pie", dynamic),
        "execstack": compiled(top, "execstack", DUMP, *_BARE, "-static", "-no-pie", "-z", "execstack"),
        "aligned": compiled(
            top, "aligned", DUMP, *_BARE, "-static-pie", "-fPIE", "-z", "max-page-size=0x200000"
        ),
    }


def native_areas(path: Path) -> list[Area]:
    """What the program itself sees at its start, without the pages that only Linux itself has."""
    out = subprocess.run(["setarch", "-R", path], capture_output=True, check=False, env={}).stdout
    found = []
    for line in out.decode().splitlines():
        span, rights, offset, _, inode, *name = line.split()
        if name and name[0] in ("[vvar]", "[vvar_vclock]", "[vdso]", "[vsyscall]"):
            continue
        prot = (rights[0] == "r") | (rights[1] == "w") << 1 | (rights[2] == "x") << 2
        start, end = (int(word, 16) for word in span.split("-"))
        found.append(Area(start, end, prot, int(offset, 16), int(inode)))
    return found


@needs_oracle
@pytest.mark.parametrize("kind", ["static", "static-pie", "dynamic", "no-pie", "execstack"])
def test_memory_is_laid_out_as_the_kernel_does_it(world: World, programs: dict[str, Path], kind: str) -> None:
    ours = world.load(programs[kind], personality=PER.ADDR_NO_RANDOMIZE)
    assert areas(ours) == native_areas(programs[kind])


@needs_oracle
def test_wide_alignment_is_honoured(world: World, programs: dict[str, Path]) -> None:
    for loaded in (world.load(programs["aligned"]), world.load(programs["aligned"])):
        assert areas(loaded)[0].start % 0x200000 == 0


@needs_oracle
def test_every_byte_comes_from_the_file_or_is_zero(world: World, programs: dict[str, Path]) -> None:
    for kind in ("static", "static-pie"):
        data = programs[kind].read_bytes()
        image = parse_elf(lambda offset, length, data=data: data[offset : offset + length], len(data))
        loaded = world.load(programs[kind])
        bias = loaded.entry - image.entry
        for segment in image.segments:
            contents = loaded.memory.read(segment.address + bias, segment.memory_size)
            rest = segment.memory_size - segment.file_size
            assert contents == data[segment.offset : segment.offset + segment.file_size] + bytes(rest)


# -- places -------------------------------------------------------------------------------------------------


@needs_oracle
def test_heaps_of_static_position_independent_programs_are_far_from_mappings(
    world: World, programs: dict[str, Path]
) -> None:
    """As seen with `setarch -R`: ELF_ET_DYN_BASE, rounded up to a page."""
    loaded = world.load(programs["static-pie"], personality=PER.ADDR_NO_RANDOMIZE)
    assert loaded.memory.heap == (0x5555_5555_5000, 0x5555_5555_5000)


@needs_oracle
def test_heaps_of_others_are_behind_the_program(world: World, programs: dict[str, Path]) -> None:
    for kind in ("static", "dynamic"):
        loaded = world.load(programs[kind], personality=PER.ADDR_NO_RANDOMIZE)
        image = [area for area in areas(loaded) if area.start < 0x7000_0000_0000]
        assert loaded.memory.heap[0] == image[-1].end


@needs_oracle
def test_randomization(world: World, programs: dict[str, Path]) -> None:
    fixed = {areas(world.load(programs["dynamic"], personality=PER.ADDR_NO_RANDOMIZE))[0] for _ in range(3)}
    assert len(fixed) == 1
    random = [world.load(programs["dynamic"]) for _ in range(3)]
    assert len({areas(loaded)[0].start for loaded in random}) == 3
    assert len({loaded.entry for loaded in random}) == 3
    assert len({loaded.memory.stack_start for loaded in random}) == 3
    for loaded in random:
        assert areas(loaded)[0].start >> 40 == 0x55 or areas(loaded)[0].start >> 40 == 0x56
        assert 0 <= loaded.memory.heap[0] - areas(loaded)[3].end < 1 << 31
        assert loaded.stack_pointer % 16 == 0


# -- what the program is told -----------------------------------------------------------------------------------


@needs_oracle
def test_auxiliary_vector(world: World, programs: dict[str, Path]) -> None:
    world.processor = Processor(hwcap=0x178B_FBFF, hwcap2=2, minimum_signal_stack=3376)
    world.credentials = Credentials(1000, 1001)
    loaded = world.load(programs["dynamic"], envp=(b"A=1",))
    values, start = auxiliary(loaded), areas(loaded)[0].start
    assert (values[AUX.HWCAP], values[AUX.HWCAP2]) == (0x178B_FBFF, 2)
    assert values[AUX.MINSIGSTKSZ] == 3376
    assert (values[AUX.UID], values[AUX.EUID], values[AUX.GID], values[AUX.EGID]) == (1000, 1000, 1001, 1001)
    assert (values[AUX.PAGESZ], values[AUX.CLKTCK], values[AUX.FLAGS], values[AUX.SECURE]) == (
        4096,
        100,
        0,
        0,
    )
    assert (values[AUX.PHDR], values[AUX.PHENT]) == (start + 64, 56)
    headers = loaded.memory.read(values[AUX.PHDR], 56 * values[AUX.PHNUM])
    assert headers == programs["dynamic"].read_bytes()[64 : 64 + len(headers)]
    assert values[AUX.BASE] == min(a.start for a in areas(loaded) if a.start >> 40 >= 0x7E)
    assert values[AUX.BASE] < loaded.entry
    assert start < values[AUX.ENTRY] < values[AUX.BASE]
    assert loaded.memory.read_cstring(values[AUX.EXECFN]) == bytes(programs["dynamic"])
    assert loaded.memory.read_cstring(values[AUX.PLATFORM]) == b"x86_64"
    assert AUX.SYSINFO_EHDR not in values


@needs_oracle
def test_the_order_is_the_kernels(world: World, programs: dict[str, Path], tmp_path: Path) -> None:
    out = subprocess.run(["env", "-i", "/bin/cat", "/proc/self/auxv"], capture_output=True, check=True).stdout
    native = list(struct.unpack(f"<{len(out) // 8}Q", out)[::2])
    world.processor = Processor(minimum_signal_stack=1, map_vdso=lambda memory: 0x7777_0000_0000)
    ours = list(auxiliary(world.load(programs["static"])))
    assert ours == [kind for kind in native if kind in ours]
    assert set(native) - set(ours) <= {AUX.RSEQ_FEATURE_SIZE, AUX.RSEQ_ALIGN, AUX.HWCAP3, AUX.HWCAP4}


@needs_oracle
def test_vdso(world: World, programs: dict[str, Path]) -> None:
    seen: list[Memory] = []

    def map_vdso(memory: Memory) -> int:
        seen.append(memory)
        return 0x7777_0000_0000

    world.processor = Processor(map_vdso=map_vdso)
    loaded = world.load(programs["static"])
    assert seen == [loaded.memory]
    assert auxiliary(loaded)[AUX.SYSINFO_EHDR] == 0x7777_0000_0000


@needs_oracle
def test_arguments_and_environment(world: World, programs: dict[str, Path]) -> None:
    name = bytes(programs["static"])
    loaded = world.load(programs["static"], b"x", b"", envp=(b"A=1", b"B=2"))
    assert loaded.command_line == name + b"\0x\0\0"
    assert loaded.environment == b"A=1\0B=2\0"
    assert loaded.name == b"static"
    assert loaded.memory.read_word(loaded.stack_pointer) == 3
    assert loaded.memory.read(loaded.stack.argument_start, len(loaded.command_line)) == loaded.command_line
    assert world.load(programs["static"], empty_argv=True).command_line == b"\0"


@needs_oracle
def test_large_arguments_have_room(world: World, programs: dict[str, Path]) -> None:
    loaded = world.load(programs["static"], b"a" * 100_000, envp=(b"E=" + b"b" * 120_000,))
    stack = areas(loaded)[-1]
    assert stack.start + 128 * 1024 <= loaded.stack_pointer < stack.end
    assert loaded.memory.read(stack.end - 8, 8) == bytes(8)


@needs_oracle
def test_the_stack_is_no_larger_than_its_limit(world: World, programs: dict[str, Path]) -> None:
    world.limits.set(RLIMIT.STACK, Limit(65536, RLIM_INFINITY), Credentials())
    stack = areas(world.load(programs["static"]))[-1]
    assert stack.end - stack.start == 65536
    world.limits.set(RLIMIT.STACK, Limit(4096, RLIM_INFINITY), Credentials())
    loaded = world.load(programs["static"], b"a" * 3500)
    assert (
        areas(loaded)[-1].start == loaded.stack_pointer & -4096
    )  # what the pointers need is there all the same
    with pytest.raises(LinuxError, match="E2BIG"):
        world.load(programs["static"], b"a" * 10_000)


@needs_oracle
def test_too_many_arguments(world: World, programs: dict[str, Path]) -> None:
    with pytest.raises(LinuxError) as caught:
        world.load(programs["static"], *[b"a" * 1000] * 3000)
    assert caught.value.errno is Errno.E2BIG


# -- scripts ------------------------------------------------------------------------------------------------------


def script(path: Path, line: bytes, mode: int = 0o755) -> Path:
    path.write_bytes(line)
    path.chmod(mode)
    return path


@needs_oracle
def test_scripts(world: World, programs: dict[str, Path], tmp_path: Path) -> None:
    interpreter = bytes(programs["static"])
    inner = script(tmp_path / "inner", b"#!" + interpreter + b" one two \n")
    outer = script(tmp_path / "outer", b"#!" + bytes(inner) + b"\n")
    loaded = world.load(inner, b"x")
    assert loaded.command_line == interpreter + b"\0one two\0" + bytes(inner) + b"\0x\0"
    assert loaded.name == b"inner"
    assert loaded.memory.read_cstring(auxiliary(loaded)[AUX.EXECFN]) == bytes(inner)
    assert loaded.executable.name == b"static"
    nested = world.load(outer, b"x")
    expected = [interpreter, b"one two", bytes(inner), bytes(outer), b"x"]
    assert nested.command_line == b"".join(word + b"\0" for word in expected)


@needs_oracle
def test_scripts_of_scripts_end_somewhere(world: World, programs: dict[str, Path], tmp_path: Path) -> None:
    """As deep as the kernel goes, and not deeper."""
    previous, refused = programs["static"], 0
    for depth in range(1, 8):
        previous = script(tmp_path / f"s{depth}", b"#!" + bytes(previous) + b"\n")
        if errno_of_kernel(previous) == 0:
            assert world.load(previous).command_line.count(b"\0") == depth + 1
        else:
            assert errno_of_kernel(previous) == Errno.ELOOP
            assert world.refusal(previous)[0] is Errno.ELOOP
            refused += 1
    assert refused


def errno_of_kernel(path: Path) -> int:
    """0 if the kernel can execute a file."""
    try:
        subprocess.run([path], capture_output=True, check=True)
    except OSError as error:
        return error.errno or 0
    return 0


def test_scripts_that_cannot_run(world: World, tmp_path: Path) -> None:
    missing = script(tmp_path / "missing", b"#!/no/such/interpreter\n")
    assert world.refusal(missing) == (
        Errno.ENOENT,
        f"{missing} needs the interpreter /no/such/interpreter, which does not exist in this root",
    )
    directory = script(tmp_path / "directory", b"#!/\n")
    assert world.refusal(directory) == (
        Errno.EACCES,
        f"{directory} needs the interpreter /, which is a directory",
    )
    malformed = script(tmp_path / "malformed", b"#!\n")
    assert world.refusal(malformed) == (Errno.ENOEXEC, f"{malformed} has a malformed #! line")
    text = script(tmp_path / "text", b"echo hello\n")
    assert world.refusal(text) == (Errno.ENOEXEC, f"{text} is not an ELF program or script")


# -- interpreters ---------------------------------------------------------------------------------------------------


@needs_compiler
def test_interpreters_that_are_missing_or_wrong(world: World, tmp_path: Path) -> None:
    wrong = script(tmp_path / "wrong", b"\x7fELF but nothing else")
    short = script(tmp_path / "short", b"text")
    for name, linker, errno, words in (
        (
            "a",
            Path("/lib/ld-none.so.1"),
            Errno.ENOENT,
            "needs the interpreter /lib/ld-none.so.1, which does not exist",
        ),
        ("b", wrong, Errno.ELIBBAD, "cannot use its interpreter: "),
        ("c", short, Errno.ELIBBAD, "is not an ELF program or script"),
        ("d", script(tmp_path / "locked", b"", 0o644), Errno.EACCES, "which is not executable"),
    ):
        path = compiled(tmp_path, name, "int main(void) { return 0; }", f"-Wl,--dynamic-linker={linker}")
        found, sentence = world.refusal(path)
        assert found is errno
        assert sentence.startswith(f"{path} ")
        assert words in sentence


def test_other_machines(world: World) -> None:
    world.architecture = AARCH64
    if not Path("/bin/true").exists() or os.uname().machine != "x86_64":
        pytest.skip("needs a program of another machine")
    assert world.refusal(b"/bin/true") == (
        Errno.ENOEXEC,
        "/bin/true is an x86_64 program; this machine runs aarch64",
    )


# -- failure leaves nothing behind -----------------------------------------------------------------------------------


@needs_oracle
def test_running_out_of_frames(programs: dict[str, Path]) -> None:
    for limit in (1, 3, 10, 30):
        machine = FakeMachine(frame_limit=limit)
        world = World(machine)
        with pytest.raises(LinuxError) as caught:
            world.load(programs["dynamic"])
        assert caught.value.errno in (Errno.ENOMEM, Errno.EFAULT)
        world.close()
        machine.close()  # complains about what is left


def test_running_out_of_virtual_cpus(
    world: World, programs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that a program will need is there before the old program is lost."""

    def refuse(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(FakeSpace, "reserve_vcpus", refuse)
    with pytest.raises(LinuxError) as caught:
        world.load(programs["static"])
    assert caught.value.errno is Errno.ENOMEM
    assert not world.loaded


def test_files_are_given_back(world: World, tmp_path: Path) -> None:
    first, second = script(tmp_path / "s", b"#!/bin/sh/nothing\n"), script(tmp_path / "t", b"text")
    counts = []
    for _ in range(3):
        world.refusal(first)
        world.refusal(second)
        gc.collect()
        counts.append(len(os.listdir("/dev/fd")))
    assert len(set(counts)) == 1


# -- privileges --------------------------------------------------------------------------------------------------------


def with_program(machine: FakeMachine, data: bytes, mode: int) -> World:
    """A tree in memory with one program of root's, as hosts may not have it."""
    world = World(machine)
    world.namespace.release()
    world.namespace = MountNamespace.of(TmpFileSystem())
    root = world.namespace.root
    inode = root.inode.create(b"p", mode, 0, 0)
    file = inode.open(O(O.WRONLY), root.attach(b"p", inode))
    file.write_nowait(KernelBuffer(data))
    file.drop()
    world.fs = FsContext(root, world.credentials)
    return world


@needs_oracle
def test_set_user_id_programs(machine: FakeMachine, programs: dict[str, Path]) -> None:
    world = with_program(machine, programs["static"].read_bytes(), 0o104755)
    world.credentials = Credentials(1000, 1000)
    loaded = world.load(b"/p")
    assert loaded.is_secure
    assert loaded.credentials.euid == 0
    values = auxiliary(loaded)
    assert (values[AUX.SECURE], values[AUX.UID], values[AUX.EUID]) == (1, 1000, 0)
    world.close()


@needs_oracle
def test_memory_asks_the_limits_that_hold_later(world: World, programs: dict[str, Path]) -> None:
    loaded = world.load(programs["static"])
    world.limits.set(RLIMIT.AS, Limit(0, 0), Credentials())
    with pytest.raises(LinuxError, match="ENOMEM"):
        loaded.memory.mmap(0, 4096, 3, 0x22)
