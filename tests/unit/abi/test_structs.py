"""Every structure has the size and the field offsets that the C compiler gives, on both architectures."""

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar, NamedTuple, get_origin, get_type_hints

import pytest

from aionoah.abi import (
    aarch64,
    aio,
    capability,
    core,
    fcntl,
    filter,  # noqa: A004 - the header's name
    futex,
    inet,
    inotify,
    ioctl,
    ipc,
    kcmp,
    mqueue,
    netlink,
    pagecache,
    poll,
    ptrace,
    resource,
    sched,
    seccomp,
    siginfo,
    signal,
    socket,
    stat,
    statfs,
    sysinfo,
    termios,
    time,
    uio,
    utsname,
    x86_64,
)
from aionoah.abi.cstruct import Struct


class Case(NamedTuple):
    """A Struct, its header, its name in C, and the fields that C spells otherwise (None: no such name)."""

    kind: type[Struct]
    header: str
    c_name: str
    renamed: Mapping[str, str | None] = MappingProxyType({})
    prefix: str = ""  # of all field names in C
    only: str = ""
    is_head: bool = False  # ours is the beginning of a longer structure

    def fields(self) -> dict[str, str]:
        """C's name of each field by ours."""
        names = {name: self.renamed.get(name, self.prefix + name) for name in self.kind.FIELDS}
        return {ours: theirs for ours, theirs in names.items() if theirs is not None}


SIGINFO = {"si_lower": "si_lower", "rest": None}
X86, ARM = "x86_64", "aarch64"

STATUS_TIMES = {
    f"{name}_{ours}": f"pr_{name}.tv_{ours}"
    for name in ("utime", "stime", "cutime", "cstime")
    for ours in ("sec", "usec")
}
STATUS_SIGNAL = {name: f"pr_info.{name}" for name in ("si_signo", "si_code", "si_errno")}

CASES = [
    Case(core.ElfHeader, "linux/elf.h", "Elf64_Ehdr"),
    Case(core.ProgramHeader, "linux/elf.h", "Elf64_Phdr"),
    Case(core.PrPsInfo, "sys/procfs.h", "struct elf_prpsinfo"),
    Case(core.PrStatusCommon, "sys/procfs.h", "struct elf_prstatus", STATUS_SIGNAL | STATUS_TIMES, is_head=True),
    Case(fcntl.Flock, "linux/fcntl.h", "struct flock", prefix="l_"),
    Case(fcntl.FOwnerEx, "linux/fcntl.h", "struct f_owner_ex"),
    Case(fcntl.OpenHow, "linux/openat2.h", "struct open_how"),
    Case(aio.Iocb, "linux/aio_abi.h", "struct iocb", {
        "key": "aio_key", "reserved2": "aio_reserved2", "lio_opcode": "aio_lio_opcode"}, prefix="aio_"),
    Case(aio.IoEvent, "linux/aio_abi.h", "struct io_event"),
    Case(seccomp.SeccompNotifSizes, "linux/seccomp.h", "struct seccomp_notif_sizes"),
    Case(seccomp.SeccompNotif, "linux/seccomp.h", "struct seccomp_notif"),
    Case(seccomp.SeccompNotifResp, "linux/seccomp.h", "struct seccomp_notif_resp"),
    Case(seccomp.SeccompNotifAddfd, "linux/seccomp.h", "struct seccomp_notif_addfd"),
    Case(inotify.InotifyEvent, "linux/inotify.h", "struct inotify_event"),
    Case(stat.StatxTimestamp, "linux/stat.h", "struct statx_timestamp"),
    Case(stat.Statx, "linux/stat.h", "struct statx", dict.fromkeys(
        ("stx_subvol", "stx_atomic_write_unit_min", "stx_atomic_write_unit_max",
         "stx_atomic_write_segments_max"))),
    Case(x86_64.Stat, "asm/stat.h", "struct stat", only=X86),
    Case(aarch64.Stat, "asm/stat.h", "struct stat", only=ARM),
    Case(x86_64.EpollEvent, "linux/eventpoll.h", "struct epoll_event", only=X86),
    Case(aarch64.EpollEvent, "linux/eventpoll.h", "struct epoll_event", only=ARM),
    Case(poll.PollFd, "asm/poll.h", "struct pollfd"),
    Case(signal.Sigaction, "asm/signal.h", "struct sigaction"),
    Case(signal.StackT, "asm/signal.h", "stack_t"),
    Case(siginfo.SigInfoHeader, "asm/siginfo.h", "siginfo_t", SIGINFO),
    *(Case(kind, "asm/siginfo.h", "siginfo_t", SIGINFO) for kind in (
        siginfo.SigInfoKill, siginfo.SigInfoQueue, siginfo.SigInfoTimer, siginfo.SigInfoChild,
        siginfo.SigInfoFault, siginfo.SigInfoPoll, siginfo.SigInfoSyscall)),
    Case(siginfo.Sigevent, "asm/siginfo.h", "struct sigevent", {"sigev_notify_thread_id": "_sigev_un._tid"}),
    Case(siginfo.SignalfdSiginfo, "linux/signalfd.h", "struct signalfd_siginfo"),
    Case(time.Timespec, "linux/time.h", "struct timespec"),
    Case(time.Timeval, "linux/time.h", "struct timeval"),
    Case(time.Itimerspec, "linux/time.h", "struct itimerspec"),
    Case(time.Itimerval, "linux/time.h", "struct itimerval"),
    Case(time.Timezone, "linux/time.h", "struct timezone"),
    Case(time.Utimbuf, "linux/utime.h", "struct utimbuf"),
    Case(time.Tms, "linux/times.h", "struct tms"),
    Case(time.Timex, "linux/timex.h", "struct timex"),
    Case(resource.Rlimit, "linux/resource.h", "struct rlimit64"),
    Case(resource.Rusage, "linux/resource.h", "struct rusage"),
    Case(sched.CloneArgs, "linux/sched.h", "struct clone_args"),
    Case(sched.SchedParam, "sched.h", "struct sched_param"),
    Case(sched.SchedAttr, "linux/sched/types.h", "struct sched_attr"),
    Case(sched.Rseq, "linux/rseq.h", "struct rseq", {"node_id": None, "mm_cid": None}, is_head=True),
    Case(sched.RseqCs, "linux/rseq.h", "struct rseq_cs"),
    Case(futex.FutexWaitv, "linux/futex.h", "struct futex_waitv", {"reserved": "__reserved"}),
    Case(futex.RobustListHead, "linux/futex.h", "struct robust_list_head"),
    Case(statfs.Statfs, "asm/statfs.h", "struct statfs",
         {"f_fsid0": "f_fsid.val[0]", "f_fsid1": "f_fsid.val[1]"}),
    Case(uio.Iovec, "linux/uio.h", "struct iovec"),
    Case(ptrace.UserRegs, "sys/user.h", "struct user_regs_struct", only=X86),
    Case(ptrace.PtraceSyscallInfo, "linux/ptrace.h", "struct ptrace_syscall_info", is_head=True),
    Case(ptrace.PtracePeekSigInfo, "linux/ptrace.h", "struct ptrace_peeksiginfo_args"),
    Case(ptrace.PtraceRseqConfiguration, "linux/ptrace.h", "struct ptrace_rseq_configuration"),
    Case(ptrace.SeccompMetadata, "linux/ptrace.h", "struct seccomp_metadata"),
    Case(kcmp.KcmpEpollSlot, "linux/kcmp.h", "struct kcmp_epoll_slot"),
    Case(ipc.IpcPerm, "asm/ipcbuf.h", "struct ipc64_perm"),
    Case(ipc.ShmidDs, "linux/shm.h", "struct shmid64_ds"),
    Case(ipc.Shminfo, "linux/shm.h", "struct shminfo64"),
    Case(ipc.ShmInfo, "linux/shm.h", "struct shm_info"),
    Case(ipc.Sembuf, "linux/sem.h", "struct sembuf"),
    Case(ipc.SemidDsX86, "linux/sem.h", "struct semid64_ds", only=X86),
    Case(ipc.SemidDs, "linux/sem.h", "struct semid64_ds", only=ARM),
    Case(ipc.Seminfo, "linux/sem.h", "struct seminfo"),
    Case(ipc.MsqidDs, "linux/msg.h", "struct msqid64_ds"),
    Case(ipc.Msginfo, "linux/msg.h", "struct msginfo"),
    Case(mqueue.MqAttr, "linux/mqueue.h", "struct mq_attr"),
    Case(fcntl.FileHandle, "fcntl.h", "struct file_handle"),
    Case(utsname.NewUtsname, "linux/utsname.h", "struct new_utsname"),
    Case(sysinfo.Sysinfo, "linux/sysinfo.h", "struct sysinfo",
         {"load1": "loads[0]", "load5": "loads[1]", "load15": "loads[2]"}),
    Case(capability.CapabilityHeader, "linux/capability.h", "struct __user_cap_header_struct"),
    Case(capability.CapabilityData, "linux/capability.h", "struct __user_cap_data_struct"),
    Case(ioctl.Winsize, "asm/termios.h", "struct winsize"),
    Case(termios.Termio, "asm/termios.h", "struct termio"),
    Case(termios.Termios, "asm/termbits.h", "struct termios"),
    Case(termios.Termios2, "asm/termbits.h", "struct termios2"),
    Case(ioctl.FileCloneRange, "linux/fs.h", "struct file_clone_range"),
    Case(ioctl.FileDedupeRange, "linux/fs.h", "struct file_dedupe_range"),
    Case(ioctl.FileDedupeRangeInfo, "linux/fs.h", "struct file_dedupe_range_info"),
    Case(ioctl.Fiemap, "linux/fs.h linux/fiemap.h", "struct fiemap"),
    Case(ioctl.Fsxattr, "linux/fs.h", "struct fsxattr"),
    Case(ioctl.Ifreq, "linux/if.h", "struct ifreq", {"ifr_name": "ifr_ifrn"}),
    Case(ioctl.Ifconf, "linux/if.h", "struct ifconf", {"ifc_buf": "ifc_ifcu"}),
    Case(ioctl.VtStat, "linux/vt.h", "struct vt_stat"),
    Case(socket.SockaddrUn, "linux/un.h", "struct sockaddr_un"),
    Case(socket.SockaddrIn, "linux/in.h", "struct sockaddr_in"),
    Case(socket.SockaddrIn6, "linux/in6.h", "struct sockaddr_in6"),
    Case(socket.Msghdr, "sys/socket.h", "struct msghdr"),
    Case(socket.Mmsghdr, "sys/socket.h", "struct mmsghdr"),
    Case(filter.SockFilter, "linux/filter.h", "struct sock_filter"),
    Case(filter.SockFprog, "linux/filter.h", "struct sock_fprog"),
    Case(socket.Cmsghdr, "sys/socket.h", "struct cmsghdr"),
    Case(socket.Ucred, "sys/socket.h", "struct ucred"),
    Case(socket.Linger, "sys/socket.h", "struct linger"),
    Case(inet.IpMreq, "linux/in.h", "struct ip_mreq"),
    Case(inet.IpMreqn, "linux/in.h", "struct ip_mreqn"),
    Case(inet.InPktinfo, "linux/in.h", "struct in_pktinfo"),
    Case(inet.Ipv6Mreq, "linux/in6.h", "struct ipv6_mreq"),
    Case(inet.In6Pktinfo, "linux/ipv6.h", "struct in6_pktinfo"),
    Case(netlink.SockaddrNl, "linux/netlink.h", "struct sockaddr_nl"),
    Case(netlink.Nlmsghdr, "linux/netlink.h", "struct nlmsghdr"),
    Case(netlink.Nlmsgerr, "linux/netlink.h", "struct nlmsgerr"),
    Case(netlink.Nlattr, "linux/netlink.h", "struct nlattr"),
    Case(x86_64.SigContext, "asm/sigcontext.h", "struct sigcontext", only=X86),
    Case(x86_64.UContext, "asm/signal.h asm/sigcontext.h asm/ucontext.h", "struct ucontext", only=X86),
    Case(x86_64.FpxSwBytes, "asm/sigcontext.h", "struct _fpx_sw_bytes", only=X86),
    Case(x86_64.FpState, "asm/sigcontext.h", "struct _fpstate_64", only=X86),
    Case(x86_64.XsaveHeader, "asm/sigcontext.h", "struct _header", {"xcomp_bv": "reserved1"}, only=X86),
    Case(x86_64.UserDesc, "asm/ldt.h", "struct user_desc", {"flags": None}, only=X86),
    Case(aarch64.ContextHeader, "asm/sigcontext.h", "struct _aarch64_ctx", only=ARM),
    Case(aarch64.FpsimdContext, "asm/sigcontext.h", "struct fpsimd_context", only=ARM),
    Case(aarch64.EsrContext, "asm/sigcontext.h", "struct esr_context", only=ARM),
    Case(aarch64.ExtraContext, "asm/sigcontext.h", "struct extra_context", only=ARM),
    Case(aarch64.SigContext, "asm/sigcontext.h", "struct sigcontext", {"reserved": "__reserved"}, only=ARM),
    Case(aarch64.UContext, "asm/signal.h asm/sigcontext.h asm/ucontext.h", "struct ucontext", only=ARM),
]  # fmt: skip

# Structures of the kernel that no header for programs has; test_frames looks at real ones.
WITHOUT_HEADER = {
    x86_64.RtSigFrame,
    aarch64.RtSigFrame,
    aarch64.FrameRecord,
    signal.SigsetArgument,
    aio.AioRing,
    ioctl.SpaceResv,
    aio.AioSigset,
    *(pagecache.CachestatRange, pagecache.Cachestat),  # since Linux 6.5
}


def places(kind: type[Struct]) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of each field, found by packing ones there and zeros elsewhere."""
    for name in kind.FIELDS:
        packed = filled(kind, only=name).pack()
        ones = [i for i, byte in enumerate(packed) if byte]
        yield name, ones[0], ones[-1] + 1 - ones[0]


def filled(kind: type[Struct], only: str | None = None) -> Struct:
    """One with all bits of the field `only` set, or of all fields."""
    hints = get_type_hints(kind, include_extras=True)
    hints = {name: hint for name, hint in hints.items() if get_origin(hint) is not ClassVar}
    return kind(**{name: value(hint, is_set=only in {None, name}) for name, hint in hints.items()})


def value(hint: type, *, is_set: bool) -> int | bytes | Struct:
    if isinstance(hint, type):
        return filled(hint) if is_set else hint.unpack(bytes(hint.SIZE))
    count, letter = re.match(r"(\d*)([a-zA-Z])", hint.__metadata__[0]).groups()
    if letter == "s":
        return (b"\xff" if is_set else b"\0") * int(count)
    if not is_set:
        return 0
    return -1 if letter.islower() else (1 << {"B": 8, "H": 16, "I": 32, "Q": 64}[letter]) - 1


PAIRS = [
    pytest.param(case, name, id=f"{name}-{case.kind.__module__}.{case.kind.__name__}")
    for case in CASES
    for name in ([case.only] if case.only else [X86, ARM])
]


@pytest.mark.parametrize(("case", "architecture"), PAIRS, indirect=["architecture"])
def test_layout_is_the_headers(case: Case, c_facts: Callable) -> None:
    size = f"sizeof({case.c_name})"
    fields = case.fields()
    offset = {name: f"offsetof({case.c_name}, {theirs})" for name, theirs in fields.items()}
    width = {name: f"sizeof((({case.c_name} *)0)->{theirs})" for name, theirs in fields.items()}
    facts = c_facts(case.header.split(), [size, *offset.values(), *width.values()])
    ours = {name: (start, length) for name, start, length in places(case.kind) if name in fields}
    assert {name: start for name, (start, _) in ours.items()} == {n: facts[o] for n, o in offset.items()}
    for name, (_, length) in ours.items():
        assert length <= facts[width[name]], name  # not less: a Struct may leave padding out
    if not case.is_head:
        assert facts[size] == case.kind.SIZE


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind.__module__}.{case.kind.__name__}")
def test_round_trip(case: Case) -> None:
    full = filled(case.kind)
    data = full.pack()
    assert len(data) == case.kind.SIZE
    assert case.kind.unpack(data) == full
    assert case.kind.unpack(b"\0" * 3 + data, offset=3) == full


def test_every_struct_has_a_case(abi_classes: Callable) -> None:
    assert abi_classes(Struct) - {case.kind for case in CASES} - WITHOUT_HEADER == set()
