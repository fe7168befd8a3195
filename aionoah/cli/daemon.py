"""The process of an instance that runs in the background: `python -m aionoah.cli.daemon NAME HOME DESCRIPTOR`."""

import asyncio
import contextlib
import sys
from pathlib import Path

import uvloop

from aionoah.cli.named import open_launch
from aionoah.fs.hostfs import HIDDEN
from aionoah.instances import InstanceError
from aionoah.instances.detach import Reporter, become_daemon, settle
from aionoah.instances.place import Lock, Place
from aionoah.instances.service import Service
from aionoah.instances.spec import read_spec
from aionoah.instances.supervisor import sentence_of
from aionoah.statuses import FAILED


def main() -> None:
    name, home, fd = sys.argv[1:]
    become_daemon()
    sys.exit(serve(Place(name, Path(home)), Reporter(int(fd))))


def run_here(place: Place) -> int:
    """The same in this process, for systemd and launchd. InstanceError is a sentence on standard error."""
    settle()
    return serve(place, Reporter(None))


def serve(place: Place, reporter: Reporter) -> int:
    """The program's status, or 125 and its like if it could not be started, which the reporter tells."""
    try:
        spec = read_spec(place)
        with contextlib.closing(Lock(place)):
            hide(place)
            service = Service(place, spec, lambda: open_launch(place, spec), reporter.started)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(service.run_detached())
    except (InstanceError, OSError) as error:
        status = getattr(error, "status", FAILED)
        sentence = sentence_of(error)
        if isinstance(error, OSError) and error.filename is not None:
            sentence = f"{error.filename}: {sentence}"
        print(f"aionoah: {sentence}.", file=sys.stderr, flush=True)  # noqa: T201 - the daemon's log
        reporter.failed(sentence, status)
        return int(status)


def hide(place: Place) -> None:
    """The root may well show the place where instances are; what is in it is nothing for their programs."""
    status = place.directory.parent.stat()
    HIDDEN.add((status.st_dev, status.st_ino))


if __name__ == "__main__":
    main()
