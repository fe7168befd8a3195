"""What an instance is: all that a start needs, as the command line gave it once."""

from pathlib import Path
from typing import Any, Final, NamedTuple, get_args, get_origin, get_type_hints

from aionoah.instances import InstanceError
from aionoah.instances.place import Place
from aionoah.instances.policy import Policy
from aionoah.instances.records import matches, read_record, write_record

_FORMAT: Final = 1  # of the record


class HealthCheck(NamedTuple):
    """A command in the instance that succeeds while the server is well. Times in seconds."""

    command: list[str]
    interval: float = 30.0
    timeout: float = 30.0
    retries: int = 3  # failures in a row, until it counts as unhealthy
    start_period: float = 0.0  # during which failures do not count
    on_failure: str = "none"  # or "kill": the restart policy decides what follows


class Spec(NamedTuple):
    """Paths of the host are absolute. `instance` has the command line's options for it, in the form of JSON."""

    name: str
    command: list[str]
    instance: dict[str, Any]
    environment: dict[str, str]  # of whoever made it
    variables: list[str]  # -e
    directory: str  # that it was made in
    workdir: str | None = None
    user: str | None = None
    image: str | None = None
    entrypoint: str | None = None
    restart: str = "no"
    health: dict[str, Any] | None = None
    stop_signal: str | None = None
    stop_timeout: float = 10.0  # seconds
    has_terminal: bool = False
    log_size: int = 32 << 20  # bytes that are kept
    created: float = 0.0

    @property
    def health_check(self) -> HealthCheck | None:
        return None if self.health is None else _checked(HealthCheck, self.health)


def _checked(kind: Any, record: dict[str, Any]) -> Any:  # noqa: ANN401 - any NamedTuple
    """InstanceError for fields that are missing, unknown or of other types."""
    hints = get_type_hints(kind)
    for name, hint in hints.items():
        allowed = [get_origin(each) or each for each in get_args(hint) or (hint,)]
        if get_origin(hint) in (list, dict):
            allowed = [get_origin(hint)]
        if name in record and not any(matches(record[name], each) for each in allowed):
            raise InstanceError(f"{name} cannot be {str(record[name])[:40]!r}")
    unknown = set(record) - set(hints)
    missing = set(hints) - set(record) - set(kind._field_defaults)
    if unknown or missing:
        raise InstanceError(f"unknown or missing: {', '.join(sorted(unknown | missing))}")
    return kind(**record)


def read_spec(place: Place) -> Spec:
    """InstanceError."""
    place.check_exists()
    try:
        return _parse(read_record(place.spec))
    except (FileNotFoundError, InstanceError) as error:
        why = "it is missing" if isinstance(error, FileNotFoundError) else str(error)
        raise InstanceError(
            f"the record of {place.name} cannot be used ({why}): `aionoah rm {place.name}`"
        ) from None


def _parse(record: dict[str, Any]) -> Spec:
    if record.pop("format", None) != _FORMAT:
        raise InstanceError("another version of aionoah has made it")
    spec: Spec = _checked(Spec, record)
    Policy.parse(spec.restart)
    _ = spec.health_check
    return spec


def write_spec(directory: Path, spec: Spec) -> None:
    """OSError."""
    write_record(directory / "spec.json", {"format": _FORMAT, **spec._asdict()})
