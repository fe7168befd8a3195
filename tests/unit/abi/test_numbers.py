"""The tables of system calls are those of the headers, and of Linux 6.12 beyond them."""

from collections.abc import Callable

from aionoah.abi.aarch64 import AARCH64
from aionoah.abi.architecture import Architecture
from aionoah.abi.x86_64 import X86_64

# What Linux 6.2 to 6.12 added on both architectures (scripts/syscall.tbl, syscall_64.tbl).
ADDED = {
    451: "cachestat",
    452: "fchmodat2",
    453: "map_shadow_stack",
    454: "futex_wake",
    455: "futex_wait",
    456: "futex_requeue",
    457: "statmount",
    458: "listmount",
    459: "lsm_get_self_attr",
    460: "lsm_set_self_attr",
    461: "lsm_list_modules",
    462: "mseal",
}
# On x86_64 only: replaced by the *at calls and others long ago, or never implemented at all.
OLD = (
    "open stat lstat poll access pipe select dup2 pause alarm fork vfork getdents rename mkdir rmdir creat "
    "link unlink symlink readlink chmod chown lchown getpgrp utime mknod uselib ustat sysfs modify_ldt "
    "_sysctl arch_prctl iopl ioperm create_module get_kernel_syms query_module getpmsg putpmsg afs_syscall "
    "tuxcall security time set_thread_area get_thread_area epoll_create epoll_ctl_old epoll_wait_old "
    "epoll_wait utimes vserver inotify_init futimesat signalfd eventfd uretprobe"
)


def test_every_number_is_the_headers(architecture: Architecture, c_facts: Callable) -> None:
    names = architecture.syscall_numbers
    numbers = c_facts(["asm/unistd.h"], [f"?__NR_{name}" for name in names])
    found = {name: numbers[f"?__NR_{name}"] for name in names if f"?__NR_{name}" in numbers}
    assert found == {name: number for name, number in names.items() if name in found}
    assert set(names) - set(found) <= set(ADDED.values()) | {"uretprobe"}


def test_no_number_is_missing(architecture: Architecture, c_facts: Callable) -> None:
    last = max(architecture.syscall_names)
    assert last == 462
    gaps = {"x86_64": range(336, 424), "aarch64": [*range(244, 260), *range(295, 424)]}[architecture.name]
    assert set(range(last + 1)) - set(gaps) == set(architecture.syscall_names)
    assert c_facts(["asm/unistd.h"], ["__NR_set_mempolicy_home_node"]) == {
        "__NR_set_mempolicy_home_node": 450
    }


def test_additions_are_the_same_everywhere() -> None:
    for architecture in (X86_64, AARCH64):
        assert {n: architecture.syscall_names[n] for n in ADDED} == ADDED
    assert X86_64.syscall_names[335] == "uretprobe"


def test_one_name_for_one_call() -> None:
    shared = set(X86_64.syscall_names.values()) - set(OLD.split())
    assert set(AARCH64.syscall_names.values()) == shared
    for architecture in (X86_64, AARCH64):
        assert len(architecture.syscall_numbers) == len(architecture.syscall_names)
