"""signalfd calls, side by side with the host's kernel."""

from collections.abc import Callable, Iterator
from typing import Any

import aionoah.syscalls.signalfd  # noqa: F401 - registers its calls
from aionoah.abi.fcntl import F, O
from aionoah.abi.signal import SFD, SIG, signal_bit
from aionoah.signals.generate import send_to_process
from aionoah.signals.info import from_user

WILD = 8
USR1 = signal_bit(SIG.USR1).to_bytes(8, "little")


def test_making(same: Callable[[Any], None], make: Callable[..., int]) -> None:
    def script(kernel: Any) -> Iterator[Any]:
        mask = kernel.put(USR1)
        for flags in (0, SFD.CLOEXEC, SFD.NONBLOCK):
            fd = kernel.call("signalfd4", -1, mask, 8, flags)
            yield kernel.call("fcntl", fd, F.GETFD), kernel.call("fcntl", fd, F.GETFL) & ~O.LARGEFILE
        yield kernel.call("signalfd", fd, mask, 8) == fd
        yield kernel.call("signalfd4", -1, mask, 8, 1)
        yield kernel.call("signalfd4", -1, mask, 4, 0)
        yield kernel.call("signalfd4", -1, WILD, 8, 1)
        yield kernel.call("signalfd4", 999, mask, 8, 0)
        yield kernel.call("signalfd4", make(kernel, b"file"), mask, 8, 0)

    same(script)


def test_the_set_is_changed(guest: Any) -> None:
    from aionoah.process.current import set_current

    set_current(guest.task)
    guest.task.signals.set_mask(signal_bit(SIG.USR1))
    send_to_process(guest.task.process, from_user(SIG.USR1, 1, 2))
    fd = guest.call("signalfd4", -1, guest.put(bytes(8)), 8, SFD.NONBLOCK)
    room = guest.space(128)
    assert guest.call("read", fd, room, 128).name == "EAGAIN"
    assert guest.call("signalfd4", fd, guest.put(USR1), 8, 0) == fd
    assert guest.call("read", fd, room, 128) == 128
    set_current(None)
