"""Making and removing instances."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from aionoah.instances import InstanceError
from aionoah.instances.place import Lock, Place, state_home
from aionoah.instances.spec import Spec, write_spec


def make(spec: Spec) -> Place:
    """Whole or not at all. InstanceError if there is one of that name, OSError."""
    place = Place(spec.name)
    home = state_home()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".new-", dir=home))
    try:
        write_spec(work, spec)
        work.rename(place.directory)
    except OSError:
        shutil.rmtree(work, ignore_errors=True)
        if place.directory.exists():
            raise InstanceError(
                f"there is an instance {spec.name} already: `aionoah start {spec.name}`, or `aionoah rm {spec.name}` first"
            ) from None
        raise
    return place


def remove(place: Place) -> None:
    """With all that it has changed and said. InstanceError if it runs, or something of it stays."""
    lock = Lock(place)
    try:
        doomed = place.directory.with_name(f".gone-{place.name}-{os.getpid()}")
        place.directory.rename(doomed)  # the name is free at once
        _remove_tree(doomed)
    except OSError as error:
        raise InstanceError(f"{error.filename} cannot be removed: {error.strerror}") from None
    finally:
        lock.close()


def _remove_tree(directory: Path) -> None:
    """Guests may have taken away our rights to their directories. OSError."""
    waiting = [str(directory)]
    while waiting:
        top = waiting.pop()
        with contextlib.suppress(OSError):
            os.chmod(top, 0o700)  # noqa: PTH101 - text
            with os.scandir(top) as entries:
                waiting += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    shutil.rmtree(directory)
