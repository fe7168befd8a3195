"""Every named number is the one of the kernel's or the C library's header, on both architectures."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import pytest

from aionoah.abi import (
    acl,
    aio,
    auxv,
    capability,
    close_range,
    core,
    epoll,
    errno,
    ethtool,
    eventfd,
    fcntl,
    filter,  # noqa: A004 - the header's name
    futex,
    inet,
    inotify,
    ioctl,
    ipc,
    kcmp,
    limits,
    mempolicy,
    mman,
    mount,
    mqueue,
    netlink,
    personality,
    poll,
    prctl,
    ptrace,
    random,
    resource,
    sched,
    seccomp,
    securebits,
    siginfo,
    signal,
    socket,
    stat,
    statfs,
    termios,
    time,
    uio,
    wait,
    x86_64,
    xattr,
)
from aionoah.abi.architecture import Architecture
from aionoah.abi.flags import Choice, Flags

MASK = 0xFFFF_FFFF_FFFF_FFFF


class Case(NamedTuple):
    """A class, its headers, how C spells a member, and which members have no header here to compare with."""

    kind: type[int]
    headers: str
    spelling: str
    renamed: Mapping[str, str] = MappingProxyType({})
    newer: str = ""  # since Linux 6.2, or not in a header for programs: compared if there
    only: str = ""

    def expressions(self) -> dict[str, str]:
        """The C expression of every member by its name."""
        newer = self.newer.split()
        spelled = {}
        for name in constants(self.kind):
            text = self.renamed.get(name, self.spelling.format(name))
            spelled[name] = f"?{text}" if name in newer or self.newer == "*" else text
        return spelled


def constants(kind: type[int]) -> dict[str, int]:
    return {
        name: value
        for name, value in vars(kind).items()
        if name.isupper() and isinstance(value, int) and name != "WIDTH"
    }


NET = "sys/socket.h netinet/in.h netinet/tcp.h netinet/udp.h"
TERMBITS = "asm/termbits.h"
IOCTLS = (
    "asm/ioctls.h asm/termbits.h asm/sockios.h linux/sockios.h linux/fs.h linux/fiemap.h linux/random.h "
    "linux/nsfs.h linux/kd.h linux/vt.h linux/cdrom.h"
)
MAGIC_PLAIN = (
    "ANON_INODE_FS BINFMTFS DEBUGFS HUGETLBFS NSFS PIPEFS RAMFS SECURITYFS SOCKFS SQUASHFS SYSFS TMPFS "
    "TRACEFS V9FS"
)

CASES = [
    Case(errno.Errno, "linux/errno.h", "{}", {"ENOTSUP": "EOPNOTSUPP"}, newer="ERESTARTSYS ERESTARTNOINTR "
         "ERESTARTNOHAND ERESTART_RESTARTBLOCK ENOTSUP"),
    Case(fcntl.AT, "linux/fcntl.h", "AT_{}"),
    Case(acl.ACL, "linux/posix_acl.h", "ACL_{}"),
    Case(mount.MS, "linux/mount.h", "MS_{}"),
    Case(mount.MNT, "sys/mount.h", "MNT_{}", {"UMOUNT_NOFOLLOW": "UMOUNT_NOFOLLOW"}),
    Case(fcntl.F, "linux/fcntl.h", "F_{}", newer="DUPFD_QUERY CREATED_QUERY"),
    Case(fcntl.FD, "linux/fcntl.h", "FD_{}"),
    Case(fcntl.SEEK, "linux/fs.h", "SEEK_{}"),
    Case(fcntl.LOCK, "linux/fcntl.h", "LOCK_{}"),
    Case(fcntl.LCK, "linux/fcntl.h", "F_{}"),
    Case(fcntl.OWNER, "linux/fcntl.h", "F_OWNER_{}"),
    Case(fcntl.RENAME, "linux/fs.h", "RENAME_{}"),
    Case(fcntl.FALLOC, "linux/falloc.h", "FALLOC_FL_{}"),
    Case(fcntl.RESOLVE, "linux/openat2.h", "RESOLVE_{}"),
    Case(fcntl.SPLICE, "fcntl.h", "SPLICE_F_{}"),
    Case(fcntl.F_SEAL, "linux/fcntl.h", "F_SEAL_{}", newer="EXEC"),
    Case(fcntl.FADV, "linux/fadvise.h", "POSIX_FADV_{}"),
    Case(fcntl.RWH, "linux/fcntl.h", "RWH_WRITE_LIFE_{}"),
    Case(fcntl.SYNC, "linux/fs.h", "SYNC_FILE_RANGE_{}"),
    Case(fcntl.ACCESS, "unistd.h", "{}_OK"),
    Case(stat.S, "linux/stat.h", "S_{}", newer="IRWXUGO IALLUGO IXUGO"),
    Case(stat.DT, "dirent.h", "DT_{}"),
    Case(stat.UTIME, "sys/stat.h", "UTIME_{}"),
    Case(stat.STATX, "linux/stat.h", "STATX_{}", {"RESERVED": "STATX__RESERVED"},
         newer="MNT_ID_UNIQUE SUBVOL WRITE_ATOMIC"),
    Case(stat.STATX_ATTR, "linux/stat.h", "STATX_ATTR_{}"),
    Case(poll.Poll, "asm/poll.h", "POLL{}"),
    Case(epoll.Epoll, "linux/eventpoll.h", "EPOLL{}"),
    Case(epoll.EPOLL_CTL, "linux/eventpoll.h", "EPOLL_CTL_{}"),
    Case(eventfd.EFD, "sys/eventfd.h", "EFD_{}"),
    Case(aio.IOCB_CMD, "linux/aio_abi.h", "IOCB_CMD_{}"),
    Case(inotify.IN, "linux/inotify.h", "IN_{}"),
    Case(inotify.DN, "linux/fcntl.h", "DN_{}"),
    Case(close_range.CLOSE_RANGE, "linux/close_range.h", "CLOSE_RANGE_{}"),
    Case(signal.SIG, "asm/signal.h", "SIG{}", {"RTMAX": "_NSIG"}, newer="RTMAX"),
    Case(signal.SIG_HOW, "asm/signal.h", "SIG_{}"),
    Case(signal.SA, "asm/signal.h", "SA_{}"),
    Case(signal.SS, "linux/signal.h", "SS_{}"),
    Case(signal.SIGEV, "asm/siginfo.h", "SIGEV_{}"),
    Case(signal.SFD, "linux/signalfd.h", "SFD_{}"),
    *(Case(getattr(siginfo, name), "asm/siginfo.h", name + "_{}")
      for name in ("SI", "ILL", "FPE", "SEGV", "BUS", "TRAP", "CLD", "SYS")),
    Case(siginfo.POLL_CODE, "asm/siginfo.h", "POLL_{}"),
    Case(mman.PROT, "asm/mman.h", "PROT_{}"),
    Case(mman.MAP, "linux/mman.h", "MAP_{}", {"BIT32": "MAP_32BIT"}, newer="BIT32"),
    Case(mman.MREMAP, "linux/mman.h", "MREMAP_{}"),
    Case(mman.MADV, "asm/mman.h", "MADV_{}", newer="COLLAPSE"),
    Case(mman.MS, "asm/mman.h", "MS_{}"),
    Case(mman.MCL, "asm/mman.h", "MCL_{}"),
    Case(mman.MLOCK, "asm/mman.h", "MLOCK_{}"),
    Case(mman.MFD, "linux/memfd.h", "MFD_{}", newer="NOEXEC_SEAL EXEC"),
    Case(mman.PKEY, "asm/mman.h", "PKEY_{}"),
    Case(mman.MEMBARRIER, "linux/membarrier.h", "MEMBARRIER_CMD_{}", newer="GET_REGISTRATIONS"),
    Case(time.CLOCK, "linux/time.h", "CLOCK_{}"),
    Case(time.TIMER, "linux/time.h", "TIMER_{}"),
    Case(time.TFD, "linux/timerfd.h", "TFD_{}"),
    Case(time.ITIMER, "linux/time.h", "ITIMER_{}"),
    Case(time.ADJ, "linux/timex.h", "ADJ_{}"),
    Case(time.STA, "linux/timex.h", "STA_{}"),
    Case(time.TIME, "linux/timex.h", "TIME_{}"),
    Case(resource.RLIMIT, "linux/resource.h", "RLIMIT_{}"),
    Case(resource.RUSAGE, "linux/resource.h", "RUSAGE_{}"),
    Case(resource.PRIO, "linux/resource.h", "PRIO_{}"),
    Case(resource.IOPRIO_WHO, "linux/ioprio.h", "IOPRIO_WHO_{}"),
    Case(resource.IOPRIO_CLASS, "linux/ioprio.h", "IOPRIO_CLASS_{}"),
    Case(ethtool.ETHTOOL, "linux/ethtool.h", "ETHTOOL_{}"),
    Case(ipc.IPC, "linux/ipc.h", "IPC_{}"),
    Case(ipc.SHM, "linux/shm.h", "SHM_{}", newer="DEST LOCKED"),
    *(Case(kind, f"linux/{name}.h", name.upper() + "_{}",
           {**{common: f"IPC_{common}" for common in ("RMID", "SET", "STAT", "INFO")},
            "STAT_INDEX": f"{name.upper()}_STAT", "INFO_USED": f"{name.upper()}_INFO",
            **{own: own for own in ("GETPID", "GETVAL", "GETALL", "GETNCNT", "GETZCNT", "SETVAL", "SETALL")
               if name == "sem"}})
      for name, kind in (("shm", ipc.SHM_CMD), ("sem", ipc.SEM_CMD), ("msg", ipc.MSG_CMD))),
    Case(ipc.MSGRCV, "linux/msg.h", "MSG_{}", {"NOWAIT": "IPC_NOWAIT"}),
    Case(mqueue.NOTIFY, "linux/mqueue.h", "NOTIFY_{}"),
    Case(wait.W, "linux/wait.h", "W{}", {"NOTHREAD": "__WNOTHREAD", "ALL": "__WALL", "CLONE": "__WCLONE"}),
    Case(wait.P, "linux/wait.h", "P_{}"),
    Case(ptrace.PTRACE, "linux/ptrace.h asm/ptrace.h", "PTRACE_{}",
         {"PEEKUSER": "PTRACE_PEEKUSR", "POKEUSER": "PTRACE_POKEUSR"},
         newer="GETREGS SETREGS GETFPREGS SETFPREGS ARCH_PRCTL SYSEMU SYSEMU_SINGLESTEP SINGLEBLOCK"),
    Case(ptrace.PTRACE_O, "linux/ptrace.h", "PTRACE_O_{}"),
    Case(ptrace.PTRACE_EVENT, "linux/ptrace.h", "PTRACE_EVENT_{}"),
    Case(ptrace.EVENTMSG, "linux/ptrace.h", "PTRACE_EVENTMSG_SYSCALL_{}"),
    Case(ptrace.SYSCALL_INFO, "linux/ptrace.h", "PTRACE_SYSCALL_INFO_{}"),
    Case(ptrace.AUDIT_ARCH, "linux/audit.h", "AUDIT_ARCH_{}"),
    Case(ptrace.NT, "linux/elf.h", "NT_{}"),
    Case(seccomp.SECCOMP_OP, "linux/seccomp.h", "SECCOMP_{}"),
    Case(seccomp.SECCOMP_FILTER_FLAG, "linux/seccomp.h", "SECCOMP_FILTER_FLAG_{}"),
    Case(seccomp.SECCOMP_RET, "linux/seccomp.h", "SECCOMP_RET_{}"),
    Case(seccomp.SECCOMP_ADDFD_FLAG, "linux/seccomp.h", "SECCOMP_ADDFD_FLAG_{}"),
    Case(seccomp.SECCOMP_IOCTL, "linux/seccomp.h sys/ioctl.h", "SECCOMP_IOCTL_NOTIF_{}", newer="ID_VALID_WRONG_DIR SET_FLAGS"),
    Case(kcmp.KCMP, "linux/kcmp.h", "KCMP_{}"),
    Case(mempolicy.MPOL, "linux/mempolicy.h", "MPOL_{}", newer="WEIGHTED_INTERLEAVE"),
    Case(mempolicy.MPOL_F, "linux/mempolicy.h", "MPOL_F_{}"),
    Case(mempolicy.MPOL_GET, "linux/mempolicy.h", "MPOL_F_{}"),
    Case(mempolicy.MPOL_MF, "linux/mempolicy.h", "MPOL_MF_{}"),
    Case(wait.PIDFD, "linux/pidfd.h", "PIDFD_{}", newer="THREAD"),
    Case(wait.PIDFD_SIGNAL, "linux/pidfd.h", "PIDFD_SIGNAL_{}", newer="THREAD THREAD_GROUP PROCESS_GROUP"),
    Case(sched.CLONE, "linux/sched.h", "CLONE_{}"),
    Case(sched.SCHED, "linux/sched.h", "SCHED_{}", newer="EXT"),
    Case(sched.SCHED_FLAG, "linux/sched.h", "SCHED_FLAG_{}"),
    Case(futex.FUTEX, "linux/futex.h", "FUTEX_{}"),
    Case(futex.FUTEX_OP, "linux/futex.h", "FUTEX_OP_{}"),
    Case(futex.FUTEX_OP_CMP, "linux/futex.h", "FUTEX_OP_CMP_{}"),
    Case(futex.FUTEX2, "linux/futex.h", "FUTEX2_{}", {"SIZE_U32": "FUTEX_32"},
         newer="SIZE_U8 SIZE_U16 SIZE_U64 NUMA PRIVATE"),
    Case(prctl.PR, "linux/prctl.h", "PR_{}", newer="SET_MDWE GET_MDWE SET_MEMORY_MERGE GET_MEMORY_MERGE "
         "RISCV_V_SET_CONTROL RISCV_V_GET_CONTROL RISCV_SET_ICACHE_FLUSH_CTX PPC_GET_DEXCR PPC_SET_DEXCR"),
    Case(prctl.MDWE, "linux/prctl.h", "PR_MDWE_{}", newer="REFUSE_EXEC_GAIN NO_INHERIT"),
    Case(prctl.PR_MCE_KILL, "linux/prctl.h", "PR_MCE_KILL_{}"),
    Case(prctl.PR_CAP_AMBIENT, "linux/prctl.h", "PR_CAP_AMBIENT_{}"),
    Case(prctl.PR_SET_MM, "linux/prctl.h", "PR_SET_MM_{}"),
    Case(prctl.PR_TSC, "linux/prctl.h", "PR_TSC_{}"),
    Case(prctl.SECCOMP_MODE, "linux/seccomp.h", "SECCOMP_MODE_{}"),
    Case(personality.PER, "linux/personality.h", "{}"),
    Case(securebits.SECBIT, "linux/securebits.h", "SECBIT_{}"),
    Case(capability.CAP, "linux/capability.h", "CAP_{}"),
    Case(ioctl.IOCTL, IOCTLS, "{}"),
    Case(ioctl.FS_FL, "linux/fs.h", "FS_{}_FL"),
    Case(ioctl.FS_XFLAG, "linux/fs.h", "FS_XFLAG_{}"),
    Case(termios.Iflag, TERMBITS, "{}"),
    Case(termios.Oflag, TERMBITS, "{}"),
    Case(termios.Cflag, TERMBITS, "{}"),
    Case(termios.Lflag, TERMBITS, "{}"),
    Case(termios.Csize, TERMBITS, "{}"),
    Case(termios.Baud, TERMBITS, "{}"),
    Case(termios.CC, TERMBITS, "V{}"),
    Case(termios.TC, TERMBITS, "TC{}"),
    Case(termios.TCFLUSH, TERMBITS, "TC{}", {"INPUT": "TCIFLUSH", "OUTPUT": "TCOFLUSH", "BOTH": "TCIOFLUSH"}),
    Case(termios.TIOCPKT, "asm/ioctls.h", "TIOCPKT_{}"),
    Case(statfs.MAGIC, "linux/magic.h", "{}_SUPER_MAGIC", {name: f"{name}_MAGIC" for name in MAGIC_PLAIN.split()},
         newer="MQUEUE"),
    Case(statfs.ST, "sys/statvfs.h", "ST_{}", newer="VALID NOSYMFOLLOW"),
    Case(uio.RWF, "linux/fs.h", "RWF_{}", newer="NOAPPEND ATOMIC DONTCACHE NOSIGNAL"),
    Case(auxv.AUX, "linux/auxvec.h", "AT_{}", newer="RSEQ_FEATURE_SIZE RSEQ_ALIGN HWCAP3 HWCAP4"),
    Case(xattr.XATTR, "linux/xattr.h", "XATTR_{}"),
    Case(random.GRND, "linux/random.h", "GRND_{}"),
    Case(socket.AF, NET, "AF_{}", {"DECNET": "AF_DECnet"}),
    Case(socket.SOCK, NET, "SOCK_{}"),
    Case(socket.SHUT, NET, "SHUT_{}"),
    Case(socket.SOL, NET, "SOL_{}", {"DECNET": "SOL_DECNET"}),
    Case(socket.SO, "asm/socket.h", "SO_{}", newer="PASSPIDFD PEERPIDFD"),
    Case(socket.SCM, NET, "SCM_{}", newer="SECURITY PIDFD"),
    Case(socket.MSG, NET, "MSG_{}"),
    Case(inet.IPPROTO, "linux/in.h linux/in6.h", "IPPROTO_{}"),
    Case(inet.IP, "linux/in.h", "IP_{}", newer="LOCAL_PORT_RANGE PROTOCOL"),
    Case(inet.IPV6, "linux/in6.h", "IPV6_{}",
         {f"RFC2292{name}": f"IPV6_2292{name}"
          for name in ("PKTINFO", "HOPOPTS", "DSTOPTS", "RTHDR", "PKTOPTIONS", "HOPLIMIT")}),
    Case(inet.TCP, "linux/tcp.h", "TCP_{}"),
    Case(inet.UDP, "linux/udp.h", "UDP_{}"),
    Case(filter.BPF, "linux/filter.h", "BPF_{}",
         {name: f"BPF_{name.replace('_', '|BPF_')}" for name in filter.BPF.members().values()}),
    Case(filter.BPF_ALU, "linux/filter.h", "BPF_ALU|BPF_{}"),
    Case(filter.BPF_JMP, "linux/filter.h", "BPF_JMP|BPF_{}"),
    Case(inet.ICMP6, "linux/icmpv6.h", "ICMPV6_{}"),
    Case(inet.RAW, "linux/icmp.h linux/in6.h", "{}"),
    Case(netlink.NETLINK, "linux/netlink.h", "NETLINK_{}"),
    Case(netlink.NETLINK_OPTION, "linux/netlink.h", "NETLINK_{}"),
    Case(netlink.NLMSG, "linux/netlink.h", "NLMSG_{}"),
    Case(netlink.NLM_F, "linux/netlink.h", "NLM_F_{}"),
    Case(x86_64.ARCH, "asm/prctl.h", "ARCH_{}", only="x86_64",
         newer="SHSTK_ENABLE SHSTK_DISABLE SHSTK_LOCK SHSTK_UNLOCK SHSTK_STATUS"),
    Case(x86_64.EFLAGS, "asm/processor-flags.h", "X86_EFLAGS_{}", only="x86_64"),
    Case(x86_64.UC, "asm/signal.h asm/sigcontext.h asm/ucontext.h", "UC_{}", only="x86_64"),
]  # fmt: skip

# Numbers that stand in no header for programs, or whose spelling has no pattern.
WITHOUT_HEADER = {
    core.DUMP,  # include/linux/sched/coredump.h: 1 << MMF_DUMP_* of a filter
    core.PF,  # include/linux/sched.h
    fcntl.O,  # test_open_flags
    ioctl.FS_IOC,  # include/linux/falloc.h
    prctl.SUID_DUMP,  # include/linux/sched/coredump.h
}


PAIRS = [
    pytest.param(case, name, id=f"{name}-{case.kind.__name__}")
    for case in CASES
    for name in ([case.only] if case.only else ["x86_64", "aarch64"])
]


@pytest.mark.parametrize(("case", "architecture"), PAIRS, indirect=["architecture"])
def test_members_are_the_headers(case: Case, c_facts: Callable) -> None:
    spelled = case.expressions()
    numbers = c_facts(case.headers.split(), list(spelled.values()))
    theirs = {name: word(numbers[text]) for name, text in spelled.items() if text in numbers}
    ours = {name: word(value) for name, value in constants(case.kind).items() if name in theirs}
    assert ours == theirs
    assert len(theirs) > len(spelled) // 2 or case.newer


def word(value: int) -> int:
    """C's ints come sign-extended, and ours may be written either way: undo it."""
    value &= MASK
    return value & 0xFFFF_FFFF if value >> 32 == 0xFFFF_FFFF else value


def test_open_flags(architecture: Architecture, c_facts: Callable) -> None:
    spelled = {f"O_{name}": value for name, value in fcntl.O.members().items() if name != "ASYNC"}
    spelled["O_LARGEFILE"] = fcntl.O.LARGEFILE
    numbers = c_facts(["asm/fcntl.h"], [*spelled, "FASYNC"])
    for name, value in (spelled | {"FASYNC": fcntl.O.ASYNC}).items():
        assert architecture.open_flags(numbers[name]) == value, name
        assert architecture.guest_open_flags(value) == numbers[name], name


def test_every_class_has_a_case(abi_classes: Callable) -> None:
    assert abi_classes(Flags, Choice) - {case.kind for case in CASES} - WITHOUT_HEADER == set()


PLAIN = {
    "linux/limits.h": {
        "NAME_MAX": limits.NAME_MAX,
        "PATH_MAX": limits.PATH_MAX,
        "PIPE_BUF": limits.PIPE_BUF,
        "ARG_MAX": limits.ARG_MAX,
        "NGROUPS_MAX": limits.NGROUPS_MAX,
    },
    "linux/resource.h": {"_STK_LIM": resource.STK_LIM},
    "linux/fcntl.h": {"AT_FDCWD": fcntl.AT_FDCWD},
    "linux/aio_abi.h": {
        "IOCB_FLAG_RESFD": aio.IOCB_FLAG_RESFD,
        "IOCB_FLAG_IOPRIO": aio.IOCB_FLAG_IOPRIO,
    },
    "linux/inotify.h": {
        "IN_ALL_EVENTS": inotify.IN_ALL_EVENTS,
        "IN_CLOEXEC": inotify.IN_CLOEXEC,
        "IN_NONBLOCK": inotify.IN_NONBLOCK,
    },
    "linux/eventpoll.h": {"EPOLL_CLOEXEC": epoll.EPOLL_CLOEXEC},
    "linux/capability.h": {
        "CAP_LAST_CAP": capability.CAP_LAST_CAP,
        "(2ULL << CAP_LAST_CAP) - 1": capability.CAP_FULL_SET,
        "_LINUX_CAPABILITY_VERSION_1": capability.CAPABILITY_VERSION_1,
        "_LINUX_CAPABILITY_VERSION_2": capability.CAPABILITY_VERSION_2,
        "_LINUX_CAPABILITY_VERSION_3": capability.CAPABILITY_VERSION_3,
    },
    "linux/filter.h": {
        "BPF_MAXINSNS": filter.BPF_MAXINSNS,
        "BPF_MEMWORDS": filter.BPF_MEMWORDS,
        "BPF_X": filter.BPF_X,
    },
    "linux/futex.h": {
        "FUTEX_PRIVATE_FLAG": futex.FUTEX_PRIVATE_FLAG,
        "FUTEX_CLOCK_REALTIME": futex.FUTEX_CLOCK_REALTIME,
        "FUTEX_CMD_MASK": futex.FUTEX_CMD_MASK,
        "FUTEX_BITSET_MATCH_ANY": futex.FUTEX_BITSET_MATCH_ANY,
        "FUTEX_OP_OPARG_SHIFT": futex.FUTEX_OP_OPARG_SHIFT,
        "FUTEX_WAITERS": futex.FUTEX_WAITERS,
        "FUTEX_OWNER_DIED": futex.FUTEX_OWNER_DIED,
        "FUTEX_TID_MASK": futex.FUTEX_TID_MASK,
        "ROBUST_LIST_LIMIT": futex.ROBUST_LIST_LIMIT,
        "FUTEX_WAITV_MAX": futex.FUTEX_WAITV_MAX,
    },
    "linux/sched.h": {"CSIGNAL": sched.CSIGNAL, "CLONE_ARGS_SIZE_VER0": sched.CLONE_ARGS_SIZE_VER0},
    "linux/mman.h": {"MAP_HUGE_SHIFT": mman.MAP_HUGE_SHIFT, "MAP_HUGE_MASK": mman.MAP_HUGE_MASK},
    "asm/resource.h": {
        "RLIM_NLIMITS": resource.RLIM_NLIMITS,
        "RLIM_INFINITY": resource.RLIM_INFINITY,
    },
    "linux/uio.h": {"UIO_MAXIOV": uio.UIO_MAXIOV},
    "linux/un.h": {"UNIX_PATH_MAX": socket.UNIX_PATH_MAX},
    "asm/termbits.h": {"NCCS": termios.NCCS},
    "sys/socket.h": {"SOCK_CLOEXEC": socket.SOCK_CLOEXEC, "SOCK_NONBLOCK": socket.SOCK_NONBLOCK},
    "linux/netlink.h": {"NLMSG_ALIGNTO": netlink.NLMSG_ALIGNTO},
    "asm/signal.h": {"(unsigned long)SIG_DFL": signal.SIG_DFL, "(unsigned long)SIG_IGN": signal.SIG_IGN},
}


@pytest.mark.parametrize("header", list(PLAIN))
def test_plain_constants(header: str, c_facts: Callable, architecture: Architecture) -> None:
    numbers = c_facts([header], list(PLAIN[header]))
    assert numbers == {text: value & MASK for text, value in PLAIN[header].items()}
