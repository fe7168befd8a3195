"""Wild arguments to the calls of sockets: the real kernel's answers, but for what is declared here."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from harness.guest import DYNAMIC, need_backend, need_tool, run_in_guest, run_natively

PROGRAM = Path(__file__).parent / "wild_sockets.py"
COUNT = 1500
_STREAM = 1

# Where two things are wrong, Linux's errors of a call may come in another order. Besides, these refuse what Linux does:
DECLARED = {
    # Options that reach into the host, or that no program depends on. A wild pointer to nothing is still wild.
    "getsockopt": ("ENOPROTOOPT",),
    "setsockopt": ("ENOPROTOOPT", "EPERM", "EFAULT"),
    # Requests that change interfaces or routes.
    "ioctl": ("EPERM", "ENOTTY"),
    # Packet sockets, generic netlink, vsock and their like are not built in.
    "socket": ("EPERM", "EPROTONOSUPPORT", "EAFNOSUPPORT"),
}
BESIDES = {("setsockopt 1 25", 0, "EINVAL")}  # no device at all


def is_declared(what: str, kind: list[Any], native: object, ours: object) -> bool:
    """Whether two answers may differ."""
    if what == "sendmsg" and kind[1] == _STREAM and native == "EFAULT":
        return True  # what lies before the wild pointer has gone
    if is_error(native) and is_error(ours):
        return True
    return ours in DECLARED.get(what.split(maxsplit=1)[0], ()) or (what, native, ours) in BESIDES


def is_error(answer: object) -> bool:
    return isinstance(answer, str) and answer != "made"


def differences(native: str, ours: str) -> list[tuple[Any, ...]]:
    """Up to the first one of each socket, as what follows depends on it."""
    found = []
    for line, other in zip(native.splitlines(), ours.splitlines(), strict=True):
        kind, steps = json.loads(line)
        for (what, expected), (_, actual) in zip(steps, json.loads(other)[1], strict=True):
            if expected != actual:
                if not is_declared(what, kind, expected, actual):
                    found.append((kind, what, expected, actual))
                break
    return found


@pytest.mark.guest
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_answers_like_linux(tmp_path: Path) -> None:
    need_backend(DYNAMIC)
    need_tool("python3")
    seed = os.environ.get("WILD_SEED", "1")
    command = ["/usr/bin/python3", "-c", PROGRAM.read_text(), seed, str(COUNT)]
    for name in ("native", "guest"):  # both leave sockets behind
        (tmp_path / name).mkdir()
    expected = run_natively(command, tmp_path / "native")
    actual = await run_in_guest(DYNAMIC, command, tmp_path / "guest")
    assert (expected.status, actual.status) == (0, 0), actual.errors
    found = differences(expected.output, actual.output)
    assert not found, "\n".join(map(str, found))
