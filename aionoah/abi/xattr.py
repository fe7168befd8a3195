"""Extended attributes (uapi linux/xattr.h, linux/limits.h; xattr(7))."""

from aionoah.abi.flags import Flags

XATTR_NAME_MAX = 255
XATTR_SIZE_MAX = 65536
XATTR_LIST_MAX = 65536

XATTR_USER_PREFIX = b"user."
XATTR_TRUSTED_PREFIX = b"trusted."
XATTR_SECURITY_PREFIX = b"security."
XATTR_SYSTEM_PREFIX = b"system."


class XATTR(Flags):
    """Flags of setxattr."""

    CREATE = 0x1
    REPLACE = 0x2
