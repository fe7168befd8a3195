"""A process of its own for an instance: a daemon, as daemon(7) has it for those that systemd does not start."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from typing import Any, Final

from aionoah.instances.place import Place, holder
from aionoah.instances.spec import Spec
from aionoah.instances.supervisor import StartError
from aionoah.statuses import FAILED

_CURRENT: Final = ("XDG_RUNTIME_DIR", "NOTIFY_SOCKET")  # of each start, not of the making
_MOST: Final = 65536  # bytes of its first words


def environment(spec: Spec) -> dict[str, str]:
    """What the daemon has: as when the instance was made, so that each start is like the first."""
    current = {name: os.environ[name] for name in _CURRENT if name in os.environ}
    return {name: value for name, value in spec.environment.items() if name not in _CURRENT} | current


def take_environment(spec: Spec) -> None:
    """The same for this process."""
    wanted = environment(spec)
    os.environ.clear()
    os.environ.update(wanted)


def start_detached(place: Place, spec: Spec, module: str) -> None:
    """Returns once the program runs. `module` is the daemon's. StartError with what it says, OSError."""
    reading, writing = os.pipe()
    try:
        with place.errors.open("ab") as errors:
            if holder(place) is None:  # else another daemon writes there, and this one will say that it does
                errors.truncate(0)
            words = [
                sys.executable,
                "-P",
                "-m",
                module,
                place.name,
                str(place.directory.parent),
                str(writing),
            ]
            daemon = subprocess.Popen(  # noqa: S603 - ourselves
                words,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                cwd="/",
                env=environment(spec),
                pass_fds=(writing,),
                start_new_session=True,
            )
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    with open(reading, "rb") as answers:  # noqa: PTH123 - a descriptor
        daemon.wait()
        answer = answers.read(_MOST)
    _check(answer, place)


def _check(answer: bytes, place: Place) -> None:
    try:
        found = json.loads(answer)
    except ValueError:
        last = place.errors.read_text("utf-8", "replace").strip().rpartition("\n")[2]
        raise StartError(
            f"{place.name} ended before it had started: {last or 'it does not say why'}", FAILED
        ) from None
    if "error" in found:
        raise StartError(found["error"], found["status"])


class Reporter:
    """The daemon's first words to whoever has started it, who may be gone."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd
        if fd is not None:
            os.set_inheritable(fd, False)

    def started(self) -> None:
        self._report({"started": os.getpid()})

    def failed(self, sentence: str, status: int) -> None:
        self._report({"error": sentence, "status": status})

    def _report(self, answer: dict[str, Any]) -> None:
        if self._fd is None:
            return
        with contextlib.suppress(OSError):
            os.write(self._fd, json.dumps(answer).encode())
        os.close(self._fd)
        self._fd = None


def become_daemon() -> None:
    """Leave whoever has started us. Standard streams and the session are new already; not being the session's
    leader, we cannot get a terminal by opening one.
    """
    if os.fork():
        os._exit(0)
    settle()


def settle() -> None:
    """Signals of terminals and clients do not end us; all descriptors that we may have are ours."""
    for number in (signal.SIGHUP, signal.SIGUSR1):  # this one until there is a socket
        signal.signal(number, lambda *_: None)  # were they ignored, programs would inherit that
    os.chdir("/")
    os.umask(0o022)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(ValueError, OSError):  # Darwin's hard limit is more than it allows
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
