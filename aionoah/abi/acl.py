"""POSIX access control lists as extended attributes (uapi linux/posix_acl_xattr.h, linux/posix_acl.h; acl(5))."""

from aionoah.abi.flags import Choice

XATTR_POSIX_ACL_ACCESS = b"system.posix_acl_access"
XATTR_POSIX_ACL_DEFAULT = b"system.posix_acl_default"
POSIX_ACL_XATTR_VERSION = 2
ACL_UNDEFINED_ID = 0xFFFFFFFF


class ACL(Choice):
    """Tags of entries, in the order in which entries stand."""

    USER_OBJ = 0x01
    USER = 0x02
    GROUP_OBJ = 0x04
    GROUP = 0x08
    MASK = 0x10
    OTHER = 0x20
