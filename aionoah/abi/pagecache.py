"""What of a file is in memory (uapi linux/mman.h; cachestat(2)). All but the range is in pages."""

from aionoah.abi.cstruct import U64, Struct


class CachestatRange(Struct):
    off: U64  # in bytes
    len: U64  # 0: to the end


class Cachestat(Struct):
    nr_cache: U64
    nr_dirty: U64
    nr_writeback: U64
    nr_evicted: U64
    nr_recently_evicted: U64
