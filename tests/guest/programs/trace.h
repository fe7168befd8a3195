/* What the programs that trace share: waits and stops are printed with names in the place of numbers of processes. */
#ifndef TRACE_H
#define TRACE_H

#include "report.h"

#include <elf.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

static pid_t known[16];
static const char *const labels[16] = {"A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N", "O", "P"};

static const char *label(pid_t pid) {
    if (pid == getpid()) {
        return "tracer";
    }
    for (size_t i = 0; i < LENGTH(known); i++) {
        if (known[i] == 0) {
            known[i] = pid;
        }
        if (known[i] == pid) {
            return labels[i];
        }
    }
    return "?";
}

static long trace(long request, pid_t pid, void *address, void *data) {
    return syscall(SYS_ptrace, request, pid, address, data);
}

/* A request by its name, with its result. */
#define TRACE(request, pid, address, data) \
    (errno = 0, report(#request, trace(request, pid, (void *)(long)(address), (void *)(long)(data))))

static void show_status(pid_t pid, int status) {
    if (pid < 0) {
        printf("wait: %s\n", error_name(errno));
    } else if (pid == 0) {
        printf("wait: nothing\n");
    } else if (WIFEXITED(status)) {
        printf("%s exited %d\n", label(pid), WEXITSTATUS(status));
    } else if (WIFSIGNALED(status)) {
        printf("%s killed by %d\n", label(pid), WTERMSIG(status));
    } else if (WIFCONTINUED(status)) {
        printf("%s continued\n", label(pid));
    } else {
        printf("%s stopped by %#x event %d\n", label(pid), WSTOPSIG(status), status >> 16);
    }
}

static inline int show_wait(pid_t pid, int options) {
    int status = 0;
    errno = 0;
    pid = waitpid(pid, &status, options);
    show_status(pid, status);
    return status;
}

static inline void show_siginfo(pid_t pid) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    if (TRACE(PTRACE_GETSIGINFO, pid, 0, &info) == 0) {
        printf("  siginfo: signal %d code %#x", info.si_signo, info.si_code);
        if (info.si_code <= 0 || (info.si_code & 0xff) == SIGTRAP) {
            printf(" from %s", info.si_pid ? label(info.si_pid) : "nobody");
        }
        printf("\n");
    }
}

static inline unsigned long message(pid_t pid) {
    unsigned long found = 0;
    TRACE(PTRACE_GETEVENTMSG, pid, 0, &found);
    return found;
}

/* A stop at the making of a child or a thread, and its first one. */
static inline pid_t show_new(pid_t pid, const char *kind) {
    show_wait(pid, 0);
    pid_t made = (pid_t)message(pid);
    printf("  its %s is %s\n", kind, label(made));
    show_wait(made, __WALL);
    return made;
}

/* What call the tracee is in, and with what result: by the one request that is the same everywhere. */
static inline void show_call(pid_t pid) {
    struct __ptrace_syscall_info info;
    memset(&info, 0, sizeof info);
    long size = trace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof info, &info);
    printf("  syscall info of %ld bytes: ", size);
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
        long number = (long)info.entry.nr;
        printf("entry of %s\n", number == SYS_getppid ? "getppid" : number == SYS_write ? "write" : number == SYS_exit_group ? "exit_group" : "another");
    } else if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
        if (info.exit.is_error) {
            printf("exit with error %ld\n", (long)info.exit.rval);
        } else {
            puts("exit");
        }
    } else {
        printf("none\n");
    }
}

/* A child that is traced from its start, and has stopped by itself. */
static inline pid_t tracee(void (*what)(void)) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0) {
            _exit(99);
        }
        raise(SIGSTOP);
        what();
        fflush(stdout);
        _exit(7);
    }
    printf("%s is traced\n", label(pid));
    show_wait(pid, 0);
    return pid;
}

#endif
