"""From a layer's archive to its directory in the store."""

import os
from pathlib import Path
from typing import BinaryIO

from aionoah.images import ImageError
from aionoah.images.archive import BROKEN, Contents, Limits, entries
from aionoah.images.store import Store
from aionoah.images.tree import Tree


def unpack_layer(store: Store, archive: Path, diff_id: str | None, limits: Limits) -> str:
    """Unpack an archive that the store has no layer of; the digest of what it holds uncompressed, which is to be
    `diff_id` if that is known. Nothing is left of a layer that fails. ImageError.
    """
    name = diff_id or archive.name
    try:
        with archive.open("rb") as file:
            return unpack_stream(store, file, diff_id, limits)
    except OSError as error:
        raise ImageError(f"the layer {name} cannot be unpacked: {error.strerror}") from None
    except BROKEN as error:
        raise ImageError(f"the layer {name} is no sound archive: {error}") from None


def unpack_stream(store: Store, file: BinaryIO, diff_id: str | None, limits: Limits) -> str:
    """The same for a file that is open already. Raises OSError and BROKEN, too."""
    contents = Contents(file, limits)
    with store.new_layer() as layer:
        (layer.path / "diff").mkdir()
        _unpack(contents, layer.path / "diff", limits)
        digest = contents.digest()
        if diff_id not in (None, digest):
            raise ImageError(f"the layer {diff_id} is damaged: it holds {digest}")
        (layer.path / "size").write_text(str(contents.size))
        layer.become(digest)
    return digest


def _unpack(contents: Contents, place: Path, limits: Limits) -> None:
    top = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        tree = Tree(top)
        try:
            for member, archive in entries(contents, limits):
                tree.add(member, archive)
            tree.finish()
        finally:
            tree.close()
    finally:
        os.close(top)
