"""News of the host's files."""

import os
import sys
from pathlib import Path

import pytest

from aionoah.abi.inotify import IN, IN_ALL_EVENTS
from aionoah.host.darwin_notify import events_of


@pytest.mark.skipif(sys.platform != "linux", reason="inotify")
def test_inotify(tmp_path: Path) -> None:
    from aionoah.host.linux_notify import HostNotifier

    notifier = HostNotifier()
    fd = os.open(tmp_path, os.O_PATH)
    wd = notifier.watch(fd, IN_ALL_EVENTS & ~IN.OPEN)
    assert notifier.watch(fd, IN_ALL_EVENTS & ~IN.OPEN) == wd
    os.close(fd)
    (tmp_path / "a").touch()
    (tmp_path / "a").rename(tmp_path / "b")
    seen = notifier.read()
    assert [
        (event.wd, IN(event.mask & IN_ALL_EVENTS), event.name) for event in seen if event.mask != IN.ATTRIB
    ] == [
        (wd, IN.CREATE, b"a"),
        (wd, IN.CLOSE_WRITE, b"a"),
        (wd, IN.MOVED_FROM, b"a"),
        (wd, IN.MOVED_TO, b"b"),
    ]
    assert seen[-1].cookie == seen[-2].cookie != 0
    assert notifier.read() == []
    notifier.forget(wd)
    assert [event.mask for event in notifier.read()] == [IN.IGNORED]
    with pytest.raises(OSError, match="Invalid"):
        notifier.forget(wd)
    notifier.close()


WRITTEN, DELETED, ATTRIBUTES, RENAMED = 0x02, 0x01, 0x08, 0x20  # NOTE_* of Darwin


@pytest.mark.parametrize(
    ("before", "now", "flags", "expected"),
    [
        (None, None, WRITTEN, [(IN.MODIFY, b"")]),
        (None, None, DELETED | ATTRIBUTES, [(IN.ATTRIB, b""), (IN.DELETE_SELF, b"")]),
        (None, None, RENAMED, [(IN.MOVE_SELF, b"")]),
        ({b"a": False}, {b"b": True}, WRITTEN, [(IN.DELETE, b"a"), (IN.CREATE | IN.ISDIR, b"b")]),
        ({b"a": False}, {b"a": True}, WRITTEN, [(IN.DELETE, b"a"), (IN.CREATE | IN.ISDIR, b"a")]),
        ({b"a": False}, {b"a": False}, WRITTEN, []),
    ],
)
def test_what_a_kqueue_amounts_to(
    before: dict[bytes, bool] | None,
    now: dict[bytes, bool] | None,
    flags: int,
    expected: list[tuple[int, bytes]],
) -> None:
    assert events_of(before, now, flags) == expected
