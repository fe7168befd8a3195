"""Where a user's things are kept (XDG Base Directory Specification)."""

import errno
import os
from pathlib import Path


def user_place(variable: str, below_home: str) -> Path:
    """$AIONOAH_HOME, else aionoah's place in the directory that `variable` names, or that is `below_home` in the
    user's home. OSError if he has none.
    """
    chosen = os.environ.get("AIONOAH_HOME")
    if chosen:
        return Path(chosen).absolute()
    base = os.environ.get(variable, "")
    if not base.startswith("/"):  # the specification: then it counts as not given
        home = os.path.expanduser("~")  # noqa: PTH111 - says by its result that there is none
        if home == "~":
            raise OSError(errno.ENOENT, "this user has no home: set HOME or AIONOAH_HOME")
        base = os.path.join(home, below_home)  # noqa: PTH118 - text
    return Path(base, "aionoah")
