"""What an image wants of its program."""

import contextlib
import io
import os
import stat
from collections.abc import AsyncIterator

import pytest

from aionoah.images import ImageError
from aionoah.images.manifest import Config
from aionoah.images.running import PATH, User, find_user, make_places, variables, words

CONFIG = Config(
    "x86_64", (), entrypoint=("entry", "-x"), command=("cmd",), environment=("A=1", "B", "=x", "C=a=b")
)


@pytest.mark.parametrize(
    ("given", "entrypoint", "wanted"),
    [
        ((), None, ("entry", "-x", "cmd")),
        (("a", "b"), None, ("entry", "-x", "a", "b")),
        ((), "other", ("other",)),
        (("a",), "other", ("other", "a")),
        (("a",), "", ("a",)),
    ],
)
def test_words(given: tuple[str, ...], entrypoint: str | None, wanted: tuple[str, ...]) -> None:
    assert words(CONFIG, given, entrypoint) == wanted


def test_nothing_to_run() -> None:
    with pytest.raises(ImageError, match="name a program"):
        words(Config("x86_64", ()), (), None)
    with pytest.raises(ImageError, match="name a program"):
        words(CONFIG, (), "")


def test_variables() -> None:
    assert variables(CONFIG) == {"PATH": PATH, "A": "1", "B": "", "C": "a=b"}


class OpenFile(io.BytesIO):
    async def read(self, size: int) -> bytes:  # type: ignore[override]
        return super().read(size)


class Files:
    """Those of a guest, as far as they are asked for."""

    def __init__(self, **texts: str) -> None:
        self.texts = {f"/etc/{name}": text for name, text in texts.items()}
        self.modes = dict.fromkeys(self.texts, stat.S_IFREG)
        self.made: dict[str, tuple[int, int]] = {}

    async def stat(self, path: str) -> os.stat_result:
        if path not in self.texts:
            raise FileNotFoundError(path)
        return os.stat_result((self.modes[path], *range(9)))

    @contextlib.asynccontextmanager
    async def open(self, path: str) -> AsyncIterator["OpenFile"]:
        yield OpenFile(self.texts[path].encode())

    async def exists(self, path: str) -> bool:
        return path == "/there"

    async def mkdir(self, path: str, *, parents: bool, exist_ok: bool) -> None:
        assert parents
        assert exist_ok

    async def chown(self, path: str, uid: int, gid: int) -> None:
        self.made[path] = uid, gid


FILES = Files(
    passwd="root:x:0:0:root:/root:/bin/sh\n\nnonsense\nalice:x:1000:100:A:/home/a:/bin/sh\nbad:x:y:z:::\n7:x:8:9::/:\n",
    group="root:x:0:\nstaff:x:50:bob,alice\ndialout:x:20:alice\nbroken:x:y:alice\nalices:x:9:alicea\n",
)


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("", User(0, 0, "/root", (0,))),
        ("alice", User(1000, 100, "/home/a", (20, 50, 100))),
        ("1000", User(1000, 100, "/home/a", (20, 50, 100))),
        ("alice:", User(1000, 100, "/home/a", (20, 50, 100))),
        ("alice:staff", User(1000, 50, "/home/a")),
        ("1000:77", User(1000, 77, "/home/a")),
        (":staff", User(0, 50, "/root")),
        ("4000", User(4000, 0, "/")),
        ("4000:4001", User(4000, 4001, "/")),
        ("7", User(8, 9, "/", (9,))),
    ],
)
async def test_users(text: str, user: User) -> None:
    assert await find_user(FILES, text) == user  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["bob", "bad", "alice:wheel", "99999999999", "0:99999999999", "-1"])
async def test_users_that_there_are_not(text: str) -> None:
    with pytest.raises(ImageError):
        await find_user(FILES, text)  # type: ignore[arg-type]


async def test_an_image_without_accounts() -> None:
    assert await find_user(Files(), "") == User(0, 0, "/root")  # type: ignore[arg-type]


async def test_places() -> None:
    files = Files()
    config = Config("x86_64", (), workdir="/work/here", volumes=("/there", "/vol", "relative"))
    await make_places(files, config, User(1, 2, "/"))  # type: ignore[arg-type]
    assert files.made == {"/work/here": (1, 2), "/vol": (1, 2)}


async def test_tables_without_end() -> None:
    """An image's /etc/passwd may be a link to /dev/zero, a pipe, or a file of many gigabytes."""
    with pytest.raises(ImageError, match="/etc/passwd is too large"):
        await find_user(Files(passwd="x" * (17 << 20)), "web")  # type: ignore[arg-type]
    files = Files(passwd="web:x:80:80::/srv:/bin/sh\n")
    files.modes["/etc/passwd"] = stat.S_IFCHR
    with pytest.raises(ImageError, match="the image has no user web"):
        await find_user(files, "web")  # type: ignore[arg-type]
