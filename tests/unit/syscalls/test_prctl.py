"""prctl on both kernels, the oracle in a child process; arch_prctl with a CPU that is none."""

import importlib
import struct
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from aionoah.abi.capability import CAP
from aionoah.abi.errno import Errno
from aionoah.abi.prctl import PR, PR_CAP_AMBIENT
from aionoah.abi.securebits import SECBIT
from aionoah.abi.x86_64 import ARCH

for _module in ("identity", "prctl"):
    importlib.import_module(f"aionoah.syscalls.{_module}")

WILD = 8


def put_by(k: Any, option: int, length: int = 4) -> tuple[Any, bytes]:
    """What an operation that writes to an address puts there."""
    room = k.space(length)
    return k.call("prctl", option, room, 0, 0, 0), k.get(room, length)


def test_names(same_in_child: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        for name in (b"short", b"", b"exactly fifteen", b"more than fifteen bytes"):
            yield k.call("prctl", PR.SET_NAME, name, 0, 0, 0), put_by(k, PR.GET_NAME, 16)
        yield k.call("prctl", PR.SET_NAME, WILD), k.call("prctl", PR.GET_NAME, WILD)
        end = k.edge - 15
        k.set(end, b"n" * 15)
        yield k.call("prctl", PR.SET_NAME, end), put_by(k, PR.GET_NAME, 16)
        k.set(k.edge - 5, b"name\0")
        yield k.call("prctl", PR.SET_NAME, k.edge - 5), put_by(k, PR.GET_NAME, 16)

    same_in_child(script)


def test_the_main_threads_name_is_the_processs(guest: Any) -> None:
    assert guest.call("prctl", PR.SET_NAME, b"worker") == 0
    assert guest.task.process.name == guest.task.name == b"worker"


def test_life(same_in_child: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        for signal in (0, 15, 64, 65, -1):
            yield k.call("prctl", PR.SET_PDEATHSIG, signal), put_by(k, PR.GET_PDEATHSIG)
        yield k.call("prctl", PR.GET_PDEATHSIG, WILD)
        for value in (0, 1, 2, 3):
            yield k.call("prctl", PR.SET_DUMPABLE, value), k.call("prctl", PR.GET_DUMPABLE)
        for value in (1, 0, 7):
            yield k.call("prctl", PR.SET_CHILD_SUBREAPER, value), put_by(k, PR.GET_CHILD_SUBREAPER)
        for value in (1234, 0, 1, -1):
            yield k.call("prctl", PR.SET_TIMERSLACK, value), k.call("prctl", PR.GET_TIMERSLACK)
        yield (
            k.call("prctl", PR.SET_TIMING, 0),
            k.call("prctl", PR.SET_TIMING, 1),
            k.call("prctl", PR.GET_TIMING),
        )
        yield k.call("prctl", PR.GET_SECCOMP), k.call("prctl", PR.GET_THP_DISABLE, 0, 0, 0, 0)
        yield k.call("prctl", PR.GET_THP_DISABLE, 1, 0, 0, 0)

    same_in_child(script)


def test_no_new_privileges(same_in_child: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        for arguments in ((0, 0, 0, 0), (2, 0, 0, 0), (1, 1, 0, 0), (1, 0, 0, 1)):
            yield (
                k.call("prctl", PR.SET_NO_NEW_PRIVS, *arguments),
                k.call("prctl", PR.GET_NO_NEW_PRIVS, 0, 0, 0, 0),
            )
        yield (
            k.call("prctl", PR.SET_NO_NEW_PRIVS, 1, 0, 0, 0),
            k.call("prctl", PR.GET_NO_NEW_PRIVS, 0, 0, 0, 0),
        )
        yield k.call("prctl", PR.GET_NO_NEW_PRIVS, 1, 0, 0, 0)

    same_in_child(script)


def test_bounding_set(same_in_child: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        yield [k.call("prctl", PR.CAPBSET_READ, number) for number in (CAP.CHOWN, 41, 64, -1)]
        yield k.call("prctl", PR.CAPBSET_DROP, CAP.CHOWN), k.call("prctl", PR.CAPBSET_READ, CAP.CHOWN)
        yield k.call("prctl", PR.CAPBSET_DROP, 41)
        yield k.call("setresuid", 1, 1, 1)
        yield k.call("prctl", PR.CAPBSET_DROP, CAP.KILL), k.call("prctl", PR.CAPBSET_DROP, 41)

    same_in_child(script)


def test_keeping_capabilities(same_in_child: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        for value in (1, 2, 0, 1):
            yield k.call("prctl", PR.SET_KEEPCAPS, value), k.call("prctl", PR.GET_KEEPCAPS)
        yield k.call("prctl", PR.GET_SECUREBITS)
        yield k.call("prctl", PR.SET_SECUREBITS, SECBIT.KEEP_CAPS_LOCKED), k.call("prctl", PR.GET_SECUREBITS)
        yield k.call("prctl", PR.SET_KEEPCAPS, 1), k.call("prctl", PR.SET_KEEPCAPS, 2)

    same_in_child(script)


def test_secure_bits(same_in_child: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        locked = SECBIT.NOROOT | SECBIT.NOROOT_LOCKED
        for value in (
            SECBIT.NO_SETUID_FIXUP,
            0,
            locked,
            0,
            SECBIT.NOROOT,
            locked | SECBIT.KEEP_CAPS,
            1 << 12,
            -1,
        ):
            yield value, k.call("prctl", PR.SET_SECUREBITS, value), k.call("prctl", PR.GET_SECUREBITS)
        yield k.call("setresuid", 1, 1, 1)
        yield k.call("prctl", PR.SET_SECUREBITS, locked), k.call("prctl", PR.GET_SECUREBITS)

    same_in_child(script)


def test_ambient_capabilities(same_in_child: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        def ambient(operation: int, capability: int = 0, *rest: int) -> Any:
            return k.call("prctl", PR.CAP_AMBIENT, operation, capability, *rest, *[0] * (2 - len(rest)))

        bit = 1 << CAP.CHOWN
        yield ambient(PR_CAP_AMBIENT.IS_SET, CAP.CHOWN), ambient(PR_CAP_AMBIENT.RAISE, CAP.CHOWN)
        header = k.put(struct.pack("<Ii", 0x20080522, 0))
        yield k.call("capset", header, k.put(struct.pack("<6I", bit, bit, bit, 0, 0, 0)))
        yield ambient(PR_CAP_AMBIENT.RAISE, CAP.CHOWN), ambient(PR_CAP_AMBIENT.IS_SET, CAP.CHOWN)
        yield ambient(PR_CAP_AMBIENT.RAISE, CAP.KILL), ambient(PR_CAP_AMBIENT.RAISE, 41)
        yield ambient(PR_CAP_AMBIENT.LOWER, CAP.CHOWN), ambient(PR_CAP_AMBIENT.IS_SET, CAP.CHOWN)
        yield ambient(PR_CAP_AMBIENT.RAISE, CAP.CHOWN), ambient(PR_CAP_AMBIENT.CLEAR_ALL, 1)
        yield ambient(PR_CAP_AMBIENT.CLEAR_ALL), ambient(PR_CAP_AMBIENT.IS_SET, CAP.CHOWN)
        yield ambient(9, CAP.CHOWN), ambient(PR_CAP_AMBIENT.IS_SET, CAP.CHOWN, 1), ambient(0, 0)

    same_in_child(script)


def test_nothing_is_raised_that_must_not_be(guest: Any) -> None:
    who = guest.task.credentials
    who.permitted = who.inheritable = 1
    who.securebits = SECBIT(SECBIT.NO_CAP_AMBIENT_RAISE)
    assert guest.call("prctl", PR.CAP_AMBIENT, PR_CAP_AMBIENT.RAISE, 0, 0, 0) is Errno.EPERM
    assert who.ambient == 0


def test_where_the_thread_word_is(guest: Any) -> None:
    guest.task.clear_child_tid = 0x1234_5678_9ABC
    assert put_by(guest, PR.GET_TID_ADDRESS, 8) == (0, (0x1234_5678_9ABC).to_bytes(8, "little"))


def test_what_does_not_exist(same: Any) -> None:
    def script(k: Any) -> Iterator[Any]:
        yield [k.call("prctl", option, 0, 0, 0, 0) for option in (0, 17, 18, 1000, -1)]

    same(script)


# -- x86_64 ---------------------------------------------------------------------------------------------------


@pytest.fixture
def cpu(guest: Any) -> Any:
    """The CPU of the guest's task, with the two bases as attributes."""
    bases = SimpleNamespace(fs=0x1111, gs=0x2222)
    guest.task.control = SimpleNamespace(
        get_tls=lambda: bases.fs,
        set_tls=lambda value: setattr(bases, "fs", value),
        get_gs_base=lambda: bases.gs,
        set_gs_base=lambda value: setattr(bases, "gs", value),
        exit_thread=lambda: None,
        cpu_time_ns=lambda: 0,
        user_time_ns=lambda: 0,
    )
    return bases


def test_bases(guest: Any, cpu: Any) -> None:
    room = guest.space(8)
    for getter, base in ((ARCH.GET_FS, 0x1111), (ARCH.GET_GS, 0x2222)):
        assert guest.call("arch_prctl", getter, room) == 0
        assert int.from_bytes(guest.get(room, 8), "little") == base
        assert guest.call("arch_prctl", getter, WILD) is Errno.EFAULT
    assert guest.call("arch_prctl", ARCH.SET_FS, 0x7000_0000_0000) == 0
    assert guest.call("arch_prctl", ARCH.SET_GS, 0) == 0
    assert (cpu.fs, cpu.gs) == (0x7000_0000_0000, 0)


def test_bases_are_user_addresses(guest: Any, cpu: Any, oracle: Any) -> None:
    end = guest.architecture.task_size
    for code in (ARCH.SET_FS, ARCH.SET_GS):
        for address in (end, 1 << 63, (1 << 64) - 1):
            assert guest.call("arch_prctl", code, address) is Errno.EPERM
            assert oracle.call("arch_prctl", code, address) is Errno.EPERM
        assert guest.call("arch_prctl", code, end - 1) == 0


def test_the_rest_is_the_kernels(guest: Any, cpu: Any, oracle: Any) -> None:
    for code in (ARCH.GET_CPUID, ARCH.SET_CPUID, ARCH.SHSTK_STATUS, 0, 0x9999):
        assert guest.call("arch_prctl", code, 0) == oracle.call("arch_prctl", code, 0)
