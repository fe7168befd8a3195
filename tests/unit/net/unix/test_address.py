"""Names of UNIX sockets in guests' sockaddrs and in the tree."""

import os
from pathlib import Path

import pytest
from fakes.expect import fails
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.errno import Errno
from aionoah.abi.socket import SOCK
from aionoah.abi.stat import S
from aionoah.fs.context import FsContext
from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.mount_namespace import MountNamespace
from aionoah.fs.operations import chmod, mkdir, mknod, rename, symlink, unlink, walk
from aionoah.fs.tmpfs import TmpFileSystem
from aionoah.net.network import Network
from aionoah.net.unix import address
from aionoah.net.unix.creation import new_unix_pair, new_unix_socket
from aionoah.process.credentials import Credentials


@pytest.fixture
def fs() -> FsContext:
    return FsContext(MountNamespace.of(TmpFileSystem(mode=0o777)).root, Credentials())


@given(st.binary(max_size=130))
def test_any_bytes(path: bytes) -> None:
    name = b"\1\0" + path
    if len(path) > 108:
        fails(Errno.EINVAL, address.parse, name)
        return
    parsed = address.parse(name)
    assert path.startswith(parsed)
    if path.startswith(b"\0"):
        assert address.unparse(parsed) == name
    elif path:
        assert address.unparse(parsed) == b"\1\0" + path.partition(b"\0")[0] + b"\0"


@pytest.mark.parametrize("name", [b"", b"\1", b"\2\0x", b"\0\0x", b"\1\0" + b"x" * 109])
def test_no_names(name: bytes) -> None:
    fails(Errno.EINVAL, address.parse, name)


def test_a_target_needs_a_name() -> None:
    assert address.parse(b"\1\0") == b""
    fails(Errno.EINVAL, address.parse_target, b"\1\0")


def test_binding_makes_a_socket_in_the_tree(fs: FsContext) -> None:
    network = Network()
    fs.umask = 0o027
    made = new_unix_socket(network, SOCK.STREAM, 0, 0)
    made.bind(b"\1\0sock", fs)
    assert walk(fs, fs.root, b"/sock").inode.attributes().mode == S.IFSOCK | 0o750
    assert address.find(network, b"/sock", SOCK.STREAM, fs) is made
    symlink(fs, b"sock", fs.root, b"link")
    assert address.find(network, b"link", SOCK.STREAM, fs) is made
    rename(fs, fs.root, b"sock", fs.root, b"moved", 0)
    assert address.find(network, b"moved", SOCK.STREAM, fs) is made
    fails(Errno.ENOENT, address.find, network, b"sock", SOCK.STREAM, fs)
    fails(Errno.EPROTOTYPE, address.find, network, b"moved", SOCK.DGRAM, fs)
    made.drop()
    fails(Errno.ECONNREFUSED, address.find, network, b"moved", SOCK.STREAM, fs)
    assert not network.places


def test_names_that_are_taken(fs: FsContext) -> None:
    network = Network()
    one, other = (new_unix_socket(network, SOCK.DGRAM, 0, 0) for _ in range(2))
    one.bind(b"\1\0sock", fs)
    fails(Errno.EADDRINUSE, other.bind, b"\1\0sock", fs)
    fails(Errno.EADDRINUSE, one.bind, b"\1\0sock", fs)
    fails(Errno.EINVAL, one.bind, b"\1\0other", fs)
    fails(Errno.EINVAL, one.bind, b"\1\0\0other", fs)
    fails(Errno.ENOENT, other.bind, b"\1\0missing/sock", fs)
    unlink(fs, fs.root, b"sock")
    other.bind(b"\1\0sock", fs)
    assert address.find(network, b"sock", SOCK.DGRAM, fs) is other
    one.drop()
    assert address.find(network, b"sock", SOCK.DGRAM, fs) is other


def test_a_name_on_the_hosts_disk(tmp_path: Path) -> None:
    network, root = Network(), HostFileSystem(os.fsencode(tmp_path))
    fs = FsContext(MountNamespace.of(root).root, Credentials(os.getuid(), os.getgid()))
    made, later = (new_unix_socket(network, SOCK.STREAM, 0, 0) for _ in range(2))
    made.bind(b"\1\0sock", fs)
    assert (tmp_path / "sock").is_socket()
    assert address.find(network, b"sock", SOCK.STREAM, fs) is made
    (tmp_path / "sock").unlink()
    later.bind(b"\1\0sock", fs)  # may get the same inode number
    made.drop()  # whose name is gone
    assert address.find(network, b"sock", SOCK.STREAM, fs) is later
    later.drop()
    assert not network.places
    root.release()


def test_abstract_names_are_apart_for_each_type(fs: FsContext) -> None:
    network = Network()
    stream, datagram, third = (
        new_unix_socket(network, kind, 0, 0) for kind in (SOCK.STREAM, SOCK.DGRAM, SOCK.DGRAM)
    )
    stream.bind(b"\1\0\0n\0me", fs)
    datagram.bind(b"\1\0\0n\0me", fs)
    fails(Errno.EADDRINUSE, third.bind, b"\1\0\0n\0me", fs)
    assert address.find(network, b"\0n\0me", SOCK.STREAM, fs) is stream
    assert address.find(network, b"\0n\0me", SOCK.DGRAM, None) is datagram
    fails(Errno.ECONNREFUSED, address.find, network, b"\0n", SOCK.STREAM, fs)
    fails(Errno.ECONNREFUSED, address.find, Network(), b"\0n\0me", SOCK.STREAM, fs)
    stream.drop()
    fails(Errno.ECONNREFUSED, address.find, network, b"\0n\0me", SOCK.STREAM, fs)


def test_automatic_names_are_free_ones(fs: FsContext) -> None:
    network = Network()
    taken, one, other = (new_unix_socket(network, SOCK.STREAM, 0, 0) for _ in range(3))
    taken.bind(b"\1\0\0" + b"00001", fs)
    one.bind(b"\1\0", fs)
    other.bind(b"\1\0", fs)
    assert (one.name(), other.name()) == (b"\1\0\0" + b"00002", b"\1\0\0" + b"00003")
    one.bind(b"\1\0", fs)
    assert one.name() == b"\1\0\0" + b"00002"


def test_what_is_no_socket_of_ours(fs: FsContext) -> None:
    network = Network()
    mknod(fs, fs.root, b"strange", S.IFSOCK | 0o777, 0)  # as a host program's looks
    mkdir(fs, fs.root, b"directory", 0o777)
    for path in (b"strange", b"directory"):
        fails(Errno.ECONNREFUSED, address.find, network, path, SOCK.STREAM, fs)
    fails(Errno.ENOTDIR, address.find, network, b"strange/x", SOCK.STREAM, fs)
    fails(Errno.ECONNREFUSED, address.find, network, b"strange", SOCK.STREAM, None)


def test_who_may_not_write_may_not_connect(fs: FsContext) -> None:
    network = Network()
    made = new_unix_socket(network, SOCK.STREAM, 0, 0)
    made.bind(b"\1\0sock", fs)
    chmod(fs, walk(fs, fs.root, b"sock"), 0o755)
    stranger = FsContext(fs.root, Credentials(1000, 1000))
    fails(Errno.EACCES, address.find, network, b"sock", SOCK.STREAM, stranger)


def test_making_sockets() -> None:
    network = Network()
    fails(Errno.EPROTONOSUPPORT, new_unix_socket, network, SOCK.STREAM, 7, 0)
    fails(Errno.ESOCKTNOSUPPORT, new_unix_socket, network, SOCK.RDM, 0, 0)
    assert new_unix_socket(network, SOCK.RAW, 0, 0).kind == SOCK.DGRAM
    one, other = new_unix_pair(network, SOCK.SEQPACKET, 1, 0)
    assert (one.peer, other.peer) == (other, one)
    assert one.name() == one.peer_name() == b"\1\0"
