"""Names of core files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionoah.process.coredump.naming import Facts, core_name

FACTS = Facts(
    *(42, 43, 1000, 100, 1, 11, 1700000000, b"host/name", b"a/b"),
    *(b"/usr/bin/program", (1 << 64) - 1, 3),
)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        (b"core", b"core"),
        (b"", b""),
        (b"/cores/%e.%p.%i.%s", b"/cores/a!b.42.43.11"),
        (b"%P-%I-%u-%g-%d-%C", b"42-43-1000-100-1-3"),
        (b"%t", b"1700000000"),
        (b"%h", b"host!name"),
        (b"%f %E", b"program !usr!bin!program"),
        (b"%c", b"18446744073709551615"),
        (b"%%p%x%", b"%p"),
    ],
)
def test_patterns(pattern: bytes, name: bytes) -> None:
    assert core_name(pattern, FACTS, uses_pid=False) == name


@pytest.mark.parametrize(
    ("pattern", "name"),
    [(b"core", b"core.42"), (b"", b".42"), (b"c%p", b"c42"), (b"c%%p", b"c%p.42"), (b"c%%%p", b"c%42")],
)
def test_the_pid_is_added_unless_it_is_there(pattern: bytes, name: bytes) -> None:
    assert core_name(pattern, FACTS, uses_pid=True) == name


@pytest.mark.parametrize(("comm", "name"), [(b".", b"!"), (b"..", b"!."), (b"", b"!"), (b"...", b"...")])
def test_no_text_leads_elsewhere(comm: bytes, name: bytes) -> None:
    assert core_name(b"/a/%e/core", FACTS._replace(comm=comm), uses_pid=False) == b"/a/%s/core" % name


@given(st.binary(max_size=15), st.binary(max_size=20))
def test_texts_are_single_names(comm: bytes, hostname: bytes) -> None:
    parts = core_name(b"/%e/%h", FACTS._replace(comm=comm, hostname=hostname), uses_pid=False).split(b"/")
    assert len(parts) == 3
    assert not {b"", b".", b".."} & set(parts[1:])
