"""What is behind a mapping."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.expect import fails
from fakes.files import HostFile
from fakes.machine import FakeMachine

from aionoah.abi.errno import Errno
from aionoah.abi.fcntl import FALLOC, O
from aionoah.hypervisor.protocols import PAGE_SIZE
from aionoah.memory.backing import ENDLESS, FileBacking, FramesBacking

P = PAGE_SIZE
MakeFile = Callable[..., HostFile]


class TestFileBacking:
    def test_equal_for_one_open_file(self, make_file: MakeFile) -> None:
        one, other = make_file(b"x"), make_file(b"x")
        assert FileBacking(one) == FileBacking(one)
        assert hash(FileBacking(one)) == hash(FileBacking(one))
        assert FileBacking(one) != FileBacking(other)
        assert FileBacking(one) != one

    @pytest.mark.parametrize(("size", "pages"), [(0, 0), (1, 1), (P, 1), (P + 1, 2)])
    def test_pages_as_the_file_has_them_now(self, make_file: MakeFile, size: int, pages: int) -> None:
        backing = FileBacking(make_file(bytes(size)))
        assert backing.page_count() == pages

    def test_devices_have_no_end(self) -> None:
        fd = os.open("/dev/zero", os.O_RDWR)
        assert FileBacking(HostFile(fd)).page_count() == ENDLESS
        os.close(fd)

    def test_frames_are_the_file(self, make_file: MakeFile, machine: FakeMachine) -> None:
        file = make_file(b"a" * P + b"b" * P)
        first = FileBacking(file).frames_at(machine.frames, 1, 1, shared=True)
        assert bytes(machine.frames.view(first, 1)) == b"b" * P
        machine.frames.view(first, 1)[0] = 67
        assert os.pread(file.fd, 2, P) == b"Cb"
        machine.frames.drop(first, 1)

    def test_readers_cannot_share_for_writing(self, machine: FakeMachine, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"x")
        fd = os.open(path, os.O_RDONLY)
        first = FileBacking(HostFile(fd, O.RDONLY)).frames_at(machine.frames, 0, 1, shared=True)
        machine.frames.drop(first, 1)
        fails(
            Errno.EACCES,
            lambda: FileBacking(HostFile(fd, O.RDWR)).frames_at(machine.frames, 0, 1, shared=True),
        )
        os.close(fd)

    def test_counts_and_requests_reach_the_file(self, make_file: MakeFile) -> None:
        file = make_file(b"x")
        backing = FileBacking(file)
        backing.hold()
        assert file.references == 2
        backing.drop()
        backing.sync()
        backing.punch_hole(P, 2 * P)
        assert (file.references, file.syncs) == (1, 1)
        assert file.holes == [(FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE, P, 2 * P)]
        facts = os.fstat(file.fd)
        assert backing.device_and_inode() == (facts.st_dev, facts.st_ino)


class TestFramesBacking:
    def test_lives_as_long_as_somebody_holds_it(self, machine: FakeMachine) -> None:
        backing = FramesBacking.anonymous(machine.frames, 3)
        backing.hold()
        backing.drop()
        assert machine.frames.in_use == backing.page_count() == 3
        backing.drop()
        assert machine.frames.in_use == 0

    def test_shows_the_same_frames_to_everybody(self, machine: FakeMachine) -> None:
        backing = FramesBacking.anonymous(machine.frames, 3)
        one = backing.frames_at(machine.frames, 1, 2, shared=True)
        two = backing.frames_at(machine.frames, 2, 1, shared=True)
        assert two == one + 1
        assert machine.frames.references(two) == 3
        machine.frames.drop(one, 2)
        machine.frames.drop(two, 1)
        backing.drop()

    def test_hole(self, machine: FakeMachine) -> None:
        backing = FramesBacking.anonymous(machine.frames, 3)
        first = backing.frames_at(machine.frames, 0, 3, shared=True)
        machine.frames.view(first, 3)[:] = b"x" * 3 * P
        backing.punch_hole(P, 9 * P)
        assert bytes(machine.frames.view(first, 3)) == b"x" * P + bytes(2 * P)
        backing.punch_hole(9 * P, P)
        machine.frames.drop(first, 3)
        backing.drop()

    def test_inodes(self, machine: FakeMachine) -> None:
        made = [FramesBacking.anonymous(machine.frames, 1) for _ in range(2)]
        (device, one), (_, two) = (backing.device_and_inode() for backing in made)
        assert device == 1
        assert one != two
        for backing in made:
            backing.sync()
            backing.drop()

    def test_named_pages_have_none(self, machine: FakeMachine) -> None:
        backing = FramesBacking(machine.frames, machine.frames.allocate(1), 1, b"[vdso]")
        assert (backing.device_and_inode(), backing.name) == ((0, 0), b"[vdso]")
        backing.drop()

    def test_exhausted(self, machine: FakeMachine) -> None:
        with pytest.raises(MemoryError):
            FramesBacking.anonymous(machine.frames, machine.frames.limit + 1)
