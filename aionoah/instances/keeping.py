"""Making and removing instances."""

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

from aionoah.instances import InstanceError
from aionoah.instances.place import Lock, Place, holder_of, state_home
from aionoah.instances.spec import Spec, write_spec
from aionoah.instances.state import State, read_state

_NEW: Final = ".new-"
_GONE: Final = ".gone-"
_LONG: Final = 3600.0  # seconds, in which every instance has been made


def make(spec: Spec) -> Place:
    """Whole or not at all. InstanceError if there is one of that name, OSError."""
    place = Place(spec.name)
    home = state_home()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    _sweep(home)
    work = Path(tempfile.mkdtemp(prefix=_NEW, dir=home))
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
        _remove_socket(read_state(place))
        doomed = place.directory.with_name(f"{_GONE}{place.name}-{os.getpid()}")
        place.directory.rename(doomed)  # the name is free at once
        _remove_tree(doomed)
    except OSError as error:
        raise InstanceError(f"{error.filename} cannot be removed: {error.strerror}") from None
    finally:
        lock.close()


def _remove_socket(state: State) -> None:
    """It is somewhere else, and a kill has left it there."""
    path = Path(state.socket)
    with contextlib.suppress(OSError):
        if path.is_socket():
            path.unlink()


def _remove_tree(directory: Path) -> None:
    """Guests may have taken away our rights to their directories. OSError."""
    waiting = [str(directory)]
    while waiting:
        top = waiting.pop()
        with contextlib.suppress(OSError):
            os.chmod(top, 0o700)  # noqa: PTH101 - text
            with os.scandir(top) as entries:
                waiting += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    while directory.is_dir():
        with contextlib.suppress(FileNotFoundError):  # somebody else sweeps
            shutil.rmtree(directory)


def _sweep(home: Path) -> None:
    """Remove what was being made or removed when a process was killed."""
    for path in home.iterdir():
        with contextlib.suppress(OSError):
            if path.name.startswith(_NEW):
                is_left = path.lstat().st_mtime < time.time() - _LONG
            else:
                is_left = path.name.startswith(_GONE) and holder_of(path / "lock") is None
            if is_left:
                _remove_tree(path)
