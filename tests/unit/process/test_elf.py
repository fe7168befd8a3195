"""parse_elf on real programs, on headers broken one field at a time, and on whatever hypothesis finds."""

import os
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given, settings
from hypothesis import strategies as st

from aionoah.abi.errno import Errno, LinuxError
from aionoah.process.elf import ExecError, Image, parse_elf, show_path

PAGE = 4096
PT_LOAD, PT_INTERP, PT_GNU_STACK = 1, 3, 0x6474E551
R, W, X = 4, 2, 1


def header(**fields: int) -> bytes:
    """An ELF header of a static x86_64 program, with some fields as given."""
    f = {
        "cls": 2,
        "data": 1,
        "type": 2,
        "machine": 62,
        "entry": 0x401000,
        "phoff": 64,
        "phentsize": 56,
        "phnum": 1,
    } | fields
    ident = b"\x7fELF" + bytes([f["cls"], f["data"], 1, 0]) + bytes(8)
    tail = (
        f["type"],
        f["machine"],
        1,
        f["entry"],
        f["phoff"],
        0,
        0,
        64,
        f["phentsize"],
        f["phnum"],
        64,
        0,
        0,
    )
    return ident + struct.pack("<HHIQQQIHHHHHH", *tail)


def program_header(
    kind: int = PT_LOAD,
    flags: int = R | X,
    offset: int = 0,
    address: int = 0x400000,
    file_size: int = 0x1000,
    memory_size: int = 0x1000,
    align: int = PAGE,
) -> bytes:
    return struct.pack("<IIQQQQQQ", kind, flags, offset, address, address, file_size, memory_size, align)


def build(*program_headers: bytes, **fields: int) -> bytes:
    """A file of two pages with these program headers."""
    fields.setdefault("phnum", len(program_headers))
    return (header(**fields) + b"".join(program_headers)).ljust(2 * PAGE, b"\xcc")


def parse(data: bytes, machine: str | None = "x86_64") -> Image:
    return parse_elf(
        lambda offset, length: data[offset : offset + length],
        len(data),
        path=b"/p",
        machine=machine,
    )


def refusal(data: bytes, machine: str | None = "x86_64") -> tuple[Errno, str]:
    with pytest.raises(ExecError) as caught:
        parse(data, machine)
    assert caught.value.reason.startswith("/p ")
    return caught.value.errno, caught.value.reason


# -- real programs ----------------------------------------------------------------------------------------

REAL = [path for path in ("/bin/true", "/bin/busybox", "/bin/sh", "/usr/bin/python3") if Path(path).exists()]


@pytest.mark.parametrize("path", REAL)
def test_real_programs_agree_with_an_independent_reader(path: str) -> None:
    data = Path(path).read_bytes()
    image = parse(data, None)
    with Path(path).open("rb") as file:
        theirs = ELFFile(file)
        loads = list(theirs.iter_segments("PT_LOAD"))
        assert [(s.address, s.memory_size, s.offset, s.file_size) for s in image.segments] == [
            (s["p_vaddr"], s["p_memsz"], s["p_offset"], s["p_filesz"]) for s in loads
        ]
        flags = [s.is_readable * R | s.is_writable * W | s.is_executable * X for s in image.segments]
        assert flags == [s["p_flags"] for s in loads]
        interpreters = [s.get_interp_name().encode() for s in theirs.iter_segments("PT_INTERP")]
        assert [image.interpreter] == (interpreters or [None])
        assert image.entry == theirs["e_entry"]
        assert image.header_count == theirs["e_phnum"]
        headers = [s["p_vaddr"] for s in theirs.iter_segments("PT_PHDR")]
        assert not headers or image.headers_address == headers[0]
        assert image.is_position_independent == (theirs["e_type"] == "ET_DYN")


def test_executable_stack_is_seen(tmp_path: Path) -> None:
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    source, plain, execstack = tmp_path / "p.c", tmp_path / "plain", tmp_path / "execstack"
    source.write_text("int main(void) { return 0; }\n")
    subprocess.run(["cc", "-o", plain, source], check=True)
    subprocess.run(["cc", "-z", "execstack", "-o", execstack, source], check=True)
    assert not parse(plain.read_bytes(), None).is_stack_executable
    assert parse(execstack.read_bytes(), None).is_stack_executable


# -- what is read from good headers -------------------------------------------------------------------------


def test_span_and_alignment_of_an_image() -> None:
    image = parse(
        build(
            program_header(address=0x401000, offset=0x1000, file_size=0x10, memory_size=0x10, align=0x200000),
            program_header(address=0x400000, file_size=0x1000, memory_size=0x1000, align=3),
            program_header(address=0x600800, offset=0x800, file_size=0x10, memory_size=0x5000, align=0),
        ),
    )
    assert (image.start, image.end) == (0x400000, 0x605800)
    assert image.alignment == 0x200000
    assert image.data_length == 0x5000


def test_headers_address_is_where_a_segment_has_them() -> None:
    assert parse(build(program_header(address=0x400000))).headers_address == 0x400040
    elsewhere = program_header(address=0x400000 + PAGE, offset=PAGE, file_size=8, memory_size=8)
    assert parse(build(elsewhere)).headers_address == 0


def test_interpreter_ends_at_its_first_nul() -> None:
    data = bytearray(build(program_header(), program_header(PT_INTERP, offset=0x800, file_size=12)))
    data[0x800:0x80C] = b"/lib/ld\0xyz\0"
    assert parse(bytes(data)).interpreter == b"/lib/ld"


def test_only_the_first_stack_header_counts() -> None:
    two = build(
        program_header(),
        program_header(PT_GNU_STACK, R | W),
        program_header(PT_GNU_STACK, R | W | X),
    )
    assert not parse(two).is_stack_executable


def test_the_other_machine() -> None:
    data = build(program_header(), machine=183)
    assert parse(data, "aarch64").machine == "aarch64"
    assert parse(data, None).machine == "aarch64"
    assert refusal(data) == (Errno.ENOEXEC, "/p is an aarch64 program; this machine runs x86_64")


# -- refusals: one broken field each -------------------------------------------------------------------------

BROKEN_HEADERS = {
    "32-bit": {"cls": 1},
    "big-endian": {"data": 2},
    "relocatable": {"type": 1},
    "core": {"type": 4},
    "no such type": {"type": 0xFE00},
    "riscv": {"machine": 243},
    "no such machine": {"machine": 0xFFFF},
    "no headers": {"phnum": 0},
    "too many headers": {"phnum": 1171},
    "most headers": {"phnum": 0xFFFF},
    "small header size": {"phentsize": 32},
    "large header size": {"phentsize": 57},
    "headers beyond the end": {"phoff": 2 * PAGE},
    "headers partly beyond the end": {"phoff": 2 * PAGE - 55},
    "headers at a negative offset": {"phoff": (1 << 64) - 56},
}


@pytest.mark.parametrize("fields", BROKEN_HEADERS.values(), ids=BROKEN_HEADERS)
def test_broken_headers_are_no_programs(fields: dict[str, int]) -> None:
    data = build(program_header(), **{"phnum": 1, **fields})
    assert refusal(data)[0] is Errno.ENOEXEC


def test_machines_are_named_in_the_sentence() -> None:
    assert "a riscv program" in refusal(build(program_header(), machine=243))[1]
    assert "machine 65535" in refusal(build(program_header(), machine=0xFFFF))[1]
    assert "runs x86_64 and aarch64" in refusal(build(program_header(), machine=243), None)[1]


def load(**fields: int) -> bytes:
    return program_header(**fields)


BROKEN_SEGMENTS = {
    "more in the file than in memory": (load(file_size=0x1001), Errno.EINVAL),
    "wraps": (load(address=(1 << 64) - PAGE), Errno.EINVAL),
    "kernel address": (load(address=0xFFFF_8000_0000_0000), Errno.EINVAL),
    "huge": (load(memory_size=(1 << 64) - 1), Errno.EINVAL),
    "ends beyond all addresses": (load(memory_size=1 << 48), Errno.EINVAL),
    "offset and address disagree": (load(address=0x400100), Errno.EINVAL),
    "negative offset": (load(offset=(1 << 64) - PAGE), Errno.EINVAL),
    "greatest offset": (load(offset=(1 << 63) - PAGE), Errno.EINVAL),
    "offset beyond the end": (load(offset=4 * PAGE), Errno.ENOEXEC),
    "ends beyond the end": (load(offset=PAGE, file_size=PAGE + 1, memory_size=2 * PAGE), Errno.ENOEXEC),
}


@pytest.mark.parametrize(("segment", "errno"), BROKEN_SEGMENTS.values(), ids=BROKEN_SEGMENTS)
def test_broken_segments(segment: bytes, errno: Errno) -> None:
    assert refusal(build(segment))[0] is errno
    assert refusal(build(program_header(), segment))[0] is errno


def test_segments_without_file_contents_may_have_any_offset() -> None:
    bss = load(offset=0x123, address=0x600000, file_size=0, memory_size=0x2000)
    assert parse(build(program_header(), bss)).end == 0x602000


def test_nothing_to_load() -> None:
    assert refusal(build(program_header(PT_GNU_STACK)))[0] is Errno.ENOEXEC


def test_entry_point_outside_of_memory() -> None:
    assert refusal(build(program_header(), entry=1 << 63))[0] is Errno.EINVAL


BROKEN_INTERPRETERS = {
    "one byte": ({"offset": 0x800, "file_size": 1}, Errno.ENOEXEC),
    "too long": ({"offset": 0, "file_size": 4097}, Errno.ENOEXEC),
    "no NUL": ({"offset": 0x800, "file_size": 8}, Errno.ENOEXEC),
    "beyond the end": ({"offset": 2 * PAGE - 1, "file_size": 8}, Errno.EIO),
    "negative": ({"offset": (1 << 64) - 8, "file_size": 8}, Errno.EINVAL),
}


@pytest.mark.parametrize(("fields", "errno"), BROKEN_INTERPRETERS.values(), ids=BROKEN_INTERPRETERS)
def test_broken_interpreters(fields: dict[str, int], errno: Errno) -> None:
    assert refusal(build(program_header(), program_header(PT_INTERP, **fields)))[0] is errno


def test_no_program_at_all() -> None:
    assert refusal(b"") == (Errno.ENOEXEC, "/p is not an ELF program or script")
    assert refusal(b"hello") == (Errno.ENOEXEC, "/p is not an ELF program or script")
    assert refusal(b"\x7fELF") == (Errno.ENOEXEC, "/p ends within its ELF header")


def test_paths_in_sentences_have_no_control_characters() -> None:
    assert show_path(b"/a b\xc3\xa4") == "/a bä"
    assert show_path(b"/\x1b[31m\n\xff") == "/\\x1b[31m\\n\\\\xff"


# -- the same errno as the kernel, where that fails before it is too late ------------------------------------


def errno_of_kernel(path: Path) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            os.execv(path, ["p"])
        except OSError as error:
            os._exit(error.errno or 0)
        os._exit(255)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


NATIVE: dict[str, Callable[[], bytes]] = {
    "no headers": lambda: build(program_header(), phnum=0),
    "too many headers": lambda: build(program_header(), phnum=1171).ljust(17 * PAGE),
    "header size": lambda: build(program_header(), phentsize=32),
    "headers beyond the end": lambda: build(program_header(), phoff=2 * PAGE),
    "machine": lambda: build(program_header(), machine=183),
    "type": lambda: build(program_header(), type=1),
    "interpreter too short": lambda: build(program_header(), program_header(PT_INTERP, file_size=1)),
    "interpreter too long": lambda: build(program_header(), program_header(PT_INTERP, file_size=4097)),
    "interpreter without NUL": lambda: build(
        program_header(),
        program_header(PT_INTERP, offset=0x800, file_size=8),
    ),
    "interpreter beyond the end": lambda: build(
        program_header(),
        program_header(PT_INTERP, offset=2 * PAGE - 1, file_size=8),
    ),
    "interpreter at a negative offset": lambda: build(
        program_header(),
        program_header(PT_INTERP, offset=(1 << 64) - 8, file_size=8),
    ),
}


@pytest.mark.skipif(
    os.uname().machine != "x86_64" or os.uname().sysname != "Linux",
    reason="needs the oracle",
)
@pytest.mark.parametrize("make", NATIVE.values(), ids=NATIVE)
def test_errno_is_the_kernels(make: Callable[[], bytes], tmp_path: Path) -> None:
    path = tmp_path / "p"
    path.write_bytes(make())
    path.chmod(0o755)
    assert refusal(path.read_bytes())[0] == errno_of_kernel(path)


# -- anything at all -----------------------------------------------------------------------------------------

SEED = Path("/bin/true").read_bytes()[: 2 * PAGE] if Path("/bin/true").exists() else build(program_header())
INTERESTING = st.sampled_from(
    [0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 1 << 31, (1 << 32) - 1, 1 << 47, 1 << 63, (1 << 64) - 1],
)
NUMBERS = st.one_of(INTERESTING, st.integers(0, (1 << 64) - 1))


def check_anything(data: bytes, size: int) -> None:
    """Parsing ends in an image that makes sense or in LinuxError, and reads only so much."""
    amount = 0

    def read(offset: int, length: int) -> bytes:
        nonlocal amount
        assert 0 <= offset < 1 << 63
        amount += length
        return data[offset : offset + length]

    try:
        image = parse_elf(read, size)
    except LinuxError:
        image = None
    assert amount <= 64 + (1 << 16) + PAGE
    if image is not None:
        assert image.segments
        for segment in image.segments:
            assert segment.file_size <= segment.memory_size
            assert 0 <= segment.address <= segment.end <= 1 << 48
            assert segment.file_size == 0 or segment.offset + segment.file_size <= size
        assert image.alignment.bit_count() == 1


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    check_anything(data, len(data))
    check_anything(b"\x7fELF\x02\x01\x01" + data, len(data) + 7)


@given(st.integers(0, len(SEED)))
def test_truncated_programs(length: int) -> None:
    check_anything(SEED[:length], length)


@given(st.lists(st.tuples(st.integers(0, 1023), st.sampled_from([1, 2, 4, 8]), NUMBERS), max_size=6))
def test_mutated_programs(changes: list[tuple[int, int, int]]) -> None:
    data = bytearray(SEED)
    for offset, width, value in changes:
        data[offset : offset + width] = (value & (1 << 8 * width) - 1).to_bytes(width, "little")
    check_anything(bytes(data), Path("/bin/true").stat().st_size)


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(st.sampled_from([PT_LOAD, PT_INTERP, PT_GNU_STACK]), *[NUMBERS] * 5),
        min_size=1,
        max_size=8,
    ),
    NUMBERS,
)
def test_any_program_headers(fields: list[tuple[int, int, int, int, int, int]], entry: int) -> None:
    headers = [
        program_header(kind, 5, offset, address, file_size, memory_size, align)
        for kind, offset, address, file_size, memory_size, align in fields
    ]
    data = build(*headers, entry=entry)
    check_anything(data, len(data))
