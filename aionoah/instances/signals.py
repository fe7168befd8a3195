"""Names of signals, as users write them."""

import re
import signal
from typing import Final

from aionoah.abi.signal import SIG, signal_name
from aionoah.instances import InstanceError

_REAL_TIME: Final = re.compile(r"RTM(IN|AX)([+-]\d{1,2})?")
_FIRST_FREE: Final = 34  # what glibc calls SIGRTMIN: it keeps the first two for itself


def parse_signal(text: str) -> int:
    """The host's number for `TERM`, `SIGTERM`, `RTMIN+3` or Linux's number. InstanceError."""
    name = text.upper().removeprefix("SIG")
    number = int(name) if re.fullmatch(r"\d{1,2}", name) else _real_time(name)
    if number is not None and SIG.RTMIN <= number <= SIG.RTMAX:
        return number
    if number is not None:
        name = signal_name(number).removeprefix("SIG")
    found = getattr(signal, f"SIG{name}", None)
    if not isinstance(found, signal.Signals) or not hasattr(SIG, name):
        raise InstanceError(f"{text!r} is no signal")
    return int(found)


def _real_time(name: str) -> int | None:
    match = _REAL_TIME.fullmatch(name)
    if match is None:
        return None
    return (_FIRST_FREE if match[1] == "IN" else int(SIG.RTMAX)) + int(match[2] or 0)
