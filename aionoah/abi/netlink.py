"""Netlink (uapi linux/netlink.h; netlink(7))."""

from aionoah.abi.cstruct import I32, U16, U32, Struct
from aionoah.abi.flags import Choice, Flags


class NETLINK(Choice):
    """Families: the protocol argument of socket."""

    ROUTE = 0
    UNUSED = 1
    USERSOCK = 2
    FIREWALL = 3
    SOCK_DIAG = 4
    NFLOG = 5
    XFRM = 6
    SELINUX = 7
    ISCSI = 8
    AUDIT = 9
    FIB_LOOKUP = 10
    CONNECTOR = 11
    NETFILTER = 12
    IP6_FW = 13
    DNRTMSG = 14
    KOBJECT_UEVENT = 15
    GENERIC = 16
    SCSITRANSPORT = 18
    ECRYPTFS = 19
    RDMA = 20
    CRYPTO = 21
    SMC = 22


class NETLINK_OPTION(Choice):  # noqa: N801 - like the names around it
    """Options of SOL_NETLINK: NETLINK_ADD_MEMBERSHIP and so on."""

    ADD_MEMBERSHIP = 1
    DROP_MEMBERSHIP = 2
    PKTINFO = 3
    BROADCAST_ERROR = 4
    NO_ENOBUFS = 5
    RX_RING = 6
    TX_RING = 7
    LISTEN_ALL_NSID = 8
    LIST_MEMBERSHIPS = 9
    CAP_ACK = 10
    EXT_ACK = 11
    GET_STRICT_CHK = 12


class NLMSG(Choice):
    """Types of messages below those of the families."""

    NOOP = 0x1
    ERROR = 0x2
    DONE = 0x3
    OVERRUN = 0x4
    MIN_TYPE = 0x10


class NLM_F(Flags):  # noqa: N801 - the name of the header
    """Flags of messages; from 0x100 on those of requests to get."""

    REQUEST = 0x01
    MULTI = 0x02
    ACK = 0x04
    ECHO = 0x08
    DUMP_INTR = 0x10
    DUMP_FILTERED = 0x20
    ROOT = 0x100
    MATCH = 0x200
    ATOMIC = 0x400
    DUMP = 0x300


NLMSG_ALIGNTO = 4


class SockaddrNl(Struct):
    nl_family: U16
    nl_pid: U32
    nl_groups: U32


class Nlmsghdr(Struct):
    nlmsg_len: U32
    nlmsg_type: U16
    nlmsg_flags: U16
    nlmsg_seq: U32
    nlmsg_pid: U32


class Nlmsgerr(Struct):
    error: I32
    msg: Nlmsghdr


class Nlattr(Struct):
    nla_len: U16
    nla_type: U16
