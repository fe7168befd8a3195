"""What execve makes of credentials. tests/guest/programs/elevation.c asks the kernel about many more cases."""

import pytest

from aionoah.abi.capability import CAP, CAP_FULL_SET
from aionoah.abi.errno import LinuxError
from aionoah.abi.securebits import SECBIT
from aionoah.abi.stat import S
from aionoah.fs.file_capabilities import FileCapabilities
from aionoah.process.credentials import Credentials
from aionoah.process.elevation import Elevation, FileRights, elevate, has_become_another

RAW = 1 << CAP.NET_RAW
CHOWN = 1 << CAP.CHOWN


def started(
    who: Credentials,
    mode: int = 0o755,
    uid: int = 0,
    gid: int = 0,
    *,
    capabilities: FileCapabilities | None = None,
    is_shared: bool = False,
) -> Elevation:
    return elevate(who, FileRights(S.IFREG | mode, uid, gid, capabilities), lambda: is_shared)


def sets_of(who: Credentials) -> tuple[int, ...]:
    return who.permitted, who.effective, who.inheritable, who.ambient


def ids_of(who: Credentials) -> tuple[int, ...]:
    return who.uid, who.euid, who.suid, who.fsuid, who.gid, who.egid, who.sgid, who.fsgid


def test_ordinary_programs_change_nothing() -> None:
    for who in (Credentials(), Credentials(1000, 1000)):
        before = ids_of(who), sets_of(who)
        assert started(who) == (False, False)
        assert (ids_of(who), sets_of(who)) == before


def test_set_user_id_programs() -> None:
    who = Credentials(1000, 1000)
    assert started(who, 0o4755, uid=0) == (True, True)
    assert ids_of(who)[:4] == (1000, 0, 0, 0)
    assert who.effective == CAP_FULL_SET
    other = Credentials(1000, 1000)
    assert started(other, 0o4755, uid=1001).is_secure
    assert (other.euid, other.effective) == (1001, 0)


def test_set_group_id_needs_the_group_to_execute() -> None:
    who = Credentials(1000, 1000)
    assert started(who, 0o2755, gid=50).is_secure
    assert ids_of(who)[4:] == (1000, 50, 50, 50)
    locked = Credentials(1000, 1000)
    assert not started(locked, 0o2745, gid=50).is_secure
    assert locked.egid == 1000


def test_a_group_that_one_has_anyway_changes_nothing_much() -> None:
    who = Credentials(1000, 1000, [50])
    who.ambient = who.inheritable = who.permitted = RAW
    assert started(who, 0o2755, gid=50).is_secure
    assert who.ambient == RAW


@pytest.mark.parametrize("capabilities", [None, FileCapabilities(RAW, 0, is_effective=True)])
def test_no_new_privileges(capabilities: FileCapabilities | None) -> None:
    who = Credentials(1000, 1000)
    who.no_new_privileges = True
    started(who, 0o6755, capabilities=capabilities)
    assert set(ids_of(who)) == {1000}
    assert sets_of(who) == (0, 0, 0, 0)


def test_a_nosuid_mount_says_nothing() -> None:
    who = Credentials(1000, 1000)
    assert elevate(who, FileRights(), lambda: False) == (False, False)
    assert set(ids_of(who)) == {1000}


def test_who_shares_its_working_directory_gains_nothing() -> None:
    who = Credentials(1000, 1000)
    started(who, 0o4755, uid=0, is_shared=True)
    assert ids_of(who)[:4] == (1000, 1000, 1000, 1000)
    assert who.permitted == 0
    able = Credentials(1000, 1000)
    able.permitted = able.effective = 1 << CAP.SETUID
    started(able, 0o4755, uid=0, is_shared=True)
    assert (able.euid, able.permitted) == (0, 1 << CAP.SETUID)


def test_capabilities_of_files() -> None:
    who = Credentials(1000, 1000)
    who.inheritable = CHOWN
    both = FileCapabilities(RAW, CHOWN | 1 << CAP.KILL, is_effective=True)
    assert started(who, capabilities=both) == (True, True)
    assert sets_of(who) == (RAW | CHOWN, RAW | CHOWN, CHOWN, 0)
    quiet = Credentials(1000, 1000)
    started(quiet, capabilities=FileCapabilities(RAW, 0, is_effective=False))
    assert sets_of(quiet) == (RAW, 0, 0, 0)


def test_capabilities_that_are_withheld() -> None:
    who = Credentials(1000, 1000)
    who.bounding &= ~RAW
    started(who, capabilities=FileCapabilities(RAW | CHOWN, 0, is_effective=False))
    assert who.permitted == CHOWN
    with pytest.raises(LinuxError, match="EPERM"):
        started(who, capabilities=FileCapabilities(RAW, 0, is_effective=True))


def test_a_set_user_id_program_with_capabilities_has_only_those() -> None:
    who = Credentials(1000, 1000)
    started(who, 0o4755, uid=0, capabilities=FileCapabilities(RAW, 0, is_effective=True))
    assert (who.euid, who.permitted) == (0, RAW)
    root = Credentials()
    started(root, 0o4755, uid=0, capabilities=FileCapabilities(RAW, 0, is_effective=True))
    assert root.permitted == CAP_FULL_SET


def test_ambient_capabilities_survive_and_privileged_programs_end_them() -> None:
    who = Credentials(1000, 1000)
    who.ambient = who.inheritable = who.permitted = RAW
    assert not started(who).is_secure
    assert sets_of(who) == (RAW, RAW, RAW, RAW)
    assert started(who, 0o4755, uid=1001).is_secure
    assert sets_of(who) == (0, 0, RAW, 0)


def test_root_without_its_privileges() -> None:
    who = Credentials()
    who.securebits = SECBIT(SECBIT.NOROOT | SECBIT.KEEP_CAPS)
    started(who)
    assert who.permitted == 0
    assert who.securebits == SECBIT.NOROOT


def test_the_bounding_set_bounds() -> None:
    who = Credentials()
    who.bounding = CHOWN
    started(who)
    assert who.effective == CHOWN


def test_whose_secrets_are_in_memory() -> None:
    old, new = Credentials(1000, 1000), Credentials(1000, 1000)
    assert not has_become_another(old, new)
    new.suid = 7
    assert not has_become_another(old, new)
    new.fsgid = 7
    assert has_become_another(old, new)
    assert has_become_another(Credentials(1000, 1000), Credentials())
    weaker = Credentials()
    weaker.permitted = CHOWN
    assert not has_become_another(Credentials(), weaker)
    assert has_become_another(weaker, Credentials())
