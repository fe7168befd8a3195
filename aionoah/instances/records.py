"""Records on disk: JSON with checked types, replaced as a whole."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from aionoah.instances import InstanceError


def read_record(path: Path) -> dict[str, Any]:
    """InstanceError for what is no JSON object; FileNotFoundError."""
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InstanceError(f"{path} is damaged")
    return found


def write_record(path: Path, record: dict[str, Any]) -> None:
    """A kill or a full disk leaves the old one. OSError."""
    work = path.with_suffix(".new")
    try:
        fd = os.open(work, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w") as file:
            json.dump(record, file)
        work.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            work.unlink()
        raise


def matches(value: object, kind: object) -> bool:
    """Whether a value from JSON is of the type that a field is annotated with."""
    if kind in (int, float):
        allowed = (int, float) if kind is float else int
        return isinstance(value, allowed) and not isinstance(value, bool)
    assert isinstance(kind, type)  # noqa: S101 - of our own records
    return isinstance(value, kind)
