"""The rules of credentials(7) and capabilities(7), compared with the kernel in child processes."""

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.forked import in_child
from hypothesis import given, settings
from hypothesis import strategies as st

from aionoah.abi.capability import CAP, CAP_FULL_SET
from aionoah.abi.errno import Errno, LinuxError
from aionoah.abi.prctl import PR
from aionoah.abi.securebits import SECBIT
from aionoah.abi.x86_64 import X86_64
from aionoah.process.credentials import ID_UNCHANGED, Credentials

State = tuple[int, ...]
Step = tuple[str, tuple[int, ...]]

needs_root = pytest.mark.skipif(
    os.uname().sysname != "Linux" or os.uname().machine != "x86_64" or os.getuid() != 0,
    reason="the oracle is Linux, run as root",
)


# -- ours -----------------------------------------------------------------------------------------------


def state_of(who: Credentials) -> State:
    ids = (who.uid, who.euid, who.suid, who.fsuid, who.gid, who.egid, who.sgid, who.fsgid)
    return (*ids, who.inheritable, who.permitted, who.effective, who.bounding, who.ambient)


def keep_capabilities(who: Credentials, value: int) -> None:
    who.securebits = SECBIT(who.securebits.outside(SECBIT.KEEP_CAPS) | value * SECBIT.KEEP_CAPS)


OURS: dict[str, Callable[..., int | None]] = {
    "setuid": Credentials.set_uid,
    "setreuid": Credentials.set_reuid,
    "setresuid": Credentials.set_resuid,
    "setfsuid": Credentials.set_fsuid,
    "setgid": Credentials.set_gid,
    "setregid": Credentials.set_regid,
    "setresgid": Credentials.set_resgid,
    "setfsgid": Credentials.set_fsgid,
    "keepcaps": keep_capabilities,
    "capset": Credentials.set_capabilities,
}


def run_ours(start: State, steps: list[Step]) -> list[tuple[int, State]]:
    who = Credentials()
    names = ("uid", "euid", "suid", "fsuid", "gid", "egid", "sgid", "fsgid")
    sets = ("inheritable", "permitted", "effective", "bounding", "ambient")
    for name, value in zip((*names, *sets), start, strict=True):
        setattr(who, name, value)
    seen = []
    for name, arguments in steps:
        try:
            result = OURS[name](who, *arguments) or 0
        except LinuxError as error:
            result = -error.errno
        seen.append((result, state_of(who)))
    return seen


# -- the kernel's -----------------------------------------------------------------------------------------


def native_state() -> State:
    text = Path("/proc/self/status").read_text()
    status = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    uids, gids = (tuple(map(int, status[key].split())) for key in ("Uid", "Gid"))
    return (*uids, *gids, *(int(status[f"Cap{key}"], 16) for key in ("Inh", "Prm", "Eff", "Bnd", "Amb")))


def native_step(libc: Any, name: str, arguments: tuple[int, ...]) -> int:
    number = X86_64.syscall_numbers.get("prctl" if name == "keepcaps" else name)
    words = [ctypes.c_ulong(word) for word in arguments]
    if name == "keepcaps":
        words = [ctypes.c_ulong(PR.SET_KEEPCAPS), *words]
    if name == "capset":
        permitted, effective, inheritable = arguments
        low, high = [
            [bits >> shift & 0xFFFF_FFFF for bits in (effective, permitted, inheritable)] for shift in (0, 32)
        ]
        header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(*low, *high)
        words = [header, data]
    result = libc.syscall(ctypes.c_long(number), *words)
    return -ctypes.get_errno() if result == -1 else int(result)


def run_native(steps: list[Step]) -> tuple[State, list[tuple[int, State]]]:
    def work() -> tuple[State, list[tuple[int, State]]]:
        libc = ctypes.CDLL(None, use_errno=True)
        start = native_state()
        return start, [(native_step(libc, *step), native_state()) for step in steps]

    return in_child(work)


ids = st.sampled_from([0, 1000, 1001, 1002, ID_UNCHANGED])
groups = st.sampled_from([0, 2000, 2001, ID_UNCHANGED])
some_capabilities = st.sampled_from(
    [
        0,
        CAP_FULL_SET,
        1 << CAP.SETUID,
        1 << CAP.SETGID | 1 << CAP.SETPCAP,
        CAP_FULL_SET & ~(1 << CAP.SETPCAP),
        1,
    ],
)
steps = st.one_of(
    st.tuples(st.just("setuid"), st.tuples(ids)),
    st.tuples(st.just("setreuid"), st.tuples(ids, ids)),
    st.tuples(st.just("setresuid"), st.tuples(ids, ids, ids)),
    st.tuples(st.just("setfsuid"), st.tuples(ids)),
    st.tuples(st.just("setgid"), st.tuples(groups)),
    st.tuples(st.just("setregid"), st.tuples(groups, groups)),
    st.tuples(st.just("setresgid"), st.tuples(groups, groups, groups)),
    st.tuples(st.just("setfsgid"), st.tuples(groups)),
    st.tuples(st.just("keepcaps"), st.tuples(st.integers(0, 1))),
    st.tuples(st.just("capset"), st.tuples(some_capabilities, some_capabilities, some_capabilities)),
)


@needs_root
@settings(max_examples=60, deadline=None)
@given(st.lists(steps, min_size=1, max_size=30))
def test_the_kernel_follows_the_same_rules(sequence: list[Step]) -> None:
    start, expected = run_native(sequence)
    for step, ours, theirs in zip(sequence, run_ours(start, sequence), expected, strict=True):
        assert ours == theirs, step


# -- single rules, for hosts without the oracle -------------------------------------------------------------


def test_an_ordinary_user_moves_between_its_own_ids() -> None:
    who = Credentials(1000, 1000)
    who.set_resuid(1000, 1000, 1000)
    with pytest.raises(LinuxError, match="EPERM"):
        who.set_uid(0)
    with pytest.raises(LinuxError, match="EPERM"):
        who.set_resgid(0, ID_UNCHANGED, ID_UNCHANGED)
    assert (who.uid, who.euid, who.suid, who.gid) == (1000, 1000, 1000, 1000)


def test_root_that_leaves_for_good_loses_everything() -> None:
    who = Credentials()
    assert who.has_capability(CAP.SYS_ADMIN)
    who.set_uid(1000)
    assert (who.permitted, who.effective) == (0, 0)
    with pytest.raises(LinuxError, match="EPERM"):
        who.set_uid(0)


def test_root_that_leaves_for_a_while_comes_back() -> None:
    who = Credentials()
    who.set_reuid(ID_UNCHANGED, 1000)
    assert (who.effective, who.permitted) == (0, CAP_FULL_SET)
    who.set_reuid(ID_UNCHANGED, 0)
    assert who.effective == CAP_FULL_SET


def test_no_id_is_minus_one() -> None:
    for method in (Credentials().set_uid, Credentials().set_gid):
        with pytest.raises(LinuxError) as caught:
            method(ID_UNCHANGED)
        assert caught.value.errno is Errno.EINVAL


def test_files_go_with_the_effective_user_and_can_be_moved_alone() -> None:
    who = Credentials()
    assert who.set_fsuid(1000) == 0
    assert who.fsuid == 1000
    assert not who.has_capability(CAP.DAC_OVERRIDE)
    assert who.has_capability(CAP.SYS_ADMIN)
    assert who.set_fsuid(ID_UNCHANGED) == 1000
    assert who.set_fsuid(0) == 1000
    assert who.has_capability(CAP.DAC_OVERRIDE)


def test_copies_are_independent() -> None:
    who = Credentials(5, 6, [9, 7])
    copy = who.copy()
    assert state_of(copy) == state_of(who)
    assert copy.groups == (7, 9)
    copy.uid = 8
    assert who.uid == 5
