"""Steps of trails (trails.py) through an overlay: what has to be the same in each of its layers."""

from typing import TYPE_CHECKING

from aionoah.fs.inode import Inode
from aionoah.fs.overlay_inode import OverlayInode

if TYPE_CHECKING:
    from aionoah.fs.overlay_directory import OverlayDirectory
    from aionoah.fs.trails import Test


def confirmer(directory: "OverlayDirectory", name: bytes, found: OverlayInode) -> "Test | None":
    """Every layer is asked whether it still has, or lacks, what it had or lacked.

    That a directory hides those below it is an attribute, which is not asked for again: in the layer above
    nobody else changes anything, and those below are not changed while they are parts of several (as on Linux).
    """
    pairs = _in_layers(directory, found)
    if pairs is None:
        return None
    tests = [layer.confirmer(name, real) for layer, real in pairs]
    first, *others = tests
    upper, found_upper = directory.upper, found.upper
    if first is None or None in others:
        return None
    if not others:
        return lambda: directory.upper is upper and found.upper is found_upper and first()

    def holds() -> bool:
        return (
            directory.upper is upper
            and found.upper is found_upper
            and all(is_so is not None and is_so() for is_so in tests)
        )

    return holds


def _in_layers(directory: "OverlayDirectory", found: OverlayInode) -> list[tuple[Inode, Inode | None]] | None:
    """The layers of a directory, each with what it has of an entry. None where that cannot be told."""
    pairs: list[tuple[Inode, Inode | None]] = []
    if directory.upper is not None:
        pairs.append((directory.upper, found.upper))
    layers = directory.lowers
    if len(found.lowers) == len(layers):
        pairs += zip(layers, found.lowers, strict=True)
        return pairs
    by_filesystem = {real.filesystem: real for real in found.lowers}
    if len({layer.filesystem for layer in layers}) != len(layers):
        return None
    pairs += [(layer, by_filesystem.get(layer.filesystem)) for layer in layers]
    return pairs
