"""What nobody may do here, root neither."""

import importlib
from typing import Any

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno

for _module in ("administration", "cachestat"):
    importlib.import_module(f"aionoah.syscalls.{_module}")

MAGIC, MAGIC2 = 0xFEE1DEAD, 672274793


def drop(guest: Any, capability: int) -> None:
    guest.task.credentials.effective &= ~(1 << capability)


def all_capabilities(guest: Any) -> None:
    guest.task.credentials.effective = (1 << 41) - 1


def test_nothing_is_swapped_to(guest: Any) -> None:
    all_capabilities(guest)
    assert guest.call("swapoff", b"/nonexistent") is Errno.ENOENT
    assert guest.call("swapoff", b"/") is Errno.EINVAL
    assert guest.call("swapon", b"/", 1 << 20) is Errno.EINVAL
    assert guest.call("swapon", b"/", 0) is Errno.EPERM
    drop(guest, CAP.SYS_ADMIN)
    assert guest.call("swapoff", b"/nonexistent") is Errno.EPERM


def test_the_machine_stays_up(guest: Any) -> None:
    all_capabilities(guest)
    assert guest.call("reboot", MAGIC, 1, 0, 0) is Errno.EINVAL
    assert guest.call("reboot", MAGIC, MAGIC2, 0x1234567, 0) is Errno.EPERM
    drop(guest, CAP.SYS_BOOT)
    assert guest.call("reboot", MAGIC, 1, 0, 0) is Errno.EPERM


def test_quotas(guest: Any, make: Any) -> None:
    fd = make(guest, b"file")
    for kind, expected in ((0, Errno.ENOSYS), (2, Errno.ENOSYS), (3, Errno.EINVAL)):
        assert guest.call("quotactl_fd", fd, 0x800004 << 8 | kind, 0, 0) is expected
    assert guest.call("quotactl", 0x800004 << 8, b"file", 0, 0) is Errno.ENOTBLK
    assert guest.call("quotactl", 0x800004 << 8, None, 0, 0) is Errno.ENODEV
    assert guest.call("quotactl", 0x800001 << 8, None, 0, 0) == 0


def test_who_may_not_write_is_not_told_what_is_cached(guest: Any, make: Any) -> None:
    make(guest, b"file")
    guest.call("chmod", b"file", 0o444)
    fd = guest.call("openat", -100, b"file", 0)
    task = guest.task
    task.credentials.fsuid = task.credentials.euid = 1234567
    task.credentials.effective = 0
    span, room = guest.put(bytes(16)), guest.space(40)
    assert guest.call("cachestat", fd, span, room, 0) is Errno.EPERM
