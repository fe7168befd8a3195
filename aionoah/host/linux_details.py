"""What Linux tells of a file beyond stat. darwin_details.py has the same functions.

All take a descriptor, which need not be good for anything but naming the file, and raise OSError.
"""

import ctypes
import fcntl
import os
import struct
from typing import Final, NamedTuple

from aionoah.abi.fcntl import AT
from aionoah.abi.stat import STATX, STATX_ATTR, Statx
from aionoah.abi.time import NSEC_PER_SEC
from aionoah.host.libc import call

_FS_IOC_GETFLAGS: Final = 0x80086601
_FS_IOC_SETFLAGS: Final = 0x40086602
_UNCHANGEABLE: Final = 0x10 | 0x20  # FS_IMMUTABLE_FL, FS_APPEND_FL
_FICLONERANGE: Final = 0x4020940D
_FIDEDUPERANGE: Final = 0xC0189436
_FS_IOC_GETFSUUID: Final = 0x80111500  # linux/fs.h, since Linux 6.9
_WANTED: Final = int(STATX.BTIME | STATX.DIOALIGN)
_MAX_HANDLE: Final = 128
# What a file system says of the file itself; the others are its mount's.
_ATTRIBUTES: Final = int(
    STATX_ATTR.COMPRESSED
    | STATX_ATTR.IMMUTABLE
    | STATX_ATTR.APPEND
    | STATX_ATTR.NODUMP
    | STATX_ATTR.ENCRYPTED
    | STATX_ATTR.VERITY
)


class HostDetails(NamedTuple):
    """As fs.inode.Details."""

    birth_ns: int | None
    attributes: int
    known_attributes: int
    direct_alignment: tuple[int, int] | None = None


def details(fd: int) -> HostDetails:
    """What only statx(2) tells."""
    buffer = ctypes.create_string_buffer(Statx.SIZE)
    call("statx", fd, b"", int(AT.EMPTY_PATH), _WANTED, buffer)
    found = Statx.unpack(buffer.raw)
    present = STATX(found.stx_mask)
    birth = found.stx_btime.tv_sec * NSEC_PER_SEC + found.stx_btime.tv_nsec
    return HostDetails(
        birth if STATX.BTIME in present else None,
        found.stx_attributes & _ATTRIBUTES,
        found.stx_attributes_mask & _ATTRIBUTES,
        (found.stx_dio_mem_align, found.stx_dio_offset_align) if STATX.DIOALIGN in present else None,
    )


def file_handle(fd: int) -> tuple[int, bytes]:
    """A type and some bytes that stand for this file and no other, as long as its file system lives
    (name_to_handle_at(2)). EOPNOTSUPP.
    """
    buffer = ctypes.create_string_buffer(8 + _MAX_HANDLE)
    size, kind = ctypes.c_uint32.from_buffer(buffer), ctypes.c_int32.from_buffer(buffer, 4)
    mount = ctypes.c_int()
    size.value = _MAX_HANDLE
    call("name_to_handle_at", fd, b"", buffer, ctypes.byref(mount), int(AT.EMPTY_PATH))
    return kind.value, buffer.raw[8 : 8 + size.value]


def flags(fd: int) -> int:
    """Those of FS_IOC_GETFLAGS. ENOTTY where there are none."""
    return int.from_bytes(control(fd, _FS_IOC_GETFLAGS, bytes(8))[:4], "little")


def control(fd: int, request: int, argument: bytes) -> bytes:
    """A request of linux/fs.h whose argument has the length of `argument`: what the kernel has made of it."""
    own = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        answer = bytearray(argument)
        fcntl.ioctl(own, request, answer, True)
        return bytes(answer)
    finally:
        os.close(own)


def make_changeable(fd: int) -> bool:
    """Take away the flags that keep a file from being changed and removed, whoever asks. Whether it had any."""
    present = flags(fd)
    if not present & _UNCHANGEABLE:
        return False
    control(fd, _FS_IOC_SETFLAGS, (present & ~_UNCHANGEABLE).to_bytes(8, "little"))
    return True


def share_blocks(source: int, offset: int, length: int, target: int, target_offset: int) -> None:
    """Make a part of a file show the blocks of another one, until one of them changes; length 0 is up to the end.

    EOPNOTSUPP, EXDEV, EINVAL where the file system cannot.
    """
    fcntl.ioctl(target, _FICLONERANGE, struct.pack("qQQQ", source, offset, length, target_offset))


def share_same_blocks(
    source: int, offset: int, length: int, target: int, target_offset: int
) -> tuple[int, int]:
    """The same for parts that are equal, which somebody who may only read can do to them. How many bytes are shared
    now, and a status: 1 for parts that differ, or a negative errno.
    """
    head = struct.pack("QQHHI", offset, length, 1, 0, 0)
    answer = bytearray(head + struct.pack("qQQiI", target, target_offset, 0, 0, 0))
    fcntl.ioctl(source, _FIDEDUPERANGE, answer, True)
    done, status = struct.unpack_from("Qi", answer, len(head) + 16)
    return done, status


def require_sharing(source: int, offset: int, length: int) -> None:
    """OSError where `share_same_blocks` cannot be for a part of a file, whatever it is to be compared with."""
    fcntl.ioctl(source, _FIDEDUPERANGE, bytearray(struct.pack("QQHHI", offset, length, 0, 0, 0)), True)


def open_handle(place: int, kind: int, handle: bytes) -> int:
    """A descriptor that names the file of a handle, wherever it is; `place` is any directory of its file system
    that is open for reading (open_by_handle_at(2)). EPERM for all but root, ESTALE.
    """
    buffer = ctypes.create_string_buffer(struct.pack("Ii", len(handle), kind) + handle, 8 + _MAX_HANDLE)
    return call("open_by_handle_at", place, buffer, os.O_PATH | os.O_CLOEXEC)


def filesystem_uuid(fd: int) -> bytes:
    """The 16 bytes by which the kernel knows the file system of a file. OSError where it has none, ENOTTY on an older kernel.

    The descriptor must be open for reading.
    """
    answer = fcntl.ioctl(fd, _FS_IOC_GETFSUUID, bytes(17))
    return answer[1:17]
