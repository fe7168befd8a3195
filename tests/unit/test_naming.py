"""What an instance is called: its tree's /etc/hostname, whatever that is."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.trees import Tree

from aionoah.fs.hostfs import HostFileSystem
from aionoah.naming import DEFAULT, name_of


@pytest.fixture
def hostname(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    return tmp_path / "etc" / "hostname"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (b"wonderland\n", b"wonderland"),
        (b"  wonderland", b"wonderland"),
        (b"# mine\n\nwonderland.example\nother\n", b"wonderland.example"),
        (b"x" * 64, b"x" * 64),
        (b"x" * 65, DEFAULT),
        (b"a\0b\n", DEFAULT),
        (b"# nothing\n", DEFAULT),
        (b"", DEFAULT),
    ],
)
def test_the_file_says_it(hostname: Path, text: bytes, name: bytes) -> None:
    hostname.write_bytes(text)
    assert name_of(Tree(HostFileSystem(bytes(hostname.parent.parent))).namespace) == name


@pytest.mark.parametrize(
    "make", [os.mkfifo, os.mkdir, lambda path: os.symlink("hostname", path), lambda path: None]
)
def test_what_is_no_plain_file_says_nothing(hostname: Path, make: Callable[[Path], object]) -> None:
    make(hostname)
    assert name_of(Tree(HostFileSystem(bytes(hostname.parent.parent))).namespace) == DEFAULT
