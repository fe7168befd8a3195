"""Descriptors that event loops watch, by the kind of host that we run on."""

import sys

if sys.platform == "darwin":
    from aionoah.host.darwin_events import ClockWatch, EdgePoller, HostTimer
else:
    from aionoah.host.linux_events import ClockWatch, EdgePoller, HostTimer

__all__ = ["ClockWatch", "EdgePoller", "HostTimer"]
