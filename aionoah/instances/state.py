"""How an instance is: written by whoever runs it, at every change, and read by everybody."""

from typing import Any, Final, NamedTuple, get_args, get_type_hints

from aionoah.instances import InstanceError
from aionoah.instances.place import Place
from aionoah.instances.records import matches, read_record, write_record

ALIVE: Final = ("starting", "running", "restarting", "stopping")  # what a process of ours must stand behind


class State(NamedTuple):
    """`since`: seconds since the epoch, when `status` came to be so."""

    status: str = "created"  # one of ALIVE, "created", "exited", or "dead": its process has been killed
    since: float = 0.0
    pid: int = 0  # of the process that runs it
    restarts: int = 0
    exit_status: int | None = None  # of the program's last end, 128+N after signal N
    health: str | None = None  # "starting", "healthy" or "unhealthy"; None if nobody asks
    error: str = ""  # why the program could not be started
    was_stopped: bool = False  # by its user, not by itself
    socket: str = ""
    version: str = ""  # of aionoah
    is_detached: bool = True


_KINDS: Final = {name: get_args(hint) or (hint,) for name, hint in get_type_hints(State).items()}


def parse_state(record: dict[str, Any]) -> State:
    """What another version has added is left out. InstanceError for what cannot be."""
    known = {name: value for name, value in record.items() if name in _KINDS}
    for name, value in known.items():
        if not any(matches(value, kind) for kind in _KINDS[name]):
            raise InstanceError(f"a state says {name}: {str(value)[:40]!r}")
    return State(**known)


def read_state(place: Place) -> State:
    """As it was written, which is out of date after a kill. A damaged one is "dead"."""
    try:
        return parse_state(read_record(place.state))
    except FileNotFoundError:
        return State()
    except InstanceError:
        return State("dead")


def write_state(place: Place, state: State) -> None:
    """OSError."""
    write_record(place.state, state._asdict())


def settled(state: State, *, is_held: bool) -> State:
    """What a state means, given that some process runs the instance, or that none does."""
    if state.status in ALIVE and not is_held:
        return state._replace(status="dead", pid=0, health=None)
    return state
