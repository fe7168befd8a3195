"""Functions of the C library that Python's os module lacks. Slow to import, because of ctypes: import it where one is called."""

import ctypes
import os
from typing import Any, Final

_LIBRARY: Final = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: Any) -> int:  # noqa: ANN401 - as ctypes has it
    """Call a function; OSError where it returns -1."""
    result: int = getattr(_LIBRARY, name)(*arguments)
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
