"""Capabilities of files: what the attribute's value says, and who may say it."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.capability import (
    CAP_FULL_SET,
    VFS_CAP_REVISION_1,
    VFS_CAP_REVISION_2,
    VFS_CAP_REVISION_3,
    XATTR_NAME_CAPS,
)
from aionoah.abi.errno import LinuxError
from aionoah.fs.file_capabilities import (
    FileCapabilities,
    capabilities_of,
    parse,
    remove_capabilities,
    require_settable,
    shown,
)
from aionoah.fs.tmpfs import TmpFileSystem


def value(magic: int, *words: int) -> bytes:
    return struct.pack(f"<{1 + len(words)}I", magic, *words)


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [
        (value(VFS_CAP_REVISION_1 | 1, 5, 6), FileCapabilities(5, 6, is_effective=True)),
        (
            value(VFS_CAP_REVISION_2, 5, 6, 1, 2),
            FileCapabilities(1 << 32 | 5, 2 << 32 | 6, is_effective=False),
        ),
        (
            value(VFS_CAP_REVISION_3, 5, 6, 1, 2, 0),
            FileCapabilities(1 << 32 | 5, 2 << 32 | 6, is_effective=False),
        ),
        (value(VFS_CAP_REVISION_3, 5, 6, 1, 2, 1000), None),
        (
            value(VFS_CAP_REVISION_2, *[0xFFFF_FFFF] * 4),
            FileCapabilities(CAP_FULL_SET, CAP_FULL_SET, is_effective=False),
        ),
    ],
)
def test_revisions(given_value: bytes, expected: FileCapabilities | None) -> None:
    assert parse(given_value) == expected


@given(st.binary(max_size=30))
def test_nonsense(text: bytes) -> None:
    with contextlib.suppress(LinuxError):
        parse(text)


def test_what_is_shown() -> None:
    modern = value(VFS_CAP_REVISION_3 | 1, 1, 2, 3, 4, 0)
    assert shown(modern) == value(VFS_CAP_REVISION_2 | 1, 1, 2, 3, 4)
    foreign = value(VFS_CAP_REVISION_3, 1, 2, 3, 4, 7)
    assert shown(foreign) == foreign
    with pytest.raises(LinuxError, match="EINVAL"):
        require_settable(value(VFS_CAP_REVISION_1, 1, 2))


def test_of_a_file() -> None:
    inode = TmpFileSystem().root.create(b"file", 0o755, 0, 0)
    assert capabilities_of(inode) is None
    remove_capabilities(inode)
    inode.set_xattr(XATTR_NAME_CAPS, value(VFS_CAP_REVISION_2, 1, 0, 0, 0), 0)
    assert capabilities_of(inode) == FileCapabilities(1, 0, is_effective=False)
    inode.set_xattr(XATTR_NAME_CAPS, b"", 0)
    with pytest.raises(LinuxError, match="EINVAL"):
        capabilities_of(inode)
    remove_capabilities(inode)
    assert capabilities_of(inode) is None
