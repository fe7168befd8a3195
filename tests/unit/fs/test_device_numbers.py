"""Device numbers are what tells file systems apart."""

import os
from pathlib import Path

from aionoah.abi.stat import major, makedev
from aionoah.fs.device_numbers import anonymous_device, internal_device
from aionoah.fs.hostfs import HostFileSystem
from aionoah.fs.overlay import OverlayFileSystem


def test_each_is_another_and_none_is_the_hosts() -> None:
    numbers = [anonymous_device() for _ in range(1000)]
    assert len({*numbers, *_of_the_host()}) == len(numbers) + len(_of_the_host())
    assert all(major(number) == 0 and 0 < number < 1 << 31 for number in numbers)


def _of_the_host() -> set[int]:
    with os.scandir("/") as found:
        return {entry.stat(follow_symlinks=False).st_dev for entry in found}


def test_the_kernels_own_form() -> None:
    assert internal_device(makedev(0xFE, 0x12345)) == 0xFE_12345


def test_an_overlay_is_not_on_the_device_of_its_layers(tmp_path: Path) -> None:
    """`df` would hide one of them, and `find -xdev` go from one into the other."""
    layer = HostFileSystem(str(tmp_path))
    (tmp_path / "file").touch()
    root = OverlayFileSystem([layer]).root
    devices = {root.attributes().dev, root.peek(b"file").dev, root.lookup(b"file").attributes().dev}
    assert devices == {root.filesystem.device}
    assert devices != {layer.device}
