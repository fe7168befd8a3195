"""Starting daemons that do not start."""

import contextlib

import pytest

from aionoah.instances.detach import start_detached
from aionoah.instances.keeping import make
from aionoah.instances.place import Lock
from aionoah.instances.spec import Spec
from aionoah.instances.supervisor import StartError


def test_its_last_words_are_the_reason(spec: Spec) -> None:
    place = make(spec)
    place.errors.write_text("of another start\n")
    with pytest.raises(
        StartError, match=r"web ended before it had started: .*No module named .?nonsense"
    ) as caught:
        start_detached(place, spec, "nonsense")
    assert caught.value.status == 125
    assert "of another start" not in place.errors.read_text()


def test_what_another_daemon_has_said_stays(spec: Spec) -> None:
    place = make(spec)
    place.errors.write_text("of the one that runs\n")
    with contextlib.closing(Lock(place)), pytest.raises(StartError):
        start_detached(place, spec, "nonsense")
    assert place.errors.read_text().startswith("of the one that runs\n")
