"""What the host tells of a file beyond stat, by the kind of host that we run on. Slow to import, because of ctypes."""

import sys

if sys.platform == "darwin":
    from aionoah.host.darwin_details import (
        details,
        file_handle,
        filesystem_uuid,
        flags,
        open_handle,
        share_blocks,
    )
else:
    from aionoah.host.linux_details import (
        details,
        file_handle,
        filesystem_uuid,
        flags,
        open_handle,
        share_blocks,
    )

__all__ = ["details", "file_handle", "filesystem_uuid", "flags", "open_handle", "share_blocks"]
