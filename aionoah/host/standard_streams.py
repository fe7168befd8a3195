"""Descriptors 0, 1 and 2, which a caller may have closed."""

import os


def open_useless(fd: int) -> int:
    """/dev/null, opened so that nothing can be read from standard input or written to the others: EBADF,
    as if they were closed. (So does the C library for set-user-ID programs, in csu/check_fds.c.)
    """
    return os.open(os.devnull, (os.O_RDONLY if fd else os.O_WRONLY) | os.O_CLOEXEC)


def reserve_standard_streams() -> None:
    """Fill 0, 1 and 2 where the caller has closed them: no file of ours may become a program's."""
    for fd in (0, 1, 2):
        opened = open_useless(fd)  # gets the lowest free number, and those below `fd` are taken by now
        if opened != fd:
            os.close(opened)
