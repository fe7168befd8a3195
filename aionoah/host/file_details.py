"""What the host tells of a file beyond stat, by the kind of host that we run on. Slow to import, because of ctypes."""

import sys

if sys.platform == "darwin":
    from aionoah.host.darwin_details import (
        control,
        details,
        file_handle,
        filesystem_uuid,
        flags,
        make_changeable,
        open_handle,
        require_sharing,
        share_blocks,
        share_same_blocks,
    )
else:
    from aionoah.host.linux_details import (
        control,
        details,
        file_handle,
        filesystem_uuid,
        flags,
        make_changeable,
        open_handle,
        require_sharing,
        share_blocks,
        share_same_blocks,
    )

__all__ = [
    "control",
    "details",
    "file_handle",
    "filesystem_uuid",
    "flags",
    "make_changeable",
    "open_handle",
    "require_sharing",
    "share_blocks",
    "share_same_blocks",
]
