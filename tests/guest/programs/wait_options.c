/* wait4(2) and waitid(2): options, ids, what they report, and what is left when they fail. */
#include "report.h"

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#ifndef __WNOTHREAD
#define __WNOTHREAD 0x20000000
#endif

static long wait4_raw(int pid, int *status, int options, void *usage) {
    return syscall(SYS_wait4, pid, status, options, usage);
}

static long waitid_raw(int which, int pid, void *info, int options, void *usage) {
    return syscall(SYS_waitid, which, pid, info, options, usage);
}

/* A child that ends with this status at once, or sleeps until it is killed. */
static pid_t child(int status) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (status >= 0) {
            _exit(status);
        }
        for (;;) {
            pause();
        }
    }
    return pid;
}

/* Wait until the child has ended without taking the news. */
static void until_dead(pid_t pid) {
    siginfo_t info;
    waitid(P_PID, pid, &info, WEXITED | WNOWAIT | __WALL);
}

static void show_info(const char *what, siginfo_t *info, pid_t pid) {
    printf("%s: signo %d errno %d code %d pid %s uid %d status %d\n", what, info->si_signo, info->si_errno,
           info->si_code, info->si_pid == pid ? "child" : info->si_pid ? "other" : "0",
           info->si_uid == getuid() ? 0 : 1, info->si_status);
}

static void exits(void) {
    int status = -1;
    pid_t pid = child(7);
    printf("wait4: %d\n", wait4_raw(pid, &status, 0, NULL) == pid);
    printf("status %x\n", status);
    CALL(wait4_raw(pid, &status, 0, NULL));
    pid = child(-1);
    CALL(wait4_raw(pid, &status, WNOHANG, NULL));
    kill(pid, SIGKILL);
    printf("wait4: %d\n", wait4_raw(0, &status, 0, NULL) == pid);
    printf("status %x\n", status);
    pid = child(300);
    printf("waitpid: %d\n", wait4_raw(-getpgrp(), &status, __WALL, NULL) == pid);
    printf("status %x\n", status);
}

static void ids(void) {
    siginfo_t info;
    memset(&info, 0xAA, sizeof info);
    pid_t pid = child(9);
    CALL(waitid_raw(P_PID, pid, &info, WEXITED | WNOWAIT, NULL));
    show_info("nowait", &info, pid);
    CALL(waitid_raw(P_PGID, getpgrp(), &info, WEXITED | WNOWAIT, NULL));
    CALL(waitid_raw(P_PGID, 0, &info, WEXITED | WNOWAIT, NULL));
    CALL(waitid_raw(P_ALL, -5, &info, WEXITED, NULL));
    show_info("all", &info, pid);
    memset(&info, 0xAA, sizeof info);
    CALL(waitid_raw(P_ALL, 0, &info, WEXITED, NULL));
    printf("after ECHILD: signo %d pid %d\n", info.si_signo, info.si_pid);
    pid = child(-1);
    memset(&info, 0xAA, sizeof info);
    CALL(waitid_raw(P_PID, pid, &info, WEXITED | WNOHANG, NULL));
    show_info("no news", &info, pid);
    printf("untouched: %x\n", ((unsigned char *)&info)[12]);
    kill(pid, SIGTERM);
    CALL(waitid_raw(P_PID, pid, NULL, WEXITED, NULL));
}

static void bad_arguments(void) {
    siginfo_t info;
    int status;
    CALL(wait4_raw(-1, &status, 0, NULL));
    CALL(wait4_raw(-1, &status, WEXITED, NULL));
    CALL(wait4_raw(-1, &status, WNOWAIT, NULL));
    CALL(wait4_raw(-1, &status, 0x100, NULL));
    CALL(wait4_raw(INT_MIN, &status, 0, NULL));
    CALL(wait4_raw(1 << 30, &status, 0, NULL));
    memset(&info, 0xAA, sizeof info);
    CALL(waitid_raw(P_ALL, 0, &info, 0, NULL));
    printf("after EINVAL: signo %d pid %d\n", info.si_signo, info.si_pid);
    CALL(waitid_raw(P_ALL, 0, WILD, 0, NULL));
    CALL(waitid_raw(P_ALL, 0, &info, WNOHANG, NULL));
    CALL(waitid_raw(P_ALL, 0, &info, WEXITED | 0x100, NULL));
    CALL(waitid_raw(P_PID, 0, &info, WEXITED, NULL));
    CALL(waitid_raw(P_PID, -1, &info, WEXITED, NULL));
    CALL(waitid_raw(P_PGID, -1, &info, WEXITED, NULL));
    CALL(waitid_raw(4, 1, &info, WEXITED, NULL));
    CALL(waitid_raw(3, -1, &info, WEXITED, NULL));
    CALL(waitid_raw(3, 0, &info, WEXITED, NULL));
    CALL(waitid_raw(3, 77, &info, WEXITED, NULL));
}

/* A bad address is found after the child has been reaped. */
static void faults(void) {
    pid_t pid = child(1);
    until_dead(pid);
    CALL(wait4_raw(pid, WILD, 0, NULL));
    CALL(wait4_raw(pid, NULL, 0, NULL));
    pid = child(1);
    until_dead(pid);
    CALL(wait4_raw(pid, NULL, 0, WILD));
    CALL(wait4_raw(pid, NULL, 0, NULL));
    pid = child(1);
    CALL(waitid_raw(P_PID, pid, WILD, WEXITED, NULL));
    CALL(wait4_raw(pid, NULL, 0, NULL));
    pid = child(1);
    CALL(waitid_raw(P_PID, pid, NULL, WEXITED, WILD));
    CALL(wait4_raw(pid, NULL, 0, NULL));
}

static int quits(void *argument) {
    _exit(*(int *)argument);
}

/* Children whose end is told by another signal, or by none, are for __WCLONE. */
static void clones(void) {
    static char stack[65536] __attribute__((aligned(16)));
    int code = 4, status = 0;
    siginfo_t info;
    signal(SIGUSR1, SIG_IGN);
    for (int sig = 0; sig <= SIGUSR1; sig += SIGUSR1) {
        pid_t pid = clone(quits, stack + sizeof stack, sig, &code);
        until_dead(pid);
        CALL(wait4_raw(pid, &status, 0, NULL));
        CALL(waitid_raw(P_PID, pid, &info, WEXITED | __WCLONE | WNOWAIT, NULL));
        show_info("clone", &info, pid);
        printf("__WCLONE: %d\n", wait4_raw(-1, &status, __WCLONE, NULL) == pid);
        pid = clone(quits, stack + sizeof stack, sig, &code);
        printf("__WALL: %d\n", wait4_raw(-1, &status, __WALL | __WNOTHREAD, NULL) == pid);
    }
    pid_t pid = child(3);
    CALL(wait4_raw(pid, &status, __WCLONE, NULL));
    printf("usual: %d\n", wait4_raw(pid, &status, 0, NULL) == pid);
}

/* With SIGCHLD ignored, or SA_NOCLDWAIT, children leave nothing; a wait lasts until all are gone. */
static void unwanted(void) {
    struct sigaction action = {.sa_handler = SIG_IGN};
    int status = -1;
    sigaction(SIGCHLD, &action, NULL);
    child(1), child(2);
    CALL(wait4_raw(-1, &status, 0, NULL));
    action.sa_handler = SIG_DFL;
    action.sa_flags = SA_NOCLDWAIT;
    sigaction(SIGCHLD, &action, NULL);
    child(1);
    CALL(wait4_raw(-1, &status, 0, NULL));
    printf("status %d\n", status);
    action.sa_flags = 0;
    sigaction(SIGCHLD, &action, NULL);
}

static long microseconds(const struct rusage *used) {
    return 1000000L * (used->ru_utime.tv_sec + used->ru_stime.tv_sec) + used->ru_utime.tv_usec + used->ru_stime.tv_usec;
}

static void usage(void) {
    struct rusage used, before, after;
    getrusage(RUSAGE_CHILDREN, &before);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct rusage own;
        do {
            getrusage(RUSAGE_SELF, &own);
        } while (microseconds(&own) < 30000);
        _exit(0);
    }
    int status;
    wait4_raw(pid, &status, 0, &used);
    getrusage(RUSAGE_CHILDREN, &after);
    printf("child's time: %d, children's: %d\n", microseconds(&used) >= 30000,
           microseconds(&after) >= microseconds(&before) + 30000);
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    exits();
    ids();
    bad_arguments();
    faults();
    clones();
    unwanted();
    usage();
    return leave_scratch();
}
