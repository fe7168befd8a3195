"""ELF headers: what of a program file the kernel looks at, checked before anything is believed.

pyelftools decodes the two header structures and knows the names of their numbers; its ELFFile is not
used, because it trusts sizes, reads what it likes and would drag in DWARF. Rules and error numbers are
those of fs/binfmt_elf.c (Linux 6.12), with one change on purpose: what Linux notices only after it
has thrown the old program away, and then punishes with SIGSEGV, fails here with the same number while
there is still somebody to tell.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple, NoReturn

from elftools.construct.core import ConstructError
from elftools.elf.structs import ELFStructs

from aionoah.abi.architecture import PAGE_SIZE
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.limits import PATH_MAX

_EHDR_SIZE: Final = 64
_PHDR_SIZE: Final = 56
_MAX_HEADERS: Final = (1 << 16) // _PHDR_SIZE  # load_elf_phdrs
_ORDINARY_HEADERS: Final = 32
_MAX_OFFSET: Final = (1 << 63) - 1
_ADDRESS_LIMIT: Final = 1 << 48  # beyond it no machine has addresses for programs
_PF_X, _PF_W, _PF_R = 1, 2, 4

_MACHINES: Final = {"EM_X86_64": "x86_64", "EM_AARCH64": "aarch64"}
_TYPES: Final = {"ET_EXEC": False, "ET_DYN": True}

ReadAt = Callable[[int, int], bytes]
"""`read(offset, length)`: what the file has there, shorter or empty at its end."""


class ExecError(LinuxError):
    """A program cannot be started; `reason` is a sentence for its user that names the file."""

    def __init__(self, errno: Errno, reason: str, path: bytes | None = None) -> None:
        """`path`: what it is about, if not the program."""
        super().__init__(errno)
        self.reason = reason
        self.path = path
        self.args = (f"{errno.name}: {reason}",)


class Segment(NamedTuple):
    """A PT_LOAD header. Addresses are as linked, before the load bias is added."""

    address: int
    memory_size: int
    offset: int
    file_size: int
    is_readable: bool
    is_writable: bool
    is_executable: bool
    alignment: int

    @property
    def end(self) -> int:
        return self.address + self.memory_size


class Image(NamedTuple):
    """What the headers of one program or interpreter ask for."""

    machine: str  # "x86_64" or "aarch64"
    is_position_independent: bool  # ET_DYN
    entry: int
    segments: Sequence[Segment]  # in the order of the headers, at least one
    interpreter: bytes | None  # path of PT_INTERP
    headers_address: int  # of the program headers in memory; 0 if no segment holds them
    header_size: int
    header_count: int
    is_stack_executable: bool

    @property
    def start(self) -> int:
        """First page of the image, as linked."""
        return min(segment.address for segment in self.segments) & -PAGE_SIZE

    @property
    def end(self) -> int:
        """End of the last segment in memory, as linked; not page-aligned."""
        return max(segment.end for segment in self.segments)

    @property
    def data_length(self) -> int:
        """Bytes of the segment that ends last, as RLIMIT_DATA counts them."""
        last = max(self.segments, key=lambda segment: segment.end)
        return last.memory_size

    @property
    def alignment(self) -> int:
        """The greatest sane alignment of a segment, PAGE_SIZE at least."""
        sane = [s.alignment for s in self.segments if s.alignment.bit_count() == 1]
        return max([PAGE_SIZE, *sane])


def show_path(path: bytes) -> str:
    """A guest path as text for a sentence: no control characters, no surprises."""
    text = path.decode("utf-8", "backslashreplace")
    return text if text.isprintable() else repr(text)[1:-1]


def is_elf(head: bytes) -> bool:
    return head.startswith(b"\x7fELF")


def parse_elf(read: ReadAt, size: int, *, path: bytes = b"the file", machine: str | None = None) -> Image:
    """The image that the headers describe.

    `size` is the file's in bytes, `path` names it in sentences, and `machine` is what must run it, if
    that matters. At most 64 KiB are read for headers and a page for the interpreter's name. Raises
    ExecError: ENOEXEC, EINVAL, EIO.
    """
    file = _Headers(read, size, show_path(path))
    header = file.file_header(machine)
    program_headers = file.program_headers(header)
    segments = tuple(file.segment(h) for h in program_headers if h.p_type == "PT_LOAD")
    if not segments:
        file.refuse(Errno.ENOEXEC, "has nothing to load")
    is_position_independent = _TYPES[header.e_type]
    image = Image(
        machine=_MACHINES[header.e_machine],
        is_position_independent=is_position_independent,
        entry=header.e_entry,
        segments=segments,
        interpreter=file.interpreter(program_headers),
        headers_address=_headers_address(header.e_phoff, segments),
        header_size=_PHDR_SIZE,
        header_count=header.e_phnum,
        is_stack_executable=_is_stack_executable(program_headers),
    )
    if image.interpreter is None and image.entry >= _ADDRESS_LIMIT:
        file.refuse(Errno.EINVAL, "has an entry point outside of any program's memory")
    return image


@cache
def _structs() -> ELFStructs:
    structs = ELFStructs(little_endian=True, elfclass=64)
    structs.create_basic_structs()
    structs.create_advanced_structs()
    return structs


@lru_cache(maxsize=64)
def _decoded_header(data: bytes) -> Any:  # noqa: ANN401 - pyelftools' Container
    return _structs().Elf_Ehdr.parse(data)


def _decoded_program_headers(data: bytes) -> Sequence[Any]:
    codec = _structs().Elf_Phdr
    return [codec.parse(data[at : at + _PHDR_SIZE]) for at in range(0, len(data), _PHDR_SIZE)]


_remembered_program_headers: Final = lru_cache(maxsize=64)(_decoded_program_headers)
"""Decoding the headers of a dynamic program and its interpreter costs as much as mapping them, and the same programs
are started again and again: what the same bytes mean is remembered, if they are as few as those of ordinary programs.
"""


class _Headers:
    """The reading side of parse_elf: one file and how to speak of it."""

    def __init__(self, read: ReadAt, size: int, name: str) -> None:
        self._read = read
        self._size = size
        self._name = name

    def refuse(self, errno: Errno, reason: str) -> NoReturn:
        raise ExecError(errno, f"{self._name} {reason}")

    def file_header(self, machine: str | None) -> Any:  # noqa: ANN401 - pyelftools' Container
        data = self._read(0, _EHDR_SIZE)
        if not is_elf(data):
            self.refuse(Errno.ENOEXEC, "is not an ELF program or script")
        if len(data) < _EHDR_SIZE:
            self.refuse(Errno.ENOEXEC, "ends within its ELF header")
        # Class and byte order first: the rest of the header means nothing without them.
        if data[4] != 2:  # ELFCLASS64
            self.refuse(Errno.ENOEXEC, "is not a 64-bit program; 32-bit programs are not supported")
        if data[5] != 1:  # ELFDATA2LSB
            self.refuse(Errno.ENOEXEC, "is not a little-endian program")
        header = self._decode(_decoded_header, data)
        if header.e_type not in _TYPES:
            self.refuse(Errno.ENOEXEC, "is an ELF file, but not a program")
        found = _MACHINES.get(header.e_machine)
        if found is None or machine not in (None, found):
            self.refuse(Errno.ENOEXEC, _wrong_machine(found or header.e_machine, machine))
        return header

    def program_headers(self, header: Any) -> Sequence[Any]:  # noqa: ANN401 - pyelftools' Container
        count, offset = header.e_phnum, header.e_phoff
        if header.e_phentsize != _PHDR_SIZE or not 1 <= count <= _MAX_HEADERS or offset > _MAX_OFFSET:
            self.refuse(Errno.ENOEXEC, "has malformed ELF program headers")
        data = self._read(offset, count * _PHDR_SIZE)
        if len(data) < count * _PHDR_SIZE:
            self.refuse(Errno.ENOEXEC, "ends before its ELF program headers")
        is_ordinary = count <= _ORDINARY_HEADERS
        decode = _remembered_program_headers if is_ordinary else _decoded_program_headers
        found: Sequence[Any] = self._decode(decode, data)
        return found

    def _decode(self, decode: Callable[[bytes], Any], data: bytes) -> Any:  # noqa: ANN401 - pyelftools' Container
        try:
            return decode(data)
        except ConstructError:
            self.refuse(Errno.ENOEXEC, "has a malformed ELF header")

    def segment(self, header: Any) -> Segment:  # noqa: ANN401 - pyelftools' Container
        """Check a PT_LOAD so that later arithmetic cannot leave the address space or the file."""
        address, memory_size, file_size = header.p_vaddr, header.p_memsz, header.p_filesz
        if file_size > memory_size:
            self.refuse(Errno.EINVAL, "has an ELF segment with more bytes in the file than in memory")
        if address >= _ADDRESS_LIMIT or memory_size > _ADDRESS_LIMIT - address:
            self.refuse(Errno.EINVAL, "has an ELF segment outside of any program's memory")
        if file_size:
            self._check_file_range(header)
        return Segment(
            address,
            memory_size,
            header.p_offset,
            file_size,
            is_readable=bool(header.p_flags & _PF_R),
            is_writable=bool(header.p_flags & _PF_W),
            is_executable=bool(header.p_flags & _PF_X),
            alignment=header.p_align,
        )

    def _check_file_range(self, header: Any) -> None:  # noqa: ANN401 - pyelftools' Container
        within_page = header.p_vaddr % PAGE_SIZE
        if header.p_offset % PAGE_SIZE != within_page or header.p_offset > _MAX_OFFSET - PAGE_SIZE:
            self.refuse(Errno.EINVAL, "has an ELF segment that cannot be mapped: offset and address disagree")
        # Linux maps beyond the end and lets the program die of SIGBUS; nobody is helped by that.
        if header.p_offset + header.p_filesz > self._size:
            self.refuse(Errno.ENOEXEC, "is truncated: an ELF segment reaches beyond the end of the file")

    def interpreter(self, headers: Iterable[Any]) -> bytes | None:
        """The path in the first PT_INTERP."""
        found = next((h for h in headers if h.p_type == "PT_INTERP"), None)
        if found is None:
            return None
        length, offset = found.p_filesz, found.p_offset
        if not 2 <= length <= PATH_MAX:  # one character and its NUL
            self.refuse(Errno.ENOEXEC, "names its interpreter in a malformed way")
        if offset > _MAX_OFFSET - length:
            self.refuse(Errno.EINVAL, "names its interpreter in a malformed way")
        data = self._read(offset, length)
        if len(data) < length:
            self.refuse(Errno.EIO, "ends before the name of its interpreter")
        if data[-1]:
            self.refuse(Errno.ENOEXEC, "names its interpreter in a malformed way")
        return data[: data.index(0)]


def _wrong_machine(found: object, wanted: str | None) -> str:
    """The end of a sentence; `found` is our name, pyelftools' name, or a number nobody has a name for."""
    name = str(found).removeprefix("EM_").lower() if isinstance(found, str) else f"machine {found}"
    runs = wanted or " and ".join(_MACHINES.values())
    article = "an" if name[0] in "aeioux" else "a"
    return f"is {article} {name} program; this machine runs {runs}"


def _headers_address(offset: int, segments: Iterable[Segment]) -> int:
    for segment in segments:
        if segment.offset <= offset < segment.offset + segment.file_size:
            return offset - segment.offset + segment.address
    return 0


def _is_stack_executable(headers: Iterable[Any]) -> bool:
    """By the first PT_GNU_STACK; without one a 64-bit program's stack is not executable."""
    found = next((h for h in headers if h.p_type == "PT_GNU_STACK"), None)
    return found is not None and bool(found.p_flags & _PF_X)
