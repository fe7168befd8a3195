"""Exit statuses of commands: the program's own, and what shells and docker say where it has none."""

from typing import Final

FAILED: Final = 125  # aionoah itself has, as docker has it
_NOT_EXECUTABLE: Final = 126  # as shells have it
_NOT_FOUND: Final = 127
_SIGNALLED: Final = 128  # and the number of the signal


def status_of(returncode: int) -> int:
    """Of a program that has ended, as Process.returncode says it: -N after signal N."""
    return returncode if returncode >= 0 else status_of_signal(-returncode)


def status_of_signal(number: int) -> int:
    return _SIGNALLED + number


def status_of_refusal(error: OSError) -> int:
    """Of a program that cannot be started."""
    return _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_EXECUTABLE
