/* Every system call, with arguments of all kinds, by several threads at once. Arguments: seed, first and last step, further
 * threads, "show" to tell each call. */
#include "hostile.h"

#include <linux/close_range.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#define BUFFER (64 * 1024ul)

static int show;
static uint64_t seed_of_all;
static unsigned further_threads;
static char *buffer;        /* readable and writable, of wild content */
static char *edge;          /* the first byte behind a mapping */
static char *unwritable;    /* a page that can only be read */
static char *nothing;       /* a page without rights */
static char *shared;        /* a page of a file */
static __thread uint64_t *seasoned;  /* in the buffer: where this step's structures are */
static const struct timespec short_time[2] = {{0, 1000000}, {0, 1000000}};
static int fds[64];
static unsigned fd_count;

static void keep(int fd)
{
    if (fd >= 0 && fd_count < LENGTH(fds))
        fds[fd_count++] = fd;
}

static const char *const opened[] = {
    "file", "/work/file", ".", "/work", "/", "/proc", "/proc/self", "/proc/self/fd", "/proc/self/maps",
    "/proc/self/mem", "/proc/self/environ", "/proc/self/task", "/proc/self/ns", "/proc/sys/kernel/hostname",
    "/dev", "/dev/null", "/dev/zero", "/dev/full", "/dev/urandom", "/dev/tty", "/dev/shm", "/dev/ptmx", "fifo",
    "/proc/self/exe", "/etc/hostname", "/bin/sh",
};

static const char *const names[] = {
    "file", "/work/file", "new", "/work/new", ".", "..", "", "/", "//", "dir", "dir/../file", "link", "loop", "dangling", "fifo",
    "/proc/self/fd/0", "/proc/self/fd/5", "/proc/self/exe", "/proc/self/root/../../tmp", "/proc/self/cwd", "/proc/self/maps",
    "/proc/self/mem", "/proc/self/task/1/stat", "/proc/1", "/proc/4294967295", "/proc/-1", "/dev/null", "/dev/fd/3", "/dev/stdin",
    "/bin/true", "/work/script", "file/", "file/x", "\xff\xfe\n", "user.name", "trusted.x", "security.capability",
    "system.posix_acl_access", "tmpfs", "lo", "none",
};

static void set_up_world(void)
{
    struct rlimit few = {300, 300}, small = {1 << 24, 1 << 24}, none = {0, 0};
    int pair[2];
    char name[32];
    setrlimit(RLIMIT_NOFILE, &few);
    setrlimit(RLIMIT_FSIZE, &small);
    setrlimit(RLIMIT_CORE, &none);
    snprintf(name, sizeof name, "/tmp/calls-%d", (int)getpid());
    mkdir(name, 0777);
    if (chdir(name) != 0)
        _exit(9);
    mkdir("dir", 0777);
    mkfifo("fifo", 0666);
    if (symlink("file", "link") | symlink("loop", "loop") | symlink("nowhere", "dangling"))
        perror("symlink");
    close(creat("file", 0666));
    close(creat("/work/file", 0666));
    truncate("file", 2 * BUFFER);
    truncate("/work/file", 2 * BUFFER);

    buffer = mmap(0, BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    edge = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    edge += PAGE;
    munmap(edge, PAGE);
    unwritable = mmap(0, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    nothing = mmap(0, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    shared = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, open("/work/file", O_RDWR), 0);

    static const int modes[] = {O_RDONLY, O_WRONLY, O_RDWR, O_PATH};
    for (unsigned i = 0; i < LENGTH(opened); i++)
        keep(open(opened[i], modes[below(4)] | O_NONBLOCK | O_NOCTTY));
    keep(openat(AT_FDCWD, "/tmp", O_TMPFILE | O_RDWR, 0600));
    if (pipe2(pair, below(2) ? O_NONBLOCK : 0) == 0)
        keep(pair[0]), keep(pair[1]);
    if (socketpair(AF_UNIX, (int)(1 + below(2)), 0, pair) == 0)
        keep(pair[0]), keep(pair[1]);
    keep(socket(AF_INET, SOCK_STREAM, 0));
    keep(socket(AF_INET6, SOCK_DGRAM, 0));
    keep(socket(AF_NETLINK, SOCK_RAW, 0));
    keep(socket(AF_UNIX, SOCK_SEQPACKET, 0));
    keep(eventfd(3, EFD_NONBLOCK));
    keep(epoll_create1(0));
    keep(timerfd_create(CLOCK_MONOTONIC, 0));
    keep(memfd_create("m", MFD_ALLOW_SEALING));
    keep((int)syscall(SYS_pidfd_open, getpid(), 0));
    sigset_t set;
    sigfillset(&set);
    keep(signalfd(-1, &set, SFD_NONBLOCK));
}

static uint64_t small_or_extreme(void)
{
    static const uint64_t extremes[] = {
        0,          1,           2,           7,          8,          16,     31,     32,        63,        64,
        65,         127,         128,         255,        256,        511,    4095,   4096,      4097,      8192,
        65535,      65536,       0x7fffffff,  0x80000000, 0xffffffff, 1ul << 32,      1ul << 31, 1ul << 40, 1ul << 47,
        1ul << 62,  INT64_MAX,   (uint64_t)INT64_MIN,     (uint64_t)INT_MIN,  -1ul,   -2ul,      -100ul,    -4096ul,
        -8192ul,    1000000000,  999999999,   0x4000000000000000,
    };
    return below(3) ? PICK(extremes) : below(3) ? below(40) : number() >> below(64);
}

static uint64_t pointer(void)
{
    static const uint64_t wild[] = {
        8, 0x123456789000, 0x7ffffffff000, 0x7fffffffe000, 0x800000000000, 1ul << 63, -1ul, -4096ul, 0x400000, 0xffffffffff600000,
        0x7fffffffffff, 0x9999999999999999,
    };
    switch (below(12)) {
    case 0: return 0;
    case 1: return PICK(wild);
    case 2: return (uint64_t)edge - (1 << below(12));
    case 3: return (uint64_t)edge - below(40);
    case 4: return (uint64_t)unwritable + below(PAGE);
    case 5: return (uint64_t)nothing + below(PAGE);
    case 6: return (uint64_t)shared + below(PAGE);
    case 7: return (uint64_t)PICK(names);
    case 8: return (uint64_t)&pointer + below(64); /* code */
    default: return (uint64_t)buffer + (below(3) ? below(BUFFER) & ~7ul : below(64));
    }
}

static uint64_t descriptor(void)
{
    return below(8) ? (uint64_t)fds[below(fd_count)] : below(3) ? below(320) : small_or_extreme();
}

static uint64_t argument(void)
{
    switch (below(8)) {
    case 0: case 1: case 2: return pointer();
    case 3: return descriptor();
    case 4: return (uint64_t)PICK(names);
    default: return small_or_extreme();
    }
}

/* What the arguments of a call are: f a descriptor, k a socket, n a name, p a pointer, s a size, i a number, d a directory
 * (or AT_FDCWD), z zero, b the buffer itself, t a pointer to a short time, g a signal, a an address that is mapped, l few pages. */
static const struct {
    int number;
    const char *arguments;
} sketches[] = {
    {SYS_read, "fps"}, {SYS_write, "fps"}, {SYS_open, "nii"}, {SYS_close, "f"}, {SYS_stat, "np"}, {SYS_fstat, "fp"},
    {SYS_lstat, "np"}, {SYS_poll, "bit"}, {SYS_lseek, "fsi"}, {SYS_mmap, "aliifl"}, {SYS_mprotect, "ali"}, {SYS_munmap, "al"},
    {SYS_rt_sigaction, "gbbe"}, {SYS_rt_sigprocmask, "ibbe"}, {SYS_ioctl, "fcb"}, {SYS_pread64, "fpss"}, {SYS_pwrite64, "fpss"},
    {SYS_readv, "fbi"}, {SYS_writev, "fbi"}, {SYS_access, "ni"}, {SYS_pipe, "p"}, {SYS_select, "ibbbt"}, {SYS_mremap, "allia"},
    {SYS_msync, "ali"}, {SYS_mincore, "alp"}, {SYS_madvise, "ali"}, {SYS_dup2, "ff"}, {SYS_nanosleep, "tp"}, {SYS_getitimer, "ip"},
    {SYS_setitimer, "ibp"}, {SYS_sendfile, "ffps"}, {SYS_connect, "kbi"}, {SYS_accept, "kpp"}, {SYS_sendto, "kpsibi"},
    {SYS_recvfrom, "kpsipp"}, {SYS_sendmsg, "kbi"}, {SYS_recvmsg, "kbi"}, {SYS_shutdown, "ki"}, {SYS_bind, "kbi"}, {SYS_listen, "ki"},
    {SYS_getsockname, "kpp"}, {SYS_getpeername, "kpp"}, {SYS_socketpair, "iiip"}, {SYS_setsockopt, "kiipi"}, {SYS_getsockopt, "kiipb"},
    {SYS_clone, "iabbi"}, {SYS_execve, "nbb"}, {SYS_wait4, "iptb"}, {SYS_uname, "p"}, {SYS_fcntl, "fib"}, {SYS_flock, "fi"},
    {SYS_fsync, "f"}, {SYS_fdatasync, "f"}, {SYS_truncate, "ns"}, {SYS_ftruncate, "fs"}, {SYS_getdents, "fbs"}, {SYS_getcwd, "ps"},
    {SYS_chdir, "n"}, {SYS_fchdir, "f"}, {SYS_rename, "nn"}, {SYS_mkdir, "ni"}, {SYS_rmdir, "n"}, {SYS_creat, "ni"}, {SYS_link, "nn"},
    {SYS_unlink, "n"}, {SYS_symlink, "nn"}, {SYS_readlink, "nps"}, {SYS_chmod, "ni"}, {SYS_fchmod, "fi"}, {SYS_chown, "nii"},
    {SYS_fchown, "fii"}, {SYS_lchown, "nii"}, {SYS_getrlimit, "ip"}, {SYS_getrusage, "ip"}, {SYS_sysinfo, "p"}, {SYS_times, "p"},
    {SYS_getgroups, "ip"}, {SYS_setgroups, "ib"}, {SYS_capget, "bb"}, {SYS_capset, "bb"}, {SYS_rt_sigpending, "pe"},
    {SYS_rt_sigtimedwait, "bpte"}, {SYS_sigaltstack, "bp"}, {SYS_utime, "nb"}, {SYS_mknod, "nii"}, {SYS_statfs, "np"},
    {SYS_fstatfs, "fp"}, {SYS_sched_setparam, "zb"}, {SYS_sched_getparam, "zp"}, {SYS_sched_setscheduler, "zib"},
    {SYS_mlock, "al"}, {SYS_munlock, "al"}, {SYS_prctl, "ipppp"}, {SYS_arch_prctl, "ip"}, {SYS_adjtimex, "b"}, {SYS_setrlimit, "ib"},
    {SYS_chroot, "n"}, {SYS_readahead, "fss"}, {SYS_setxattr, "nnpsi"}, {SYS_lsetxattr, "nnpsi"}, {SYS_fsetxattr, "fnpsi"},
    {SYS_getxattr, "nnps"}, {SYS_lgetxattr, "nnps"}, {SYS_fgetxattr, "fnps"}, {SYS_listxattr, "nps"}, {SYS_llistxattr, "nps"},
    {SYS_flistxattr, "fps"}, {SYS_removexattr, "nn"}, {SYS_lremovexattr, "nn"}, {SYS_fremovexattr, "fn"}, {SYS_time, "p"},
    {SYS_futex, "biitbi"}, {SYS_sched_setaffinity, "zib"}, {SYS_sched_getaffinity, "zip"}, {SYS_getdents64, "fbs"},
    {SYS_set_tid_address, "p"}, {SYS_fadvise64, "fssi"}, {SYS_timer_create, "ibp"}, {SYS_timer_settime, "iibp"}, {SYS_timer_gettime, "ip"},
    {SYS_timer_getoverrun, "i"}, {SYS_timer_delete, "i"}, {SYS_clock_settime, "ib"}, {SYS_clock_gettime, "ip"}, {SYS_clock_getres, "ip"},
    {SYS_clock_nanosleep, "iitp"}, {SYS_epoll_wait, "fbit"}, {SYS_epoll_ctl, "fifb"}, {SYS_utimes, "nb"}, {SYS_waitid, "iipib"},
    {SYS_openat, "dnii"}, {SYS_mkdirat, "dni"}, {SYS_mknodat, "dnii"}, {SYS_fchownat, "dniii"}, {SYS_futimesat, "dnb"},
    {SYS_newfstatat, "dnpi"}, {SYS_unlinkat, "dni"}, {SYS_renameat, "dndn"}, {SYS_linkat, "dndni"}, {SYS_symlinkat, "ndn"},
    {SYS_readlinkat, "dnps"}, {SYS_fchmodat, "dni"}, {SYS_faccessat, "dni"}, {SYS_pselect6, "ibbbtb"}, {SYS_ppoll, "bitbe"},
    {SYS_set_robust_list, "bi"}, {SYS_get_robust_list, "zpp"}, {SYS_sync_file_range, "fssi"}, {SYS_utimensat, "dnbi"},
    {SYS_epoll_pwait, "fbitbe"}, {SYS_signalfd, "fbe"}, {SYS_timerfd_create, "ii"}, {SYS_eventfd, "i"}, {SYS_fallocate, "fiss"},
    {SYS_timerfd_settime, "fibp"}, {SYS_timerfd_gettime, "fp"}, {SYS_accept4, "kppi"}, {SYS_signalfd4, "fbei"}, {SYS_dup3, "ffi"},
    {SYS_pipe2, "pi"}, {SYS_preadv, "fbiss"}, {SYS_pwritev, "fbiss"}, {SYS_recvmmsg, "kbiit"}, {SYS_prlimit64, "zibp"},
    {SYS_clock_adjtime, "ib"}, {SYS_syncfs, "f"}, {SYS_sendmmsg, "kbii"}, {SYS_getcpu, "pp"}, {SYS_sched_setattr, "zbz"},
    {SYS_sched_getattr, "zpiz"}, {SYS_renameat2, "dndni"}, {SYS_getrandom, "psi"}, {SYS_memfd_create, "ni"}, {SYS_execveat, "dnbbi"},
    {SYS_mlock2, "ali"}, {SYS_copy_file_range, "fbfbsz"}, {SYS_preadv2, "fbissi"}, {SYS_pwritev2, "fbissi"}, {SYS_statx, "dniip"},
    {424, "fgbi"}, {434, "zi"}, {435, "bi"}, {437, "dnbh"}, {438, "ffz"}, {439, "dnii"}, {441, "fbitbe"}, {449, "biiti"},
    {452, "dnii"}, {454, "biii"}, {455, "bsiiti"}, {456, "biii"}, {SYS_sched_rr_get_interval, "zp"}, {SYS_getpriority, "iz"},
    {SYS_setpriority, "izi"}, {SYS_gettimeofday, "pp"}, {SYS_getresuid, "ppp"}, {SYS_getresgid, "ppp"},
};

static uint64_t mapped(void)
{
    char *all[] = {buffer, edge - PAGE, unwritable, nothing, shared};
    return (uint64_t)PICK(all) + (below(4) ? 0 : PAGE * below(4));
}

static uint64_t sketched(char kind)
{
    static const uint64_t ioctls[] = {
        0x5401, 0x5402, 0x5403, 0x5404, 0x540b, 0x540e, 0x540f, 0x5410, 0x5411, 0x5413, 0x5414, 0x541b, 0x5421, 0x5450, 0x5451, 0x5452,
        0x80045430, 0x8901, 0x8903, 0x8905, 0x8910, 0x8912, 0x8913, 0x8927, 0x8933, 0x80086601, 0x40086602, 0x40049409,
    };
    switch (kind) {
    case 'f': return descriptor();
    case 'k': return (uint64_t)fds[fd_count - 1 - below(15)];
    case 'd': return below(3) ? (uint64_t)AT_FDCWD : (uint64_t)fds[below(9)];
    case 'n': return (uint64_t)PICK(names);
    case 'p': return below(2) ? (uint64_t)buffer + (below(BUFFER) & ~7ul) : pointer();
    case 's': return below(2) ? below(3 * PAGE) : small_or_extreme();
    case 'b': return (uint64_t)seasoned + (below(8) ? 0 : 8 * below(8));
    case 'z': return 0;
    case 'e': return 8;
    case 'h': return 24;
    case 'g': return below(66);
    case 't': return below(2) ? (uint64_t)short_time : below(20);
    case 'a': return mapped();
    case 'l': return PAGE * below(4);
    case 'c': return PICK(ioctls);
    default: return below(3) ? below(below(2) ? 64 : 8) : below(2) ? 1ul << below(32) : small_or_extreme();
    }
}

static const char *sketch_of(uint64_t call)
{
    for (unsigned i = 0; i < LENGTH(sketches); i++)
        if ((uint64_t)sketches[i].number == call)
            return sketches[i].arguments;
    return "";
}

/* Words of the kinds that structures hold, so that some of them make sense: pointers, lengths, descriptors. */
static void season(void)
{
    uint64_t *words = seasoned = (uint64_t *)(buffer + (below(BUFFER / 2) & ~7ul));
    switch (below(5)) {
    case 0:
        fill_randomly(words, 256);
        break;
    case 1: /* an iovec */
        for (unsigned i = 0; i < 32; i += 2)
            words[i] = pointer(), words[i + 1] = below(3) ? below(2 * PAGE) : small_or_extreme();
        break;
    case 2:
        for (unsigned i = 0; i < 32; i++)
            words[i] = argument();
        break;
    case 3: /* short numbers, such as flags, families, descriptors and counts */
        for (unsigned i = 0; i < 64; i++)
            ((uint32_t *)words)[i] = (uint32_t)(below(2) ? below(4) : below(2) ? descriptor() : 1u << below(32));
        break;
    default:
        memset(words, below(2) ? 0 : 0xff, 256);
    }
}

/* Not what would only end or stop the fuzzer itself. */
static int is_dull(uint64_t call)
{
    static const int dull[] = {SYS_exit, SYS_exit_group, SYS_pause, SYS_rt_sigsuspend, SYS_rt_sigreturn, SYS_reboot};
    for (unsigned i = 0; i < LENGTH(dull); i++)
        if ((int)call == dull[i])
            return 1;
    return 0;
}

static int takes_a_process(uint64_t call)
{
    return call == SYS_kill || call == SYS_tkill || call == SYS_tgkill || call == SYS_rt_sigqueueinfo || call == SYS_prlimit64
        || call == SYS_rt_tgsigqueueinfo;
}

static int is_clone(uint64_t call)
{
    return call == SYS_clone || call == SYS_clone3 || call == SYS_fork || call == SYS_vfork;
}

static void step(uint64_t seed, uint64_t index)
{
    begin_step(seed, index);
    season();
    uint64_t call = below(50) ? index % 471 : number() >> below(64);
    uint64_t args[6];
    if (is_dull(call))
        return;
    const char *sketch = below(6) ? sketch_of(call) : "";
    for (unsigned i = 0; i < 6; i++)
        args[i] = *sketch && below(20) ? sketched(*sketch++) : argument();
    if (takes_a_process(call)) /* but the fuzzer and its neighbours */
        args[0] = below(3) ? (uint64_t)getpid() : below(2) ? 0x7ffffff0 : (uint64_t)INT_MIN;
    if (call == SYS_ptrace) { /* trace.c does more of it */
        args[0] += args[0] == 0;
        args[1] = below(2) ? (uint64_t)getpid() : 0x7ffffff0;
    }
    if (call == SYS_setpgid)
        args[1] = below(2) ? 0 : (uint64_t)getpid();
    if (call == SYS_close_range && below(4)) /* it would leave nothing to play with */
        args[0] = 250;
    if (show)
        fprintf(stderr, "%lu: %lu(%#lx, %#lx, %#lx, %#lx, %#lx, %#lx)\n", index, call, args[0], args[1], args[2], args[3],
                args[4], args[5]);
    long result = syscall((long)call, args[0], args[1], args[2], args[3], args[4], args[5]);
    if (result == 0 && is_clone(call))
        syscall(SYS_exit_group, 0);
}

static void *play(void *which)
{
    for (uint64_t index = (uint64_t)which;; index++)
        step(seed_of_all + (uint64_t)which, index);
    return 0;
}

static void set_up(void)
{
    pthread_t thread;
    set_up_world();
    for (uint64_t i = 1; i <= further_threads; i++)
        pthread_create(&thread, 0, play, (void *)(i * 1000003 + (uint64_t)getpid() * 71));
}

int main(int argc, char **argv)
{
    seed_of_all = strtoul(argv[1], 0, 0);
    further_threads = argc > 4 ? (unsigned)atoi(argv[4]) : 0;
    show = argc > 5;
    survive(seed_of_all, strtoul(argv[2], 0, 0), strtoul(argv[3], 0, 0), set_up, step);
    return 0;
}
