"""The first line of a script: `#!interpreter [argument]` (execve(2); Linux fs/binfmt_script.c)."""

import re
from typing import Final, NamedTuple

from aionoah.abi.errno import Errno, LinuxError

HEAD_SIZE: Final = 256  # BINPRM_BUF_SIZE: how much of a file decides what it is
MAX_DEPTH: Final = 5  # scripts whose interpreter is a script

_SPACE: Final = b" \t"
_NOT_SPACE: Final = re.compile(rb"[^ \t]")
_TERMINATOR: Final = re.compile(rb"[ \t\0]")


class Interpreter(NamedTuple):
    """What a script asks to be run with. The path may be empty: that is the working directory."""

    path: bytes
    argument: bytes | None


def is_script(head: bytes) -> bool:
    return head.startswith(b"#!")


def parse_script(head: bytes) -> Interpreter:
    """Read the first line from the first 256 bytes of a script.

    All that follows the path is one argument. A long argument is cut, a path that might be cut is
    refused: ENOEXEC, as for a line without a path.
    """
    line = head[:HEAD_SIZE].ljust(HEAD_SIZE, b"\0")
    end = _end_of_line(line)
    while line[end - 1] in _SPACE:
        end -= 1
    name = _NOT_SPACE.search(line, 2, end)
    if name is None:
        raise LinuxError(Errno.ENOEXEC)
    separator = _TERMINATOR.search(line, name.start(), end)
    if separator is None:
        return Interpreter(line[name.start() : end], None)
    path = line[name.start() : separator.start()]
    argument = _NOT_SPACE.search(line, separator.start(), end)
    if separator.group() == b"\0" or argument is None:
        return Interpreter(path, None)
    return Interpreter(path, line[argument.start() : end].split(b"\0", 1)[0])


def _end_of_line(line: bytes) -> int:
    """Where the line ends; the last byte of the buffer where that is not to be seen."""
    text = line.split(b"\0", 1)[0]
    newline = text.find(b"\n")
    if newline >= 0:
        return newline
    name = _NOT_SPACE.search(line, 2)
    if name is None or _TERMINATOR.search(line, name.start()) is None:
        raise LinuxError(Errno.ENOEXEC)
    return HEAD_SIZE - 1
