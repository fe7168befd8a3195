"""Records on disk: JSON with checked types, replaced as a whole."""

import contextlib
import errno
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
    """A kill leaves the old one or the new. On a full disk the old one's own space is used, if that is enough. OSError."""
    data = json.dumps(record).encode()
    work = path.with_suffix(".new")
    try:
        _write(work, data, os.O_CREAT | os.O_TRUNC)
        work.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            work.unlink()
        if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not path.exists():
            raise
        _write(path, data, 0)


def _write(path: Path, data: bytes, flags: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | flags, 0o600)
    try:
        if os.pwrite(fd, data, 0) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.ftruncate(fd, len(data))
    finally:
        os.close(fd)


def matches(value: object, kind: object) -> bool:
    """Whether a value from JSON is of the type that a field is annotated with."""
    if kind in (int, float):
        allowed = (int, float) if kind is float else int
        return isinstance(value, allowed) and not isinstance(value, bool)
    assert isinstance(kind, type)  # noqa: S101 - of our own records
    return isinstance(value, kind)
