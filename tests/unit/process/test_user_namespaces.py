"""User name spaces: names of ids, whose capabilities count where, and who may give names."""

import pytest
from fakes.expect import fails
from hypothesis import given
from hypothesis import strategies as st

from aionoah.abi.capability import CAP, CAP_FULL_SET
from aionoah.abi.errno import Errno, LinuxError
from aionoah.fs.inode import Attributes
from aionoah.fs.permissions import ACCESS, allows, effective_identity, real_identity
from aionoah.process.credentials import Credentials
from aionoah.process.user_namespaces import (
    FIRST,
    NO_ID,
    OVERFLOW_ID,
    Extent,
    IdMap,
    UserNamespace,
    enter_user_namespace,
    new_user_namespace,
    write_map,
    write_setgroups,
)

MINE, OTHER = 1000, 2000


def user(uid: int = MINE) -> Credentials:
    return Credentials(uid, uid)


def inside(who: Credentials, number: int = 0xF0000001) -> UserNamespace:
    """A name space of its own."""
    made = new_user_namespace(who, number, is_chrooted=False)
    enter_user_namespace(who, made)
    return made


def as_root(who: Credentials) -> UserNamespace:
    """As `unshare -r`."""
    made = inside(who)
    before = who.copy()
    write_map(made, "uids", b"0 %d 1\n" % who.euid, before, who)
    write_setgroups(made, b"deny\n")
    write_map(made, "gids", b"0 %d 1\n" % who.egid, before, who)
    return made


@given(
    st.lists(
        st.tuples(st.integers(0, 5000), st.integers(0, 5000), st.integers(1, 300)), min_size=1, max_size=6
    ),
    st.integers(0, 6000),
)
def test_names_lead_back(rows: list[tuple[int, int, int]], number: int) -> None:
    extents: list[Extent] = []
    for each in map(Extent._make, rows):
        if all(
            abs(each.first - other.first) > 600 < abs(each.lower - other.lower) for other in extents
        ):  # apart
            extents.append(each)
    names = IdMap(extents)
    inner = names.to_kernel(number)
    assert inner == NO_ID or names.find(inner) == number
    assert names.shown(number) in (OVERFLOW_ID, names.find(number))


def test_the_first_one_names_all() -> None:
    for number in (0, 5, 65534, NO_ID - 1):
        assert FIRST.uids.to_kernel(number) == FIRST.uids.find(number) == number
    assert FIRST.uids.to_kernel(NO_ID) == NO_ID
    assert FIRST.root == 0


def test_capabilities_reach_what_is_inside() -> None:
    who, outside = user(), user()
    own = as_root(who)
    assert who.effective == CAP_FULL_SET
    assert who.may(CAP.SYS_ADMIN, own)
    assert not who.may(CAP.SYS_ADMIN, FIRST)
    assert not who.has_capability(CAP.SYS_ADMIN)
    fails(Errno.EPERM, who.require, CAP.SYS_ADMIN)
    below = inside(who.copy())
    assert who.may(CAP.SYS_ADMIN, below)
    assert outside.may(CAP.KILL, own)  # who has made it, without any of his own
    assert outside.may(CAP.KILL, below)
    assert not user(OTHER).may(CAP.KILL, own)
    assert Credentials().may(CAP.KILL, below)
    sibling = user(OTHER)
    as_root(sibling)
    assert not sibling.may(CAP.SYS_ADMIN, own)


def test_files_of_those_who_have_names() -> None:
    who = user()
    as_root(who)
    identity = effective_identity(who)
    assert not identity.searches_all
    mine, others = Attributes(0o100000, 1, 1, 1, MINE, MINE), Attributes(0o100000, 1, 1, 1, OTHER, MINE)
    mixed = Attributes(0o100000, 1, 1, 1, MINE, OTHER)
    for wanted in (ACCESS.R, ACCESS.W):
        assert allows(mine, identity, wanted)
        assert not allows(others, identity, wanted)
        assert not allows(mixed, identity, wanted)
    assert identity.may_act_as(MINE)
    assert not identity.may_act_as(OTHER)
    assert not identity.has(CAP.MKNOD)
    assert allows(mine, real_identity(who), ACCESS.R)


def test_becoming_another_user_costs_capabilities() -> None:
    who = Credentials()
    own = inside(who)
    writer = Credentials()
    write_map(own, "uids", b"0 100 10", writer, writer)
    assert own.root == 100
    who.set_resuid(100, 100, 100)
    who.set_resuid(105, 105, 105)
    assert (who.permitted, who.effective) == (0, 0)


@pytest.mark.parametrize(
    ("kind", "text", "errno"),
    [
        ("uids", b"", Errno.EINVAL),
        ("uids", b"0 1000", Errno.EINVAL),
        ("uids", b"0 1000 1 1", Errno.EINVAL),
        ("uids", b"0 -1 1", Errno.EINVAL),
        ("uids", b"0 1000 0", Errno.EINVAL),
        ("uids", b"0 1000 4294967295", Errno.EINVAL),
        ("uids", b"0 1000 2\n1 5 1\n", Errno.EINVAL),
        ("uids", b"0 1000 2\n5 1001 1\n", Errno.EINVAL),
        ("uids", b"0 1000 1\n" * 600, Errno.EINVAL),
        ("uids", b"0 1000 2", Errno.EPERM),
        ("uids", b"0 2000 1", Errno.EPERM),
        ("uids", b"0 0 1", Errno.EPERM),
        ("gids", b"0 1000 1", Errno.EPERM),  # setgroups is allowed
    ],
)
def test_refused_maps(kind: str, text: bytes, errno: Errno) -> None:
    who = user()
    own = inside(who)
    fails(errno, write_map, own, kind, text, who, who)


def test_who_opens_the_file_counts() -> None:
    """A program of the superuser cannot be made to write what its caller may not."""
    who, root = user(), Credentials()
    own = inside(who)
    fails(Errno.EPERM, write_map, own, "uids", b"0 0 5", who, root)
    fails(Errno.EPERM, write_map, own, "uids", b"0 0 5", root, who)
    stranger = user(OTHER)
    fails(Errno.EPERM, write_map, own, "uids", b"0 1000 1", stranger, stranger)
    write_map(own, "uids", b"0 0 5", root, root)
    fails(Errno.EPERM, write_map, own, "uids", b"0 0 5", root, root)
    fails(Errno.EPERM, write_map, FIRST, "uids", b"0 0 5", root, root)


def test_the_outer_root_is_mapped_by_who_could_set_capabilities_of_files() -> None:
    who = Credentials()
    who.effective &= ~(1 << CAP.SETFCAP)
    own = inside(who)
    fails(Errno.EPERM, write_map, own, "uids", b"0 0 1", who, who)
    write_map(as_root(Credentials()), "projects", b"0 0 1", Credentials(), Credentials())


def test_a_map_of_a_map() -> None:
    who = Credentials()
    outer = inside(who)
    root = Credentials()
    write_map(outer, "uids", b"0 1000 10", root, root)
    write_map(outer, "gids", b"0 1000 10", root, root)
    who.uid = who.euid = who.suid = who.fsuid = who.gid = who.egid = 1000
    middle = who.copy()
    inner = inside(who, 0xF0000002)
    fails(Errno.EPERM, write_map, inner, "uids", b"0 5 10", middle, middle)  # more than there are
    write_map(inner, "uids", b"0 5 2", middle, middle)
    assert inner.uids.extents == (Extent(0, 1005, 2),)
    assert inner.uids.shown(1006) == 1
    assert inner.uids.shown(1000) == OVERFLOW_ID


def test_setgroups_is_denied_for_good() -> None:
    own = inside(user())
    fails(Errno.EINVAL, write_setgroups, own, b"maybe")
    write_setgroups(own, b"allow")
    write_setgroups(own, b"deny")
    fails(Errno.EPERM, write_setgroups, own, b"allow")
    assert not UserNamespace(1, own).allows_setgroups
    late = Credentials()
    mapped = inside(late)
    write_map(mapped, "gids", b"0 0 1", Credentials(), Credentials())
    fails(Errno.EPERM, write_setgroups, mapped, b"deny")


def test_who_may_make_one() -> None:
    who = user()
    with pytest.raises(LinuxError):
        new_user_namespace(who, 1, is_chrooted=True)
    own = inside(who)
    fails(Errno.EPERM, inside, who)  # without a name
    write_map(own, "uids", b"0 1000 1", who, who)
    fails(Errno.EPERM, inside, who)
    write_setgroups(own, b"deny")
    write_map(own, "gids", b"0 1000 1", who, who)
    inside(who)


def test_they_are_not_endlessly_deep() -> None:
    who = Credentials()
    for _ in range(33):
        as_root(who)
    fails(Errno.ENOSPC, inside, who)
