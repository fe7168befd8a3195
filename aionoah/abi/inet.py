"""Internet protocols and their options (uapi linux/in.h, in6.h, tcp.h, udp.h; ip(7), ipv6(7), tcp(7), udp(7))."""

from typing import Annotated

from aionoah.abi.cstruct import I32, Struct
from aionoah.abi.flags import Choice


class IPPROTO(Choice):
    IP = 0
    ICMP = 1
    IGMP = 2
    IPIP = 4
    TCP = 6
    EGP = 8
    PUP = 12
    UDP = 17
    IDP = 22
    TP = 29
    DCCP = 33
    IPV6 = 41
    RSVP = 46
    GRE = 47
    ESP = 50
    AH = 51
    ICMPV6 = 58
    MTP = 92
    BEETPH = 94
    ENCAP = 98
    PIM = 103
    COMP = 108
    L2TP = 115
    SCTP = 132
    UDPLITE = 136
    MPLS = 137
    ETHERNET = 143
    RAW = 255
    MPTCP = 262


class IP(Choice):
    """Options of SOL_IP."""

    TOS = 1
    TTL = 2
    HDRINCL = 3
    OPTIONS = 4
    ROUTER_ALERT = 5
    RECVOPTS = 6
    RETOPTS = 7
    PKTINFO = 8
    PKTOPTIONS = 9
    MTU_DISCOVER = 10
    RECVERR = 11
    RECVTTL = 12
    RECVTOS = 13
    MTU = 14
    FREEBIND = 15
    IPSEC_POLICY = 16
    XFRM_POLICY = 17
    PASSSEC = 18
    TRANSPARENT = 19
    ORIGDSTADDR = 20
    MINTTL = 21
    NODEFRAG = 22
    CHECKSUM = 23
    BIND_ADDRESS_NO_PORT = 24
    RECVFRAGSIZE = 25
    RECVERR_RFC4884 = 26
    MULTICAST_IF = 32
    MULTICAST_TTL = 33
    MULTICAST_LOOP = 34
    ADD_MEMBERSHIP = 35
    DROP_MEMBERSHIP = 36
    UNBLOCK_SOURCE = 37
    BLOCK_SOURCE = 38
    ADD_SOURCE_MEMBERSHIP = 39
    DROP_SOURCE_MEMBERSHIP = 40
    MSFILTER = 41
    MULTICAST_ALL = 49
    UNICAST_IF = 50
    LOCAL_PORT_RANGE = 51
    PROTOCOL = 52


class IPV6(Choice):
    """Options of SOL_IPV6; names of the header that start with a digit have RFC before it."""

    ADDRFORM = 1
    RFC2292PKTINFO = 2
    RFC2292HOPOPTS = 3
    RFC2292DSTOPTS = 4
    RFC2292RTHDR = 5
    RFC2292PKTOPTIONS = 6
    CHECKSUM = 7
    RFC2292HOPLIMIT = 8
    NEXTHOP = 9
    AUTHHDR = 10
    FLOWINFO = 11
    UNICAST_HOPS = 16
    MULTICAST_IF = 17
    MULTICAST_HOPS = 18
    MULTICAST_LOOP = 19
    ADD_MEMBERSHIP = 20
    DROP_MEMBERSHIP = 21
    ROUTER_ALERT = 22
    MTU_DISCOVER = 23
    MTU = 24
    RECVERR = 25
    V6ONLY = 26
    JOIN_ANYCAST = 27
    LEAVE_ANYCAST = 28
    MULTICAST_ALL = 29
    ROUTER_ALERT_ISOLATE = 30
    RECVERR_RFC4884 = 31
    FLOWLABEL_MGR = 32
    FLOWINFO_SEND = 33
    IPSEC_POLICY = 34
    XFRM_POLICY = 35
    HDRINCL = 36
    RECVPKTINFO = 49
    PKTINFO = 50
    RECVHOPLIMIT = 51
    HOPLIMIT = 52
    RECVHOPOPTS = 53
    HOPOPTS = 54
    RTHDRDSTOPTS = 55
    RECVRTHDR = 56
    RTHDR = 57
    RECVDSTOPTS = 58
    DSTOPTS = 59
    RECVPATHMTU = 60
    PATHMTU = 61
    DONTFRAG = 62
    RECVTCLASS = 66
    TCLASS = 67
    AUTOFLOWLABEL = 70
    MINHOPCOUNT = 73
    ORIGDSTADDR = 74
    TRANSPARENT = 75
    UNICAST_IF = 76
    RECVFRAGSIZE = 77
    FREEBIND = 78


class TCP(Choice):
    """Options of SOL_TCP."""

    NODELAY = 1
    MAXSEG = 2
    CORK = 3
    KEEPIDLE = 4
    KEEPINTVL = 5
    KEEPCNT = 6
    SYNCNT = 7
    LINGER2 = 8
    DEFER_ACCEPT = 9
    WINDOW_CLAMP = 10
    INFO = 11
    QUICKACK = 12
    CONGESTION = 13
    MD5SIG = 14
    THIN_LINEAR_TIMEOUTS = 16
    THIN_DUPACK = 17
    USER_TIMEOUT = 18
    REPAIR = 19
    REPAIR_QUEUE = 20
    QUEUE_SEQ = 21
    FASTOPEN = 23
    TIMESTAMP = 24
    NOTSENT_LOWAT = 25
    CC_INFO = 26
    SAVE_SYN = 27
    SAVED_SYN = 28
    REPAIR_WINDOW = 29
    FASTOPEN_CONNECT = 30
    ULP = 31
    MD5SIG_EXT = 32
    FASTOPEN_KEY = 33
    FASTOPEN_NO_COOKIE = 34
    ZEROCOPY_RECEIVE = 35
    INQ = 36
    TX_DELAY = 37


class UDP(Choice):
    """Options of SOL_UDP."""

    CORK = 1
    ENCAP = 100
    NO_CHECK6_TX = 101
    NO_CHECK6_RX = 102
    SEGMENT = 103
    GRO = 104


class ICMP6(Choice):
    """Options of SOL_ICMPV6."""

    FILTER = 1


class RAW(Choice):
    """Options of SOL_RAW: of raw(7) sockets, and the one of their IPv6 kind."""

    ICMP_FILTER = 1
    IPV6_CHECKSUM = 7


class IpMreq(Struct):
    imr_multiaddr: Annotated[bytes, "4s"]
    imr_interface: Annotated[bytes, "4s"]


class IpMreqn(Struct):
    imr_multiaddr: Annotated[bytes, "4s"]
    imr_address: Annotated[bytes, "4s"]
    imr_ifindex: I32


class InPktinfo(Struct):
    ipi_ifindex: I32
    ipi_spec_dst: Annotated[bytes, "4s"]
    ipi_addr: Annotated[bytes, "4s"]


class Ipv6Mreq(Struct):
    ipv6mr_multiaddr: Annotated[bytes, "16s"]
    ipv6mr_ifindex: I32


class In6Pktinfo(Struct):
    ipi6_addr: Annotated[bytes, "16s"]
    ipi6_ifindex: I32
