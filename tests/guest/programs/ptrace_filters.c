/* ptrace(2) and filters of calls: what a tracer is shown of them, and how he suspends them; stops at filtered calls. */
#include "trace.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#define GET_FILTER 0x420c
#define GET_METADATA 0x420d
#define SUSPEND_SECCOMP (1 << 21)

static long add_filter(int number, unsigned said, unsigned flags) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, said),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {LENGTH(code), code};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static void filtered(void) {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    add_filter(SYS_getsid, SECCOMP_RET_ERRNO | 77, 0);
    add_filter(SYS_getpgid, SECCOMP_RET_TRACE | 5, SECCOMP_FILTER_FLAG_LOG);
    raise(SIGUSR1);
    errno = 0;
    long sid = syscall(SYS_getsid, 0);
    printf("  getsid %s\n", sid < 0 && errno == 77 ? "refused" : "made");
    fflush(stdout);
    raise(SIGUSR1);
    errno = 0;
    sid = syscall(SYS_getsid, 0);
    printf("  getsid %s\n", sid < 0 && errno == 77 ? "refused" : "made");
    fflush(stdout);
    syscall(SYS_getpgid, 0);
}

static void show_filter(pid_t pid, unsigned long index) {
    struct sock_filter code[8];
    struct {
        unsigned long index, flags;
    } metadata = {index, 99};
    memset(code, 0, sizeof code);
    printf("filter %lu\n", index);
    TRACE(GET_FILTER, pid, index, 0);
    if (TRACE(GET_FILTER, pid, index, code) > 0) {
        printf("  says %#x\n", code[2].k);
    }
    TRACE(GET_METADATA, pid, sizeof metadata, &metadata);
    printf("  flags %lu\n", metadata.flags);
}

int main(void) {
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    unsigned long index = 0;
    struct __ptrace_syscall_info info;
    pid_t pid = tracee(filtered);
    TRACE(GET_FILTER, pid, 0, 0); /* there are none yet */
    TRACE(GET_METADATA, pid, 16, &index);
    TRACE(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESECCOMP);
    TRACE(PTRACE_CONT, pid, 0, 0);
    show_wait(pid, 0);
    for (unsigned long i = 0; i < 3; i++) {
        show_filter(pid, i);
    }
    TRACE(GET_METADATA, pid, 7, &index);
    TRACE(GET_METADATA, pid, 8, &index);
    TRACE(GET_METADATA, pid, 99, WILD);
    TRACE(GET_FILTER, pid, 0, WILD);
    TRACE(PTRACE_CONT, pid, 0, 0);
    show_wait(pid, 0);
    TRACE(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESECCOMP | SUSPEND_SECCOMP);
    TRACE(PTRACE_CONT, pid, 0, 0);
    show_wait(pid, 0);

    pid = tracee(filtered);
    TRACE(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESECCOMP);
    for (int i = 0; i < 3; i++) {
        TRACE(PTRACE_CONT, pid, 0, 0);
        show_wait(pid, 0);
    }
    printf("message %lu\n", message(pid));
    memset(&info, 0, sizeof info);
    TRACE(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info);
    printf("  %d: %s, first argument %ld, said %u\n", info.op, info.seccomp.nr == SYS_getpgid ? "getpgid" : "another",
           (long)info.seccomp.args[0], info.seccomp.ret_data);
    TRACE(PTRACE_GET_SYSCALL_INFO, pid, 4, &info);
    TRACE(PTRACE_GET_SYSCALL_INFO, pid, 0, &info);
    TRACE(PTRACE_GET_SYSCALL_INFO, pid, 200, WILD);
    TRACE(PTRACE_SETOPTIONS, pid, 0, 1 << 22);
    TRACE(PTRACE_CONT, pid, 0, 0);
    show_wait(pid, 0);

    pid = tracee(filtered);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    add_filter(SYS_getsid, SECCOMP_RET_ALLOW, 0);
    TRACE(GET_FILTER, pid, 0, 0); /* who is filtered himself */
    TRACE(PTRACE_SETOPTIONS, pid, 0, SUSPEND_SECCOMP);
    TRACE(PTRACE_KILL, pid, 0, 0);
    show_wait(pid, 0);
    return 0;
}
