"""Computed file systems, by a small one whose owner is a dict."""

from collections.abc import Iterable
from typing import Any

import pytest

from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.fcntl import SEEK, O
from aionoah.abi.stat import DT, S
from aionoah.fs.context import FsContext
from aionoah.fs.file import File
from aionoah.fs.inode import Change, Inode
from aionoah.fs.mount import Mount
from aionoah.fs.mount_namespace import MountNamespace
from aionoah.fs.path import Dentry, walk
from aionoah.fs.synthetic import Bound, Directory, Link, Node, SyntheticFileSystem, Text
from aionoah.memory.buffer import KernelBuffer
from aionoah.process.credentials import Credentials

Owner = dict[bytes, bytes]


def _write(owner: Owner, data: bytes) -> None:
    if data == b"refused":
        raise LinuxError(Errno.EINVAL)
    owner[b"text"] = data


def _names(owner: Owner) -> Iterable[bytes]:
    return sorted(owner)


def _find(owner: Owner, name: bytes) -> Bound | None:
    return Bound(_ENTRY, owner[name], lambda _mode: (7, 8)) if name in owner else None


_ENTRY: Directory[bytes] = Directory({b"value": Text(lambda value: value)})
_TREE: dict[bytes, Node[Owner]] = {
    b"text": Text(lambda owner: owner[b"text"], _write),
    b"fixed": Text(lambda _owner: b"fixed", mode=0o400, refusal=Errno.EINVAL),
    b"link": Link(b"sub/../text"),
    b"computed": Link(lambda owner: owner[b"text"], mode=lambda owner: len(owner[b"text"])),
    b"sub": Directory({b"deep": Text(lambda _owner: b"deep")}, mode=0o700),
    b"entries": Directory(names=_names, find=_find, size=len),
}


@pytest.fixture
def owner() -> Owner:
    return {b"text": b"hello"}


@pytest.fixture
def filesystem(owner: Owner) -> SyntheticFileSystem:
    return SyntheticFileSystem(
        Directory(_TREE), owner, type_name=b"test", magic=0x1234, device=99, block_size=1024
    )


@pytest.fixture
def find(filesystem: SyntheticFileSystem) -> Any:
    """Walks a path of the file system mounted as the root."""
    tree = MountNamespace.of(filesystem)
    context = FsContext(tree.root, Credentials())

    def find_path(path: bytes, *, follow: bool = True) -> Dentry:
        return walk(context, tree.root, path, follow=follow)

    return find_path


def open_at(dentry: Dentry, flags: int = O.RDONLY) -> File:
    return dentry.inode.open(O(flags), dentry)


def get(file: File, length: int = 100) -> bytes:
    memory = bytearray(length)
    return bytes(memory[: file.read_nowait(KernelBuffer(memory))])


def fails(errno: Errno) -> Any:
    return pytest.raises(LinuxError, match=f"^{errno.name}$")


# -- inodes -------------------------------------------------------------------------------------------------


def test_attributes(find: Any, filesystem: SyntheticFileSystem) -> None:
    text = find(b"/text").inode.attributes()
    assert text.mode == S.IFREG | 0o644
    assert (text.dev, text.nlink, text.size, text.blksize, text.uid) == (99, 1, 0, 1024, 0)
    assert text.mtime_ns == filesystem.made_ns
    assert find(b"/fixed").inode.attributes().mode == S.IFREG | 0o400
    root = filesystem.root.attributes()
    assert (root.ino, root.mode, root.nlink) == (1, S.IFDIR | 0o555, 4)
    assert find(b"/sub").inode.attributes().mode == S.IFDIR | 0o700
    assert filesystem.status().magic == 0x1234


def test_inode_numbers_are_stable_and_different(find: Any) -> None:
    paths = (b"/", b"/text", b"/fixed", b"/sub", b"/sub/deep", b"/entries", b"/entries/text")
    numbers = [find(path).inode.attributes().ino for path in paths]
    assert len(set(numbers)) == len(paths)
    assert numbers == [find(path).inode.attributes().ino for path in paths]


def test_an_inode_that_is_held_is_found_again(find: Any) -> None:
    sub = find(b"/sub")
    assert find(b"/sub") is sub
    assert find(b"/sub").inode is sub.inode


def test_another_owner_is_another_file(find: Any, owner: Owner) -> None:
    entry = find(b"/entries/text").inode
    owner[b"text"] = bytes(range(3))  # a new object under the old name
    assert find(b"/entries/text").inode is not entry


def test_owners_of_directories_are_inherited(find: Any) -> None:
    for path in (b"/entries/text", b"/entries/text/value"):
        attributes = find(path).inode.attributes()
        assert (attributes.uid, attributes.gid) == (7, 8)


# -- directories --------------------------------------------------------------------------------------------


def test_listing(find: Any, owner: Owner) -> None:
    entries = list(open_at(find(b"/")).entries())
    assert [entry.name for entry in entries] == [b".", b"..", *_TREE]
    assert [entry.kind for entry in entries[2:]] == [DT.REG, DT.REG, DT.LNK, DT.LNK, DT.DIR, DT.DIR]
    for entry in entries[2:]:
        assert find(b"/" + entry.name, follow=False).inode.attributes().ino == entry.ino
    owner[b"more"] = b""
    assert [entry.name for entry in open_at(find(b"/entries")).entries()] == [b".", b"..", b"more", b"text"]
    assert find(b"/entries").inode.attributes().size == 2
    root = open_at(find(b"/"))
    root.seek(3, SEEK.SET)
    rest = list(root.entries())
    assert [entry.name for entry in rest] == [*_TREE][1:]
    assert [entry.cookie for entry in rest][:2] == [4, 5]


def test_dots_have_the_right_numbers(find: Any) -> None:
    here, above = find(b"/sub").inode.listing()[:2]
    assert here[0] == find(b"/sub").inode.attributes().ino
    assert above[0] == 1


def test_what_is_not_there(find: Any) -> None:
    for path in (b"/nothing", b"/sub/nothing", b"/entries/nothing"):
        with fails(Errno.ENOENT):
            find(path)
    with fails(Errno.ENOTDIR):
        find(b"/text/more")


def test_changes_are_refused_as_in_proc(find: Any) -> None:
    root: Inode = find(b"/").inode
    text: Inode = find(b"/text").inode
    for change in (
        lambda: root.create(b"new", 0o644, 0, 0),
        lambda: root.mkdir(b"new", 0o755, 0, 0),
        lambda: root.mknod(b"new", S.IFIFO, 0, 0, 0),
        lambda: root.symlink(b"new", b"x", 0, 0),
        lambda: root.link(b"new", text),
        lambda: root.rename(b"text", root, b"new", 0),
        lambda: root.unlink(b"nothing"),
    ):
        with fails(Errno.ENOENT):
            change()
    for refused in (
        lambda: root.unlink(b"text"),
        lambda: root.rmdir(b"sub"),
        lambda: text.change(Change(mode=0o777)),
        lambda: text.change(Change(uid=5)),
    ):
        with fails(Errno.EPERM):
            refused()
    text.change(Change(size=0))
    text.change(Change(atime_ns=5))


# -- files --------------------------------------------------------------------------------------------------


def test_contents_are_made_when_reading_begins(find: Any, owner: Owner) -> None:
    file = open_at(find(b"/text"))
    owner[b"text"] = b"0123456789"
    assert get(file, 4) == b"0123"
    owner[b"text"] = b"changed meanwhile"
    assert get(file, 4) == b"4567"
    assert get(file) == b"89"
    assert get(file) == b""
    assert file.seek(0, SEEK.SET) == 0
    assert get(file) == b"changed meanwhile"


def test_reading_at_an_offset(find: Any) -> None:
    file = open_at(find(b"/text"))
    memory = bytearray(3)
    assert file.pread(KernelBuffer(memory), 1) == 3
    assert memory == b"ell"
    assert file.pread(KernelBuffer(memory), 50) == 0
    assert file.offset == 0


def test_seeking(find: Any) -> None:
    file = open_at(find(b"/text"))
    assert file.seek(3, SEEK.SET) == 3
    assert get(file) == b"lo"
    assert file.seek(-1, SEEK.CUR) == 4
    assert file.seek(1000, SEEK.SET) == 1000
    assert get(file) == b""
    for offset, whence in ((-1, SEEK.SET), (-1001, SEEK.CUR), (0, SEEK.END), (0, SEEK.DATA)):
        with fails(Errno.EINVAL):
            file.seek(offset, whence)


def test_writing(find: Any, owner: Owner) -> None:
    file = open_at(find(b"/text"), O.RDWR)
    file.truncate(0)
    assert file.write_nowait(KernelBuffer(b"new")) == 3
    assert owner[b"text"] == b"new"
    with fails(Errno.EINVAL):
        file.write_nowait(KernelBuffer(b"refused"))
    file.write_nowait(KernelBuffer(bytes(5000)))
    assert len(owner[b"text"]) == 4096
    assert file.pwrite(KernelBuffer(b"x"), 3) == 1
    assert owner[b"text"] == b"x"


def test_writing_what_cannot_be_written(find: Any) -> None:
    with fails(Errno.EINVAL):
        open_at(find(b"/fixed"), O.WRONLY).write_nowait(KernelBuffer(b"x"))
    with fails(Errno.EIO):
        open_at(find(b"/sub/deep"), O.WRONLY).write_nowait(KernelBuffer(b"x"))


# -- links --------------------------------------------------------------------------------------------------


def test_links(find: Any, owner: Owner) -> None:
    assert find(b"/link").inode is find(b"/text").inode
    link = find(b"/link", follow=False).inode
    assert link.readlink() == b"sub/../text"
    assert link.attributes().size == 11
    assert link.magic_target() is None
    computed = find(b"/computed", follow=False).inode
    assert computed.readlink() == b"hello"
    assert computed.attributes().mode == S.IFLNK | 5
    owner[b"text"] = b"/sub/deep"
    assert get(open_at(find(b"/computed"))) == b"deep"


def test_magic_links(find: Any, owner: Owner) -> None:
    """They lead to an object, even out of the tree."""
    elsewhere = SyntheticFileSystem(
        Directory({b"inside": Text(lambda _: b"found")}),
        None,
        type_name=b"x",
        magic=1,
        device=2,
        block_size=1,
    )
    mount = Mount(elsewhere)
    magic: Link[Owner] = Link(b"nowhere:[1]", lambda _owner: mount.root, size=64)
    tree = SyntheticFileSystem(
        Directory({b"magic": magic}), owner, type_name=b"x", magic=1, device=3, block_size=1
    )
    namespace = MountNamespace.of(tree)
    context = FsContext(namespace.root, Credentials())
    link = walk(context, namespace.root, b"/magic", follow=False).inode
    assert link.readlink() == b"nowhere:[1]"
    assert link.attributes().size == 64
    assert walk(context, namespace.root, b"/magic") is mount.root
    assert get(open_at(walk(context, namespace.root, b"/magic/inside"))) == b"found"
