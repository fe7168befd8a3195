"""IPC objects by number and key, and their rights."""

from collections.abc import Callable

import pytest
from fakes.expect import fails

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno
from aionoah.abi.ipc import IPC, IPC_PRIVATE
from aionoah.process.credentials import Credentials
from aionoah.process.ipc.ids import EXECUTE, INDEX_BITS, READ, WRITE, IpcObject, IpcTable

ROOT, USER = Credentials(), Credentials(1000, 100, (50,))


def new(key: int = IPC_PRIVATE, mode: int = 0o640, owner: Credentials = ROOT) -> IpcObject:
    return IpcObject(key, mode, owner)


def maker(table: IpcTable[IpcObject], key: int) -> Callable[[], IpcObject]:
    return lambda: table.add(new(key), 100)


def test_numbers_go_round_and_tell_of_a_further_round() -> None:
    table: IpcTable[IpcObject] = IpcTable()
    first = [table.add(new(), 100) for _ in range(64)]
    assert [made.id for made in first] == list(range(64))
    table.remove(first[5])
    again = table.add(new(), 100)
    assert (again.index, again.id) == (64, 64)  # half as many again as there are
    table.remove(again)
    for _ in range(40):
        table.remove(table.add(new(), 100))
    later = table.add(new(), 100)
    assert later.id >> INDEX_BITS > 0
    assert table.find(later.id) is later
    assert table.find_index(later.index) is later
    fails(Errno.EINVAL, table.find, later.index)


def test_a_limit() -> None:
    table: IpcTable[IpcObject] = IpcTable()
    table.add(new(), 1)
    fails(Errno.ENOSPC, table.add, new(), 1)


def test_keys() -> None:
    table: IpcTable[IpcObject] = IpcTable()
    make, fine = maker(table, 7), lambda _: None
    fails(Errno.ENOENT, table.get, 7, 0, ROOT, make, fine)
    made = table.get(7, IPC.CREAT, ROOT, make, fine)
    assert table.get(7, IPC.CREAT, ROOT, make, fine) is made
    fails(Errno.EEXIST, table.get, 7, IPC.CREAT | IPC.EXCL, ROOT, make, fine)
    fails(Errno.EACCES, table.get, 7, 0o600, USER, make, fine)
    assert table.get(7, 0, USER, make, fine) is made
    table.hide(made)
    fails(Errno.ENOENT, table.get, 7, 0, ROOT, make, fine)
    assert list(table) == [made]
    assert table.get(IPC_PRIVATE, 0, ROOT, maker(table, 0), fine) is not table.get(
        IPC_PRIVATE, 0, ROOT, maker(table, 0), fine
    )


def test_a_removed_key_is_free_though_another_has_taken_it() -> None:
    table: IpcTable[IpcObject] = IpcTable()
    old = table.add(new(7), 9)
    table.hide(old)
    young = table.add(new(7), 9)
    table.remove(old)
    assert old.is_removed
    assert table.get(7, 0, ROOT, maker(table, 7), lambda _: None) is young


@pytest.mark.parametrize(
    ("who", "mode", "wanted", "is_allowed"),
    [
        (Credentials(1000, 100), 0o004, READ, True),
        (Credentials(1000, 100), 0o004, WRITE, False),
        (Credentials(9, 50), 0o060, READ | WRITE, True),
        (Credentials(9, 50), 0o606, READ, False),
        (ROOT, 0o000, READ | WRITE | EXECUTE, True),
    ],
)
def test_rights(who: Credentials, mode: int, wanted: int, *, is_allowed: bool) -> None:
    made = new(mode=mode)
    made.gid = 50
    if is_allowed:
        made.require(wanted, who)
    else:
        fails(Errno.EACCES, made.require, wanted, who)


def test_owners() -> None:
    made = new(owner=USER)
    made.require_owner(USER)
    made.require_owner(ROOT)
    weak = Credentials()
    weak.effective &= ~(1 << CAP.SYS_ADMIN)
    fails(Errno.EPERM, made.require_owner, weak)
    wanted = made.permissions()
    wanted.uid, wanted.mode = 0xFFFF_FFFF, 0o7123
    fails(Errno.EINVAL, made.change_permissions, wanted)
    wanted.uid = 0
    made.change_permissions(wanted)
    assert (made.uid, made.cuid, made.mode) == (0, 1000, 0o123)
    made.require_owner(weak)
