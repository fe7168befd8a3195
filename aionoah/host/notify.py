"""News of the host's directories, by the kind of host that we run on."""

import sys

if sys.platform == "darwin":
    from aionoah.host.darwin_notify import HostNotifier
else:
    from aionoah.host.linux_notify import HostNotifier

__all__ = ["HostNotifier"]
