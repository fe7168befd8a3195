"""Sockets (uapi linux/socket.h, asm-generic/socket.h; socket(2), socket(7), unix(7)).

The same on both architectures. Options of protocols are in inet.py, netlink in netlink.py.
"""

from typing import Annotated

from aionoah.abi.cstruct import I32, U16, U32, U64, Struct
from aionoah.abi.flags import Choice, Flags


class AF(Choice):
    """Address families (include/linux/socket.h)."""

    UNSPEC = 0
    UNIX = 1
    INET = 2
    AX25 = 3
    IPX = 4
    APPLETALK = 5
    NETROM = 6
    BRIDGE = 7
    ATMPVC = 8
    X25 = 9
    INET6 = 10
    ROSE = 11
    DECNET = 12
    NETBEUI = 13
    SECURITY = 14
    KEY = 15
    NETLINK = 16
    PACKET = 17
    ASH = 18
    ECONET = 19
    ATMSVC = 20
    RDS = 21
    SNA = 22
    IRDA = 23
    PPPOX = 24
    WANPIPE = 25
    LLC = 26
    IB = 27
    MPLS = 28
    CAN = 29
    TIPC = 30
    BLUETOOTH = 31
    IUCV = 32
    RXRPC = 33
    ISDN = 34
    PHONET = 35
    IEEE802154 = 36
    CAIF = 37
    ALG = 38
    NFC = 39
    VSOCK = 40
    KCM = 41
    QIPCRTR = 42
    SMC = 43
    XDP = 44
    MCTP = 45


class SOCK(Choice):
    """Types of sockets (include/linux/net.h)."""

    STREAM = 1
    DGRAM = 2
    RAW = 3
    RDM = 4
    SEQPACKET = 5
    DCCP = 6
    PACKET = 10


SOCK_TYPE_MASK = 0xF
SOCK_NONBLOCK = 0o4000  # may be or-ed to a type
SOCK_CLOEXEC = 0o2000000


class SHUT(Choice):
    """How to shut down."""

    RD = 0
    WR = 1
    RDWR = 2


class SOL(Choice):
    """Levels of options (include/linux/socket.h)."""

    IP = 0
    SOCKET = 1
    TCP = 6
    UDP = 17
    IPV6 = 41
    ICMPV6 = 58
    RAW = 255
    DECNET = 261
    X25 = 262
    PACKET = 263
    ATM = 264
    AAL = 265
    IRDA = 266
    NETBEUI = 267
    LLC = 268
    DCCP = 269
    NETLINK = 270
    TIPC = 271
    RXRPC = 272
    PPPOL2TP = 273
    BLUETOOTH = 274
    PNPIPE = 275
    RDS = 276
    IUCV = 277
    CAIF = 278
    ALG = 279
    NFC = 280
    KCM = 281
    TLS = 282
    XDP = 283
    MPTCP = 284
    MCTP = 285
    SMC = 286


class SO(Choice):
    """Options of SOL_SOCKET; of the two forms that times have, the 64-bit one of old has the plain name."""

    DEBUG = 1
    REUSEADDR = 2
    TYPE = 3
    ERROR = 4
    DONTROUTE = 5
    BROADCAST = 6
    SNDBUF = 7
    RCVBUF = 8
    KEEPALIVE = 9
    OOBINLINE = 10
    NO_CHECK = 11
    PRIORITY = 12
    LINGER = 13
    BSDCOMPAT = 14
    REUSEPORT = 15
    PASSCRED = 16
    PEERCRED = 17
    RCVLOWAT = 18
    SNDLOWAT = 19
    RCVTIMEO = 20
    SNDTIMEO = 21
    SECURITY_AUTHENTICATION = 22
    SECURITY_ENCRYPTION_TRANSPORT = 23
    SECURITY_ENCRYPTION_NETWORK = 24
    BINDTODEVICE = 25
    ATTACH_FILTER = 26
    DETACH_FILTER = 27
    PEERNAME = 28
    TIMESTAMP = 29
    ACCEPTCONN = 30
    PEERSEC = 31
    SNDBUFFORCE = 32
    RCVBUFFORCE = 33
    PASSSEC = 34
    TIMESTAMPNS = 35
    MARK = 36
    TIMESTAMPING = 37
    PROTOCOL = 38
    DOMAIN = 39
    RXQ_OVFL = 40
    WIFI_STATUS = 41
    PEEK_OFF = 42
    NOFCS = 43
    LOCK_FILTER = 44
    SELECT_ERR_QUEUE = 45
    BUSY_POLL = 46
    MAX_PACING_RATE = 47
    BPF_EXTENSIONS = 48
    INCOMING_CPU = 49
    ATTACH_BPF = 50
    ATTACH_REUSEPORT_CBPF = 51
    ATTACH_REUSEPORT_EBPF = 52
    CNX_ADVICE = 53
    MEMINFO = 55
    INCOMING_NAPI_ID = 56
    COOKIE = 57
    PEERGROUPS = 59
    ZEROCOPY = 60
    TXTIME = 61
    BINDTOIFINDEX = 62
    TIMESTAMP_NEW = 63
    TIMESTAMPNS_NEW = 64
    TIMESTAMPING_NEW = 65
    RCVTIMEO_NEW = 66
    SNDTIMEO_NEW = 67
    DETACH_REUSEPORT_BPF = 68
    PREFER_BUSY_POLL = 69
    BUSY_POLL_BUDGET = 70
    NETNS_COOKIE = 71
    BUF_LOCK = 72
    RESERVE_MEM = 73
    TXREHASH = 74
    RCVMARK = 75
    PASSPIDFD = 76
    PEERPIDFD = 77


class SCM(Choice):
    """Control messages of SOL_SOCKET."""

    RIGHTS = 1
    CREDENTIALS = 2
    SECURITY = 3
    PIDFD = 4
    TIMESTAMP = 29
    TIMESTAMPNS = 35
    TIMESTAMPING = 37


SCM_MAX_FD = 253
SOMAXCONN = 4096


class MSG(Flags):
    """Flags of send and recv calls."""

    OOB = 0x01
    PEEK = 0x02
    DONTROUTE = 0x04
    CTRUNC = 0x08
    PROXY = 0x10
    TRUNC = 0x20
    DONTWAIT = 0x40
    EOR = 0x80
    WAITALL = 0x100
    FIN = 0x200
    SYN = 0x400
    CONFIRM = 0x800
    RST = 0x1000
    ERRQUEUE = 0x2000
    NOSIGNAL = 0x4000
    MORE = 0x8000
    WAITFORONE = 0x10000
    BATCH = 0x40000
    ZEROCOPY = 0x4000000
    FASTOPEN = 0x20000000
    CMSG_CLOEXEC = 0x40000000


# -- addresses ----------------------------------------------------------------------------------------

UNIX_PATH_MAX = 108
SOCKADDR_STORAGE_SIZE = 128


class SockaddrUn(Struct):
    """What follows the path's NUL does not count; callers give the length (unix(7))."""

    sun_family: U16
    sun_path: Annotated[bytes, "108s"]


class SockaddrIn(Struct):
    """Address and port are in network byte order."""

    sin_family: U16
    sin_port: Annotated[bytes, "2s"]
    sin_addr: Annotated[bytes, "4s8x"]


class SockaddrIn6(Struct):
    sin6_family: U16
    sin6_port: Annotated[bytes, "2s"]
    sin6_flowinfo: Annotated[bytes, "4s"]
    sin6_addr: Annotated[bytes, "16s"]
    sin6_scope_id: U32


# -- messages -----------------------------------------------------------------------------------------


class Msghdr(Struct):
    """struct user_msghdr (include/linux/socket.h)."""

    msg_name: U64
    msg_namelen: I32
    msg_iov: U64
    msg_iovlen: U64
    msg_control: U64
    msg_controllen: U64
    msg_flags: U32


class Mmsghdr(Struct):
    msg_hdr: Msghdr
    msg_len: U32


class Cmsghdr(Struct):
    """The head of a control message; heads are aligned to 8 bytes, and `cmsg_len` counts this one."""

    cmsg_len: U64
    cmsg_level: I32
    cmsg_type: I32


class Ucred(Struct):
    pid: I32
    uid: U32
    gid: U32


class Linger(Struct):
    l_onoff: I32
    l_linger: I32
