"""What sysinfo tells (uapi linux/sysinfo.h; sysinfo(2))."""

from aionoah.abi.cstruct import I64, U16, U32, U64, Struct

SI_LOAD_SHIFT = 16  # loads are fixed-point numbers with this many binary places


class Sysinfo(Struct):
    """Sizes are in units of `mem_unit` bytes, `uptime` in seconds."""

    uptime: I64
    load1: U64
    load5: U64
    load15: U64
    totalram: U64
    freeram: U64
    sharedram: U64
    bufferram: U64
    totalswap: U64
    freeswap: U64
    procs: U16
    totalhigh: U64
    freehigh: U64
    mem_unit: U32
