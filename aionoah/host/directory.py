"""Whole directories in the form of getdents64, where the host has them so."""

import sys
from collections.abc import Collection

from aionoah.abi.dirent import PackedEntries

if sys.platform == "linux":
    from aionoah.host.linux_directory import read_entries
else:

    def read_entries(fd: int, hidden: Collection[int]) -> PackedEntries | None:  # noqa: ARG001
        """Other hosts have their own form."""
        return None


__all__ = ["read_entries"]
