"""Filters of calls: what they say, which are refused, and who may share them."""

from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from fakes.expect import fails

from aionoah.abi.errno import Errno
from aionoah.abi.filter import BPF, BPF_JMP, SockFilter
from aionoah.abi.prctl import SECCOMP_MODE
from aionoah.abi.seccomp import SECCOMP_RET
from aionoah.process.seccomp import Program, Seccomp, add_filter, begin_strict

ALLOW, ERRNO, KILL = SECCOMP_RET.ALLOW, SECCOMP_RET.ERRNO, SECCOMP_RET.KILL_PROCESS


def program(*code: tuple[int, ...]) -> Program:
    return Program(b"".join(SockFilter(*each).pack() for each in code))


def say(what: int) -> Program:
    return program((BPF.RET_K, 0, 0, what))


def words(number: int, first: int = 0) -> list[int]:
    return [number, 0, 0, 0, first, *[0] * 11]


@pytest.fixture
def process() -> Any:
    process = SimpleNamespace(tasks={})
    for tid in (2, 3):
        credentials = SimpleNamespace(no_new_privileges=tid == 2)
        task = SimpleNamespace(tid=tid, process=process, seccomp=None, credentials=credentials)
        task.control, task.signals = SimpleNamespace(is_in_guest=tid == 3), Mock()
        process.tasks[tid] = task
    return process


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([], ALLOW),
        ([ALLOW, ERRNO | 1], ERRNO | 1),
        ([ERRNO | 1, ERRNO | 2], ERRNO | 2),
        ([ERRNO | 1, SECCOMP_RET.TRAP, SECCOMP_RET.LOG], SECCOMP_RET.TRAP),
        ([SECCOMP_RET.KILL_THREAD, KILL, ERRNO], KILL),
    ],
)
def test_the_strongest_counts_and_of_equals_the_newest(said: list[int], expected: int) -> None:
    assert Seccomp(SECCOMP_MODE.FILTER, tuple(map(say, said))).verdict(words(1)).said == expected


def test_what_depends_on_an_argument_is_asked_each_time() -> None:
    """Number 5 is looked at more closely; of others it is remembered what was said."""
    code = program(
        (BPF.LD_W_ABS, 0, 0, 0),
        (BPF_JMP.JEQ, 0, 2, 5),
        (BPF.LD_W_ABS, 0, 0, 16),
        (BPF_JMP.JEQ, 1, 0, 9),
        (BPF.RET_K, 0, 0, ALLOW),
        (BPF.RET_K, 0, 0, ERRNO),
    )
    seccomp = Seccomp(SECCOMP_MODE.FILTER, (code,))
    assert [seccomp.verdict(words(5, first)).said for first in (9, 8, 9)] == [ERRNO, ALLOW, ERRNO]
    assert [seccomp.verdict(words(6, first)).said for first in (9, 8)] == [ALLOW, ALLOW]
    code.code.clear()
    assert seccomp.verdict(words(6)).said == ALLOW


@pytest.mark.parametrize(
    "code",
    [
        (BPF.LD_W_ABS, 0, 0, 64),
        (BPF.LD_W_ABS, 0, 0, 3),
        (BPF.LD_H_ABS, 0, 0, 0),
        (BPF.LD_W_IND, 0, 0, 0),
        (0x94, 0, 0, 1),
    ],
)
def test_what_only_packets_have_is_refused(code: tuple[int, ...]) -> None:
    fails(Errno.EINVAL, program, code, (BPF.RET_A, 0, 0, 0))


def test_all_filters_together_have_a_limit(process: Any) -> None:
    long = program(*[(BPF.LD_IMM, 0, 0, 0)] * 4095, (BPF.RET_K, 0, 0, ALLOW))
    for _ in range(7):
        assert add_filter(process.tasks[2], long) == 0
    fails(Errno.ENOMEM, add_filter, process.tasks[2], long)


def test_threads_take_filters_that_begin_with_theirs(process: Any) -> None:
    one, other = process.tasks[2], process.tasks[3]
    assert add_filter(one, say(ALLOW), for_all=True) == 0
    assert other.seccomp is one.seccomp
    other.signals.interrupt.assert_called_once()  # it may be making calls that nobody hears of
    assert other.credentials.no_new_privileges
    assert add_filter(one, say(ALLOW)) == 0
    assert add_filter(one, say(ALLOW), for_all=True) == 0
    add_filter(other, say(ALLOW))
    before = one.seccomp
    assert add_filter(one, say(ALLOW), for_all=True) == other.tid
    assert one.seccomp is before


def test_strict_mode_and_filters_exclude_each_other(process: Any) -> None:
    one, other = process.tasks[2], process.tasks[3]
    begin_strict(one)
    begin_strict(one)
    fails(Errno.EINVAL, add_filter, one, say(ALLOW))
    add_filter(other, say(ALLOW))
    fails(Errno.EINVAL, begin_strict, other)
