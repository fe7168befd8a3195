"""Registers become arguments by the annotations of a handler."""

from typing import Any, NewType

import pytest
from fakes.tasks import BAD, BASE, SIZE, new_task
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.aarch64 import AARCH64
from aionoah.abi.architecture import Architecture
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import AT_FDCWD, SEEK, O
from aionoah.abi.flags import Flags
from aionoah.abi.time import Timespec
from aionoah.abi.x86_64 import X86_64
from aionoah.syscalls.arguments import (
    Addr,
    DirFd,
    Fd,
    Gid,
    In,
    Int,
    Long,
    Mode,
    Name,
    Offset,
    Path,
    Pid,
    Ptr,
    Signal,
    Size,
    Uid,
    UInt,
    ULong,
)
from aionoah.syscalls.decode import Parameter, Pointer, compile_call, parameters, result_kind
from aionoah.syscalls.registry import Handler

ALL_ONES = (1 << 64) - 1
words = st.integers(0, ALL_ONES)


class Wide(Flags):
    WIDTH = 64
    HIGH = 1 << 40


def handler(function: Any) -> Handler:
    return Handler(function.__name__, function, False, None, __name__, own_thread=False)


def decoded(kind: Any, word: int, task: Any = None, architecture: Architecture = X86_64) -> Any:
    """What a handler with one argument of this kind receives."""

    def probe(task: Any, value: Any) -> Any:
        return value

    probe.__annotations__["value"] = kind
    return compile_call(handler(probe), architecture)(task, word, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("kind", [Fd, DirFd, Int, Pid, Signal])
@given(word=words)
def test_int_kinds_are_the_low_half_with_its_sign(kind: Any, word: int) -> None:
    expected = int.from_bytes(word.to_bytes(8, "little")[:4], "little", signed=True)
    assert decoded(kind, word) == expected


@pytest.mark.parametrize("kind", [UInt, Uid, Gid])
@given(word=words)
def test_unsigned_int_kinds_are_the_low_half(kind: Any, word: int) -> None:
    assert decoded(kind, word) == word % (1 << 32)


@pytest.mark.parametrize("kind", [Long, Offset])
@given(word=words)
def test_long_kinds_have_the_sign_of_the_register(kind: Any, word: int) -> None:
    assert decoded(kind, word) == int.from_bytes(word.to_bytes(8, "little"), "little", signed=True)


@pytest.mark.parametrize("kind", [Addr, Size, ULong, Ptr[Timespec], In[Timespec]])
@given(word=words)
def test_whole_words(kind: Any, word: int) -> None:
    assert decoded(kind, word) == word


@given(word=words)
def test_a_mode_has_sixteen_bits(word: int) -> None:
    assert decoded(Mode, word) == word % (1 << 16)


def test_a_directory_descriptor_of_garbage_in_the_upper_half() -> None:
    assert decoded(DirFd, 0x1234_5678_FFFF_FF9C) == AT_FDCWD


def test_flags_and_choices_have_32_bits() -> None:
    flags = decoded(O, ALL_ONES << 32 & ALL_ONES | O.CLOEXEC)
    assert type(flags) is O
    assert flags == O.CLOEXEC
    whence = decoded(SEEK, 0xFFFF_FFFF_0000_0002)
    assert type(whence) is SEEK
    assert whence == SEEK.END


def test_flags_of_64_bits_say_so() -> None:
    assert decoded(Wide, Wide.HIGH) == Wide.HIGH


@pytest.mark.parametrize(
    ("word", "flags"),
    [(0o40000, O.DIRECTORY), (0o100000, O.NOFOLLOW), (0o200000, O.DIRECT), (0o400000, O.LARGEFILE)],
)
def test_open_flags_of_aarch64_lie_elsewhere(word: int, flags: int) -> None:
    assert decoded(O, word | O.CLOEXEC, architecture=AARCH64) == flags | O.CLOEXEC
    assert type(decoded(O, word, architecture=AARCH64)) is O
    assert decoded(O, word) == word


def test_a_new_type_of_a_kind_is_that_kind() -> None:
    assert decoded(NewType("Key", Int), 0xFFFF_FFFF) == -1


# -- strings ------------------------------------------------------------------------------------------------


def test_a_path_is_copied_in() -> None:
    task = new_task()
    task.memory.write(BASE, b"/etc/passwd\0")
    assert decoded(Path, BASE, task) == b"/etc/passwd"


@pytest.mark.parametrize("kind", [Path, Name])
def test_a_string_that_is_not_there(kind: Any) -> None:
    for address in (0, BAD):
        with pytest.raises(LinuxError) as raised:
            decoded(kind, address, new_task())
        assert raised.value.errno is Errno.EFAULT


def test_a_path_has_at_most_4095_bytes() -> None:
    task = new_task()
    task.memory.write(BASE, b"x" * 4095 + b"\0")
    assert decoded(Path, BASE, task) == b"x" * 4095
    task.memory.write(BASE, b"x" * 4096 + b"\0")
    with pytest.raises(LinuxError) as raised:
        decoded(Path, BASE, task)
    assert raised.value.errno is Errno.ENAMETOOLONG


def test_a_name_has_at_most_255_bytes() -> None:
    task = new_task()
    task.memory.write(BASE, b"x" * 255 + b"\0")
    assert decoded(Name, BASE, task) == b"x" * 255
    task.memory.write(BASE, b"x" * 256 + b"\0")
    with pytest.raises(LinuxError) as raised:
        decoded(Name, BASE, task)
    assert raised.value.errno is Errno.ERANGE


@pytest.mark.parametrize("kind", [Path | None, Name | None])
def test_an_optional_string_may_be_a_null_pointer(kind: Any) -> None:
    task = new_task()
    task.memory.write(BASE + SIZE - 2, b"a\0")
    assert decoded(kind, 0, task) is None
    assert decoded(kind, BASE + SIZE - 2, task) == b"a"


# -- whole signatures ---------------------------------------------------------------------------------------


def test_arguments_keep_their_order() -> None:
    def probe(task: Any, a: Size, b: Size, c: Size, d: Size, e: Size, f: Size) -> Any:
        return task, a, b, c, d, e, f

    assert compile_call(handler(probe), X86_64)("task", 1, 2, 3, 4, 5, 6) == ("task", 1, 2, 3, 4, 5, 6)


def test_registers_without_an_argument_are_left_out() -> None:
    def probe(task: Any) -> Any:
        return task

    assert compile_call(handler(probe), X86_64)("task", 1, 2, 3, 4, 5, 6) == "task"


def test_annotations_may_be_strings() -> None:
    def probe(task: "Unknown", fd: "Fd", path: "Path | None") -> "int":  # type: ignore[name-defined]  # noqa: F821
        return fd

    assert parameters(handler(probe)) == (Parameter("fd", Fd), Parameter("path", Path, is_optional=True))
    assert result_kind(handler(probe)) is int


def test_pointers_know_their_target_and_direction() -> None:
    def probe(task: Any, out: Ptr[Timespec], given: In[Timespec]) -> Addr:
        return Addr(0)

    kinds = [parameter.kind for parameter in parameters(handler(probe))]
    assert kinds == [Pointer(Timespec, is_input=False), Pointer(Timespec, is_input=True)]
    assert result_kind(handler(probe)) is Addr


def no_kind(task: Any, value: int) -> None: ...
def no_annotation(task: Any, value) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001
def optional_number(task: Any, value: "Fd | None") -> None: ...
def seven(task: Any, a: Fd, b: Fd, c: Fd, d: Fd, e: Fd, f: Fd, g: Fd) -> None: ...
def no_task() -> None: ...
def by_keyword(task: Any, *, fd: Fd) -> None: ...


@pytest.mark.parametrize("function", [no_kind, no_annotation, optional_number, seven, no_task, by_keyword])
def test_a_signature_that_cannot_be_decoded_is_an_error_of_ours(function: Any) -> None:
    with pytest.raises(TypeError, match=function.__name__):
        compile_call(handler(function), X86_64)


@pytest.mark.parametrize("architecture", [X86_64, AARCH64], ids=lambda architecture: architecture.name)
def test_every_handler_can_be_decoded(architecture: Architecture) -> None:
    from aionoah.syscalls import load_handlers
    from aionoah.syscalls.registry import all_handlers

    load_handlers()
    for found in all_handlers():
        compile_call(found, architecture)
