"""What ETHTOOL commands ask and answer (uapi linux/ethtool.h); those of them that only ask."""

from aionoah.abi.flags import Choice


class ETHTOOL(Choice):
    GSET = 0x01
    GDRVINFO = 0x03
    GLINK = 0x0A
    GLINKSETTINGS = 0x4C


SIZES = {ETHTOOL.GSET: 44, ETHTOOL.GDRVINFO: 196, ETHTOOL.GLINK: 8, ETHTOOL.GLINKSETTINGS: 48}
"""Bytes of each structure, the command first. GLINKSETTINGS has three bitmaps behind, of as many words each as the
signed byte at MASK_WORDS says.
"""

MASK_WORDS = 15
