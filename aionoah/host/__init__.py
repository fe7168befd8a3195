"""The host border. `platform` is the module of the host that we run on."""

import sys

if sys.platform == "darwin":
    from aionoah.host import darwin as platform
else:
    from aionoah.host import linux as platform

__all__ = ["platform"]
