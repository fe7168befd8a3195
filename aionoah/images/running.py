"""How a program is run in an image: its words, environment, user and places, as the image's configuration wants them."""

import stat
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.limits import ID_MAX
from aionoah.images import ImageError

if TYPE_CHECKING:
    from aionoah.files import Files
    from aionoah.images.manifest import Config

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LARGEST_TABLE: Final = 16 << 20  # bytes
_PIECE: Final = 1 << 20  # bytes of a read


class User(NamedTuple):
    uid: int
    gid: int
    home: str
    groups: tuple[int, ...] = ()  # supplementary ones


def words(config: "Config", given: tuple[str, ...], entrypoint: str | None) -> tuple[str, ...]:
    """Program and arguments: what is given takes the place of the image's command, `entrypoint` that of both ("" is
    none). ImageError if that leaves nothing.
    """
    first = config.entrypoint if entrypoint is None else (entrypoint,) if entrypoint else ()
    rest = given or (config.command if entrypoint is None else ())
    if not first + rest:
        raise ImageError("the image does not say what to run: name a program")
    return first + rest


def variables(config: "Config") -> dict[str, str]:
    found = dict(each.partition("=")[::2] for each in config.environment)
    found.pop("", None)
    return {"PATH": PATH, **found}


async def find_user(files: "Files", text: str) -> User:
    """`USER[:GROUP]` by name or number in the image's passwd(5) and group(5); "" is root. ImageError.

    Whoever has an account and is given no group has all those that name him, as after a login (initgroups(3)).
    """
    name, colon, group = text.partition(":")
    accounts = await table(files, "/etc/passwd", 7)
    wanted = name or "0"
    found = next((each for each in accounts if wanted in (each[0], each[2])), None)
    if found is not None and found[2].isdecimal() and found[3].isdecimal():
        gid = int(found[3])
        further = () if group else await _groups_of(files, found[0], gid)
        user = User(int(found[2]), gid, found[5] or "/", further)
    elif wanted.isdecimal():
        user = User(int(wanted), 0, "/root" if wanted == "0" else "/")
    else:
        raise ImageError(f"the image has no user {wanted}")
    if colon and group:
        user = user._replace(gid=await _find_group(files, group))
    if max(user.uid, user.gid, *user.groups) > ID_MAX:
        raise ImageError(f"{text} is no user: the largest number is {ID_MAX}")
    return user


async def _groups_of(files: "Files", name: str, gid: int) -> tuple[int, ...]:
    found = {gid}
    for _, _, number, members in await table(files, "/etc/group", 4):
        if number.isdecimal() and name in members.split(","):
            found.add(int(number))
    return tuple(sorted(found))


async def _find_group(files: "Files", wanted: str) -> int:
    for name, _, gid, *_ in await table(files, "/etc/group", 4):
        if name == wanted and gid.isdecimal():
            return int(gid)
    if wanted.isdecimal():
        return int(wanted)
    raise ImageError(f"the image has no group {wanted}")


async def table(files: "Files", path: str, fields: int) -> list[list[str]]:
    """The lines of a file of fields between colons, as guests see it; none if there is no such file. ImageError for
    one without end: it may be a link to /dev/zero, and is read into our own memory.
    """
    data = b""
    try:
        if not stat.S_ISREG((await files.stat(path)).st_mode):
            return []
        async with files.open(path) as file:
            while piece := await file.read(_PIECE):
                data += piece
                if len(data) > _LARGEST_TABLE:
                    raise ImageError(f"{path} is too large")
    except OSError:
        return []
    lines = (line.split(":") for line in data.decode("utf-8", "surrogateescape").splitlines())
    return [line for line in lines if len(line) == fields and line[0]]


async def make_places(files: "Files", config: "Config", user: User) -> None:
    """Make the working directory and the volumes where the image has only named them. OSError."""
    for path in (config.workdir, *config.volumes):
        if path.startswith("/") and not await files.exists(path):
            await files.mkdir(path, parents=True, exist_ok=True)
            await files.chown(path, user.uid, user.gid)
