"""On which nodes memory is to be (uapi linux/mempolicy.h; set_mempolicy(2))."""

from aionoah.abi.flags import Choice, Flags

MAX_NUMNODES = 1024  # 1 << CONFIG_NODES_SHIFT, as distributions have it
MPOL_MODE_FLAGS = 7 << 13  # in the word of a mode


class MPOL(Choice):
    """Modes."""

    DEFAULT = 0
    PREFERRED = 1
    BIND = 2
    INTERLEAVE = 3
    LOCAL = 4
    PREFERRED_MANY = 5
    WEIGHTED_INTERLEAVE = 6


class MPOL_F(Flags):  # noqa: N801 - the name of the header
    """Flags of a mode."""

    NUMA_BALANCING = 1 << 13
    RELATIVE_NODES = 1 << 14
    STATIC_NODES = 1 << 15


class MPOL_GET(Flags):  # noqa: N801
    """Flags of get_mempolicy, which the header calls MPOL_F as well."""

    WIDTH = 64
    NODE = 1
    ADDR = 2
    MEMS_ALLOWED = 4


class MPOL_MF(Flags):  # noqa: N801
    """Flags of mbind and move_pages."""

    STRICT = 1
    MOVE = 2
    MOVE_ALL = 4
