"""What callers of subprocess.Popen and asyncio.subprocess know beside streams, users and directories."""

import os
from collections.abc import Iterable, Mapping
from typing import Any, Final

StrPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]
_TEXT: Final = {  # streams are of bytes, as asyncio's are
    "universal_newlines": False,
    "shell": False,
    "bufsize": 0,
    "text": False,
    "encoding": None,
    "errors": None,
}
_GIVEN: Final = {  # how it is anyway: nothing of the application's process gets into a guest by itself
    "close_fds": (True,),
    "start_new_session": (False, True),
    "process_group": (None, 0),
    "preexec_fn": (None,),
    "startupinfo": (None,),
    "creationflags": (0,),
}


def check_options(options: Mapping[str, Any]) -> None:
    """TypeError for what Popen has not either, ValueError for what it has and a guest cannot have."""
    for name, value in options.items():
        if name in _TEXT:
            if value != _TEXT[name]:
                raise ValueError(f"{name} must be {_TEXT[name]}")
        elif name not in _GIVEN:
            raise TypeError(f"create_subprocess_exec() got an unexpected keyword argument {name!r}")
        elif value not in _GIVEN[name]:
            raise ValueError(f"{name} must be {' or '.join(map(repr, _GIVEN[name]))} for a guest")


def words_of(program: StrPath, arguments: Iterable[StrPath]) -> list[bytes]:
    """TypeError for what is no text, ValueError for a NUL in it."""
    return [without_nul(os.fsencode(word)) for word in (program, *arguments)]


def environment_words(variables: Mapping[Any, Any]) -> list[bytes]:
    """NAME=VALUE of names and values that are texts or bytes. TypeError, ValueError."""
    return [without_nul(_name(os.fsencode(name)) + b"=" + os.fsencode(variables[name])) for name in variables]


def without_nul(word: bytes) -> bytes:
    if b"\0" in word:
        raise ValueError("embedded null byte")
    return word


def _name(name: bytes) -> bytes:
    if b"=" in name:
        raise ValueError("illegal environment variable name")
    return name
