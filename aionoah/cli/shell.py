"""`aionoah shell`: a login shell in a root."""

import os
import stat
from typing import Any, Final, NamedTuple

import click

from aionoah.cli.options import (
    INSTANCE_OPTIONS,
    PROGRAM_OPTIONS,
    ROOT_OPTION,
    ProgramCommand,
    environment,
    parse_user,
    with_options,
)
from aionoah.cli.run import run_program

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_KEPT: Final = ("TERM", "COLORTERM", "LANG", "LC_ALL", "LC_CTYPE", "TZ")  # what a login keeps (login(1))
_LONGEST: Final = 16 << 20  # characters of it, about
_FIELDS: Final = 7  # of a line of passwd(5)


class Account(NamedTuple):
    """Whom the shell is for."""

    name: str
    uid: int
    gid: int
    home: str = "/"
    shell: str = "/bin/sh"


@click.command(cls=ProgramCommand)
@with_options(*(option for option in INSTANCE_OPTIONS if option is not ROOT_OPTION), *PROGRAM_OPTIONS)
@click.argument("root", metavar="[ROOT]", default="/")
def shell(
    *,
    root: str,
    env: tuple[str, ...],
    workdir: str | None,
    user: str | None,
    **instance: Any,  # noqa: ANN401 - INSTANCE_OPTIONS
) -> None:
    """Log in to the directory ROOT, or to the host's own tree: the user's shell, with a login's environment."""
    uid, gid = parse_user(user)
    account = find_account(root, os.getuid() if uid is None else uid, gid)
    variables = {
        **{name: os.environ[name] for name in _KEPT if name in os.environ},
        "HOME": account.home,
        "USER": account.name,
        "LOGNAME": account.name,
        "SHELL": account.shell,
        "PATH": _PATH,
    }
    options = {
        "env": environment(env, variables),
        "cwd": workdir or account.home,
        "user": account.uid,
        "group": account.gid,
    }
    run_program((account.shell, "-l"), options, instance | {"root": root}, has_terminal=None)


def find_account(root: str, uid: int, gid: int | None) -> Account:
    """The user's line of the root's passwd(5), or something like it."""
    own_gid = os.getgid() if uid == os.getuid() else uid
    found = Account(str(uid), uid, own_gid if gid is None else gid)
    for line in _lines(os.path.join(root, "etc/passwd")):  # noqa: PTH118 - a host path as the user wrote it
        fields = line.rstrip("\n").split(":")
        if len(fields) == _FIELDS and fields[2] == str(uid) and fields[3].isdecimal():
            name, _, _, group, _, home, program = fields
            return Account(name, uid, int(group) if gid is None else gid, home or "/", program or "/bin/sh")
    return found


def _lines(path: str) -> list[str]:
    """None of what is no file: whoever made the root may have made a link to /dev/zero of it, or a pipe."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123 - a descriptor
            return file.readlines(_LONGEST) if stat.S_ISREG(os.fstat(fd).st_mode) else []
    except OSError:
        return []
