"""Memory mappings (uapi asm-generic/mman-common.h, asm-generic/mman.h, linux/mman.h, linux/memfd.h; mmap(2))."""

from aionoah.abi.flags import Choice, Flags


class PROT(Flags):
    NONE = 0
    READ = 0x1
    WRITE = 0x2
    EXEC = 0x4
    SEM = 0x8
    GROWSDOWN = 0x01000000
    GROWSUP = 0x02000000


class MAP(Flags):
    """Flags of mmap. The low two bits are a choice: SHARED, PRIVATE or SHARED_VALIDATE."""

    SHARED = 0x01
    PRIVATE = 0x02
    SHARED_VALIDATE = 0x03
    TYPE = 0x0F
    FIXED = 0x10
    ANONYMOUS = 0x20
    BIT32 = 0x40  # MAP_32BIT; x86_64 only
    GROWSDOWN = 0x0100
    DENYWRITE = 0x0800
    EXECUTABLE = 0x1000
    LOCKED = 0x2000
    NORESERVE = 0x4000
    POPULATE = 0x008000
    NONBLOCK = 0x010000
    STACK = 0x020000
    HUGETLB = 0x040000
    SYNC = 0x080000
    FIXED_NOREPLACE = 0x100000
    UNINITIALIZED = 0x4000000


MAP_HUGE_SHIFT = 26  # the bits from here on are the logarithm of the page size of a HUGETLB mapping
MAP_HUGE_MASK = 0x3F


class MREMAP(Flags):
    MAYMOVE = 1
    FIXED = 2
    DONTUNMAP = 4


class MADV(Choice):
    NORMAL = 0
    RANDOM = 1
    SEQUENTIAL = 2
    WILLNEED = 3
    DONTNEED = 4
    FREE = 8
    REMOVE = 9
    DONTFORK = 10
    DOFORK = 11
    MERGEABLE = 12
    UNMERGEABLE = 13
    HUGEPAGE = 14
    NOHUGEPAGE = 15
    DONTDUMP = 16
    DODUMP = 17
    WIPEONFORK = 18
    KEEPONFORK = 19
    COLD = 20
    PAGEOUT = 21
    POPULATE_READ = 22
    POPULATE_WRITE = 23
    DONTNEED_LOCKED = 24
    COLLAPSE = 25
    HWPOISON = 100
    SOFT_OFFLINE = 101


class MS(Flags):
    """Flags of msync."""

    ASYNC = 1
    INVALIDATE = 2
    SYNC = 4


class MCL(Flags):
    """Flags of mlockall."""

    CURRENT = 1
    FUTURE = 2
    ONFAULT = 4


class MLOCK(Flags):
    """Flags of mlock2."""

    ONFAULT = 0x01


class MFD(Flags):
    """Flags of memfd_create."""

    CLOEXEC = 0x0001
    ALLOW_SEALING = 0x0002
    HUGETLB = 0x0004
    NOEXEC_SEAL = 0x0008
    EXEC = 0x0010


class PKEY(Flags):
    """Access rights of pkey_alloc."""

    DISABLE_ACCESS = 0x1
    DISABLE_WRITE = 0x2


class MEMBARRIER(Flags):
    """Commands of membarrier(2); QUERY answers with a set of them (linux/membarrier.h)."""

    QUERY = 0
    GLOBAL = 1 << 0
    GLOBAL_EXPEDITED = 1 << 1
    REGISTER_GLOBAL_EXPEDITED = 1 << 2
    PRIVATE_EXPEDITED = 1 << 3
    REGISTER_PRIVATE_EXPEDITED = 1 << 4
    PRIVATE_EXPEDITED_SYNC_CORE = 1 << 5
    REGISTER_PRIVATE_EXPEDITED_SYNC_CORE = 1 << 6
    PRIVATE_EXPEDITED_RSEQ = 1 << 7
    REGISTER_PRIVATE_EXPEDITED_RSEQ = 1 << 8
    GET_REGISTRATIONS = 1 << 9


MEMBARRIER_FLAG_CPU = 1  # with PRIVATE_EXPEDITED_RSEQ: of one CPU only
