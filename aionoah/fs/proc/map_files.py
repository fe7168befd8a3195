"""/proc/PID/map_files: the files that are mapped, by the addresses of their areas (proc(5); Linux fs/proc/base.c)."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from aionoah.fs.file import File
from aionoah.fs.proc.descriptors import link_target, link_text
from aionoah.fs.proc.smaps import require_administrator
from aionoah.fs.proc.subject import Subject, find_task, require_inspectable
from aionoah.fs.synthetic import Bound, Directory, Link

if TYPE_CHECKING:
    from aionoah.fs.path import Dentry
    from aionoah.memory.memory import MapsLine


def _areas(subject: Subject) -> "dict[bytes, MapsLine]":
    """Those that show a file, by name. EACCES."""
    if find_task(subject) is None:
        return {}
    areas = require_inspectable(subject).memory.maps()
    return {b"%x-%x" % (area.start, area.end): area for area in areas if isinstance(area.file, File)}


def _names(subject: Subject) -> Iterable[bytes]:
    return _areas(subject)


def _find(subject: Subject, name: bytes) -> Bound | None:
    area = _areas(subject).get(name)
    return Bound(_LINK, area) if area is not None else None


def _file(area: "MapsLine") -> File:
    assert isinstance(area.file, File)  # noqa: S101 - no others are shown
    return area.file


def _mode(area: "MapsLine") -> int:
    """As it was opened, whatever the area may do."""
    file = _file(area)
    return (0o400 if file.is_readable else 0) | (0o200 if file.is_writable else 0)


def _target(area: "MapsLine") -> "Dentry":
    """EPERM: whoever may look need not be able to open by its name what he finds."""
    require_administrator()
    return link_target(_file(area))


_LINK: "Final[Link[MapsLine]]" = Link(lambda area: link_text(_file(area)), _target, mode=_mode, size=64)
MAP_FILES: Final[Directory[Subject]] = Directory(names=_names, find=_find, mode=0o500)
