"""POSIX access control lists: their form, what they grant, and how they and the mode bits follow each other.

Sources: acl(5); Linux fs/posix_acl.c.
"""

import itertools
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from aionoah.abi.acl import ACL, ACL_UNDEFINED_ID, POSIX_ACL_XATTR_VERSION
from aionoah.abi.errno import Errno, LinuxError

if TYPE_CHECKING:
    from aionoah.fs.inode import Attributes
    from aionoah.fs.permissions import Identity

_HEADER: Final = struct.Struct("<I")
_ENTRY: Final = struct.Struct("<HHI")
_OBJECTS: Final = (ACL.USER_OBJ, ACL.GROUP_OBJ, ACL.OTHER)


class Entry(NamedTuple):
    """Who (tag and number) may do what (bits of ACCESS)."""

    tag: int
    permissions: int
    who: int = ACL_UNDEFINED_ID


def parse(value: bytes) -> list[Entry]:
    """The entries of an attribute; none for an empty list. EINVAL, EOPNOTSUPP for another version."""
    if len(value) < _HEADER.size:
        raise LinuxError(Errno.EINVAL)
    if _HEADER.unpack_from(value)[0] != POSIX_ACL_XATTR_VERSION:
        raise LinuxError(Errno.EOPNOTSUPP)
    if (len(value) - _HEADER.size) % _ENTRY.size:
        raise LinuxError(Errno.EINVAL)
    entries = [Entry(*words) for words in _ENTRY.iter_unpack(value[_HEADER.size :])]
    if entries and not _is_valid(entries):
        raise LinuxError(Errno.EINVAL)
    return entries


def _is_valid(entries: Sequence[Entry]) -> bool:
    """posix_acl_valid: in order, the three of the mode once each, a mask if anybody is named."""
    tags = [entry.tag for entry in entries]
    named = {ACL.USER, ACL.GROUP}
    return (
        all(earlier <= later for earlier, later in itertools.pairwise(tags))
        and all(entry.permissions <= 7 for entry in entries)
        and all(tags.count(tag) == 1 for tag in _OBJECTS)
        and set(tags) <= {*_OBJECTS, *named, ACL.MASK}
        and tags.count(ACL.MASK) <= 1
        and (ACL.MASK in tags or not named & set(tags))
        and all(entry.who != ACL_UNDEFINED_ID for entry in entries if entry.tag in named)
    )


def pack(entries: Sequence[Entry]) -> bytes:
    def number(entry: Entry) -> int:
        return entry.who if entry.tag in (ACL.USER, ACL.GROUP) else ACL_UNDEFINED_ID

    return _HEADER.pack(POSIX_ACL_XATTR_VERSION) + b"".join(
        _ENTRY.pack(entry.tag, entry.permissions, number(entry)) for entry in entries
    )


def permission_bits(entries: Sequence[Entry]) -> int:
    """The nine bits of the mode that show a list: the mask stands for the group if there is one."""
    found = {entry.tag: entry.permissions for entry in entries if entry.tag not in (ACL.USER, ACL.GROUP)}
    group = found.get(ACL.MASK, found[ACL.GROUP_OBJ])
    return found[ACL.USER_OBJ] << 6 | group << 3 | found[ACL.OTHER]


def is_trivial(entries: Sequence[Entry]) -> bool:
    """Whether a list says no more than the mode does."""
    return len(entries) == len(_OBJECTS)


def with_mode(entries: Sequence[Entry], mode: int) -> list[Entry]:
    """What chmod makes of a list."""
    bits = _bits_of(entries, mode)
    return [entry._replace(permissions=bits.get(entry.tag, entry.permissions)) for entry in entries]


def inherited(default: Sequence[Entry], mode: int) -> list[Entry]:
    """The list of a new file in a directory with a default one: no more than the creator has asked for."""
    limits = _bits_of(default, mode)
    return [entry._replace(permissions=entry.permissions & limits.get(entry.tag, 7)) for entry in default]


def _bits_of(entries: Sequence[Entry], mode: int) -> dict[int, int]:
    """What a mode says of the entries that it stands for, by their tags."""
    has_mask = any(entry.tag == ACL.MASK for entry in entries)
    return {
        ACL.USER_OBJ: mode >> 6 & 7,
        ACL.MASK if has_mask else ACL.GROUP_OBJ: mode >> 3 & 7,
        ACL.OTHER: mode & 7,
    }


def grants(entries: Sequence[Entry], attributes: "Attributes", identity: "Identity", wanted: int) -> bool:
    """posix_acl_permission, for anybody but the owner."""
    mask = next((entry.permissions for entry in entries if entry.tag == ACL.MASK), 7)
    of_groups = False
    for entry in entries:
        if entry.tag == ACL.USER and entry.who == identity.uid:
            return not wanted & ~(entry.permissions & mask)
        is_group = entry.tag == ACL.GROUP_OBJ and identity.is_member(attributes.gid)
        if is_group or (entry.tag == ACL.GROUP and identity.is_member(entry.who)):
            if not wanted & ~(entry.permissions & mask):
                return True
            of_groups = True
    if of_groups:
        return False
    return not wanted & ~next(entry.permissions for entry in entries if entry.tag == ACL.OTHER)
