"""Requests of ioctl (uapi asm-generic/ioctl.h, ioctls.h and the headers below; ioctl(2), ioctl_tty(2)).

The same on both architectures. Bits 30 and 31 of a request of the new form say in which direction a
structure goes, bits 16 to 29 how many bytes it has.
"""

from typing import Annotated

from aionoah.abi.cstruct import I16, I32, I64, U16, U32, U64, Struct
from aionoah.abi.flags import Choice, Flags


class IOCTL(Choice):
    # Terminals and descriptors: asm-generic/ioctls.h.
    TCGETS = 0x5401
    TCSETS = 0x5402
    TCSETSW = 0x5403
    TCSETSF = 0x5404
    TCGETA = 0x5405
    TCSETA = 0x5406
    TCSETAW = 0x5407
    TCSETAF = 0x5408
    TCSBRK = 0x5409
    TCXONC = 0x540A
    TCFLSH = 0x540B
    TIOCEXCL = 0x540C
    TIOCNXCL = 0x540D
    TIOCSCTTY = 0x540E
    TIOCGPGRP = 0x540F
    TIOCSPGRP = 0x5410
    TIOCOUTQ = 0x5411
    TIOCSTI = 0x5412
    TIOCGWINSZ = 0x5413
    TIOCSWINSZ = 0x5414
    TIOCMGET = 0x5415
    TIOCMBIS = 0x5416
    TIOCMBIC = 0x5417
    TIOCMSET = 0x5418
    TIOCGSOFTCAR = 0x5419
    TIOCSSOFTCAR = 0x541A
    FIONREAD = 0x541B
    TIOCLINUX = 0x541C
    TIOCCONS = 0x541D
    TIOCGSERIAL = 0x541E
    TIOCPKT = 0x5420
    FIONBIO = 0x5421
    TIOCNOTTY = 0x5422
    TIOCSETD = 0x5423
    TIOCGETD = 0x5424
    TCSBRKP = 0x5425
    TIOCSBRK = 0x5427
    TIOCCBRK = 0x5428
    TIOCGSID = 0x5429
    TCGETS2 = 0x802C542A
    TCSETS2 = 0x402C542B
    TCSETSW2 = 0x402C542C
    TCSETSF2 = 0x402C542D
    TIOCGPTN = 0x80045430
    TIOCSPTLCK = 0x40045431
    TIOCGDEV = 0x80045432
    TIOCSIG = 0x40045436
    TIOCVHANGUP = 0x5437
    TIOCGPKT = 0x80045438
    TIOCGPTLCK = 0x80045439
    TIOCGEXCL = 0x80045440
    TIOCGPTPEER = 0x5441
    FIONCLEX = 0x5450
    FIOCLEX = 0x5451
    FIOASYNC = 0x5452
    FIOQSIZE = 0x5460
    # Sockets: asm-generic/sockios.h and linux/sockios.h.
    FIOSETOWN = 0x8901
    SIOCSPGRP = 0x8902
    FIOGETOWN = 0x8903
    SIOCGPGRP = 0x8904
    SIOCATMARK = 0x8905
    SIOCGIFNAME = 0x8910
    SIOCGIFCONF = 0x8912
    SIOCGIFFLAGS = 0x8913
    SIOCGIFADDR = 0x8915
    SIOCGIFDSTADDR = 0x8917
    SIOCGIFBRDADDR = 0x8919
    SIOCGIFNETMASK = 0x891B
    SIOCGIFMETRIC = 0x891D
    SIOCGIFMTU = 0x8921
    SIOCGIFHWADDR = 0x8927
    SIOCGIFINDEX = 0x8933
    SIOCGIFTXQLEN = 0x8942
    SIOCETHTOOL = 0x8946
    # File systems: linux/fs.h and linux/fiemap.h.
    FIBMAP = 0x1
    FIGETBSZ = 0x2
    FIFREEZE = 0xC0045877
    FITHAW = 0xC0045878
    FITRIM = 0xC0185879
    FICLONE = 0x40049409
    FICLONERANGE = 0x4020940D
    FIDEDUPERANGE = 0xC0189436
    FS_IOC_GETFLAGS = 0x80086601
    FS_IOC_SETFLAGS = 0x40086602
    FS_IOC_GETVERSION = 0x80087601
    FS_IOC_SETVERSION = 0x40087602
    FS_IOC_FIEMAP = 0xC020660B
    FS_IOC_FSGETXATTR = 0x801C581F
    FS_IOC_FSSETXATTR = 0x401C5820
    FS_IOC_GETFSLABEL = 0x81009431
    FS_IOC_SETFSLABEL = 0x41009432
    # Block devices: linux/fs.h.
    BLKROSET = 0x125D
    BLKROGET = 0x125E
    BLKRRPART = 0x125F
    BLKGETSIZE = 0x1260
    BLKFLSBUF = 0x1261
    BLKRASET = 0x1262
    BLKRAGET = 0x1263
    BLKSSZGET = 0x1268
    BLKBSZGET = 0x80081270
    BLKBSZSET = 0x40081271
    BLKGETSIZE64 = 0x80081272
    BLKDISCARD = 0x1277
    BLKIOMIN = 0x1278
    BLKIOOPT = 0x1279
    BLKALIGNOFF = 0x127A
    BLKPBSZGET = 0x127B
    BLKDISCARDZEROES = 0x127C
    BLKZEROOUT = 0x127F
    BLKROTATIONAL = 0x127E
    # Random bytes: linux/random.h.
    RNDGETENTCNT = 0x80045200
    RNDADDTOENTCNT = 0x40045201
    RNDGETPOOL = 0x80085202
    RNDADDENTROPY = 0x40085203
    RNDZAPENTCNT = 0x5204
    RNDCLEARPOOL = 0x5206
    RNDRESEEDCRNG = 0x5207
    # Name spaces: linux/nsfs.h.
    NS_GET_USERNS = 0xB701
    NS_GET_PARENT = 0xB702
    NS_GET_NSTYPE = 0xB703
    NS_GET_OWNER_UID = 0xB704
    # Consoles and drives, by which programs find out what a descriptor is.
    KDGKBTYPE = 0x4B33
    KDGETMODE = 0x4B3B
    VT_GETSTATE = 0x5603
    CDROM_GET_CAPABILITY = 0x5331


class Winsize(Struct):
    """The size of a terminal (asm-generic/termios.h)."""

    ws_row: U16
    ws_col: U16
    ws_xpixel: U16
    ws_ypixel: U16


class FS_FL(Flags):  # noqa: N801 - like the names of the header
    """Inode flags of FS_IOC_GETFLAGS: FS_SECRM_FL and so on."""

    SECRM = 0x00000001
    UNRM = 0x00000002
    COMPR = 0x00000004
    SYNC = 0x00000008
    IMMUTABLE = 0x00000010
    APPEND = 0x00000020
    NODUMP = 0x00000040
    NOATIME = 0x00000080
    ENCRYPT = 0x00000800
    JOURNAL_DATA = 0x00004000
    DIRSYNC = 0x00010000
    TOPDIR = 0x00020000
    EXTENT = 0x00080000
    VERITY = 0x00100000
    NOCOW = 0x00800000
    DAX = 0x02000000
    INLINE_DATA = 0x10000000
    PROJINHERIT = 0x20000000
    CASEFOLD = 0x40000000


class FS_IOC(Choice):  # noqa: N801
    """Requests of every file system that programs know as those of XFS: include/linux/falloc.h, which is not for them."""

    RESVSP = 0x40305828
    UNRESVSP = 0x40305829
    RESVSP64 = 0x4030582A
    UNRESVSP64 = 0x4030582B
    ZERO_RANGE = 0x40305839


class FS_XFLAG(Flags):  # noqa: N801
    """Flags of FS_IOC_FSGETXATTR: FS_XFLAG_REALTIME and so on."""

    REALTIME = 0x00000001
    PREALLOC = 0x00000002
    IMMUTABLE = 0x00000008
    APPEND = 0x00000010
    SYNC = 0x00000020
    NOATIME = 0x00000040
    NODUMP = 0x00000080
    RTINHERIT = 0x00000100
    PROJINHERIT = 0x00000200
    NOSYMLINKS = 0x00000400
    EXTSIZE = 0x00000800
    EXTSZINHERIT = 0x00001000
    NODEFRAG = 0x00002000
    FILESTREAM = 0x00004000
    DAX = 0x00008000
    COWEXTSIZE = 0x00010000
    HASATTR = 0x80000000


class FileCloneRange(Struct):
    """Argument of FICLONERANGE."""

    src_fd: I64
    src_offset: U64
    src_length: U64
    dest_offset: U64


class FileDedupeRange(Struct):
    """Argument of FIDEDUPERANGE, without the places to share with."""

    src_offset: U64
    src_length: U64
    dest_count: U16
    reserved1: U16
    reserved2: U32


class FileDedupeRangeInfo(Struct):
    """One of the places."""

    dest_fd: I64
    dest_offset: U64
    bytes_deduped: U64
    status: I32
    reserved: U32


class Fiemap(Struct):
    """Argument of FS_IOC_FIEMAP, without its extents."""

    fm_start: U64
    fm_length: U64
    fm_flags: U32
    fm_mapped_extents: U32
    fm_extent_count: U32
    fm_reserved: U32


class SpaceResv(Struct):
    """Argument of FS_IOC_RESVSP."""

    l_type: I16
    l_whence: Annotated[int, "h4x"]
    l_start: I64
    l_len: I64
    l_sysid: I32
    l_pid: U32
    l_pad: Annotated[bytes, "16s"]


class Fsxattr(Struct):
    """Argument of FS_IOC_FSGETXATTR."""

    fsx_xflags: U32
    fsx_extsize: U32
    fsx_nextents: U32
    fsx_projid: U32
    fsx_cowextsize: Annotated[int, "I8x"]


class Ifreq(Struct):
    """Argument of SIOCGIF*: a name and a union of 24 bytes (linux/if.h)."""

    ifr_name: Annotated[bytes, "16s"]
    ifr_ifru: Annotated[bytes, "24s"]


class Ifconf(Struct):
    """Argument of SIOCGIFCONF."""

    ifc_len: Annotated[int, "i4x"]
    ifc_buf: U64


class VtStat(Struct):
    """Argument of VT_GETSTATE."""

    v_active: U16
    v_signal: U16
    v_state: U16
