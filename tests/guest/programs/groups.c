/* Process groups and sessions: setpgid(2), setsid(2), and kill(2) for groups. */
#include "report.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static int to_child[2], to_parent[2];

static void tell(int fd) {
    if (write(fd, "x", 1) != 1) {
        _exit(99);
    }
}

static void hear(int fd) {
    char byte;
    if (read(fd, &byte, 1) != 1) {
        _exit(98);
    }
}

static const char *whose(pid_t id, pid_t child) {
    return id == child ? "child's" : id == getpgrp() ? "own group's" : "other";
}

/* A child that waits to be told to go on, or to become another program. */
static pid_t child(char **argv) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        hear(to_child[0]);
        if (argv != NULL) {
            char *again[] = {argv[0], "executed", NULL};
            char from[16], to[16];
            snprintf(from, sizeof from, "IN=%d", to_child[0]);
            snprintf(to, sizeof to, "OUT=%d", to_parent[1]);
            char *environment[] = {from, to, NULL};
            execve("/proc/self/exe", again, environment);
            _exit(97);
        }
        _exit(0);
    }
    return pid;
}

static int executed(void) {
    tell(atoi(getenv("OUT")));
    hear(atoi(getenv("IN")));
    return 0;
}

static void rules(char **argv) {
    pid_t pid = child(argv);
    CALL(setpgid(-1, 0));
    CALL(setpgid(0, -1));
    CALL(setpgid(pid, -1));
    CALL(setpgid(1 << 30, 0));
    CALL(getpgid(1 << 30));
    CALL(getsid(1 << 30));
    CALL(getpgid(-1));
    CALL(setpgid(pid, 1 << 30));
    CALL(setpgid(getppid(), 0));
    CALL(setpgid(pid, pid));
    CALL(setpgid(pid, pid));
    printf("group %s, session %d\n", whose(getpgid(pid), pid), getsid(pid) == getsid(0));
    CALL(setpgid(pid, getpgrp()));
    printf("group %s\n", whose(getpgid(pid), pid));
    tell(to_child[1]);
    hear(to_parent[0]);
    CALL(setpgid(pid, 0)); /* has become another program */
    tell(to_child[1]);
    CALL(waitpid(pid, NULL, 0) == pid);
    CALL(setpgid(pid, pid));
}

static void sessions(void) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        CALL(setpgid(0, 0));
        CALL(setsid());
        fflush(stdout);
        pid_t inner = fork();
        if (inner == 0) {
            CALL(setsid() == getpid());
            CALL(setsid());
            CALL(setpgid(0, 0));
            CALL(setpgid(0, getppid()));
            printf("%d %d\n", getsid(0) == getpid(), getpgrp() == getpid());
            fflush(stdout);
            tell(to_parent[1]);
            hear(to_child[0]);
            _exit(0);
        }
        hear(to_parent[0]);
        CALL(setpgid(inner, 0)); /* another session */
        CALL(setpgid(0, inner));
        fflush(stdout);
        tell(to_child[1]);
        waitpid(inner, NULL, 0);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

static volatile sig_atomic_t caught;

static void catches(int sig) {
    (void)sig;
    caught++;
}

/* Three in a group, one elsewhere; who gets what. */
static void kills(void) {
    pid_t pids[4];
    int status;
    fflush(stdout);
    for (int i = 0; i < 4; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            for (;;) {
                pause();
            }
        }
        setpgid(pids[i], i < 3 ? pids[0] : pids[i]);
    }
    CALL(kill(-pids[0], 0));
    CALL(kill(-pids[0], 65));
    CALL(kill(-pids[0], -1));
    CALL(kill(pids[0], 65));
    CALL(kill(-(1 << 30), 0));
    CALL(kill(1 << 30, 0));
    CALL(kill(INT_MIN, 0));
    CALL(kill(-pids[0], SIGTERM));
    for (int i = 0; i < 3; i++) {
        printf("%d ", waitpid(-pids[0], &status, 0) > 0 ? status : -1);
    }
    CALL(waitpid(-pids[0], &status, 0));
    CALL(kill(-pids[0], 0));
    CALL(waitpid(pids[3], &status, WNOHANG));
    CALL(kill(pids[3], SIGKILL));
    CALL(waitid(P_PID, pids[3], NULL, WEXITED | WNOWAIT));
    CALL(kill(pids[3], SIGTERM)); /* a zombie */
    CALL(kill(-pids[3], 0));
    printf("zombie: group %s\n", whose(getpgid(pids[3]), pids[3]));
    CALL(waitpid(pids[3], &status, 0) == pids[3]);
    CALL(kill(pids[3], 0));
}

/* kill(0) means the caller too. */
static void own_group(void) {
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        signal(SIGUSR1, catches);
        pid_t inner = fork();
        if (inner == 0) {
            tell(to_parent[1]);
            while (!caught) {
                sched_yield();
            }
            _exit(33);
        }
        hear(to_parent[0]);
        CALL(kill(0, SIGUSR1));
        printf("caught %d\n", caught);
        waitpid(inner, &status, 0);
        printf("inner %x\n", status);
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, &status, 0);
}

/* Somebody else's processes. */
static void permissions(void) {
    fflush(stdout);
    pid_t rooted = fork();
    if (rooted == 0) {
        for (;;) {
            pause();
        }
    }
    pid_t pid = fork();
    if (pid == 0) {
        if (getuid() != 0 || setgid(12345) || setuid(12345)) {
            printf("not root\n");
        } else {
            CALL(kill(rooted, 0));
            CALL(kill(rooted, SIGTERM));
            CALL(kill(rooted, SIGCONT)); /* same session */
            CALL(kill(-getpgrp(), 0));
            CALL(syscall(SYS_tkill, rooted, SIGTERM));
            CALL(syscall(SYS_tgkill, rooted, rooted, SIGCONT));
        }
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    kill(rooted, SIGKILL);
    waitpid(rooted, NULL, 0);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "executed") == 0) {
        return executed();
    }
    enter_scratch(argc, argv);
    if (pipe(to_child) < 0 || pipe(to_parent) < 0) {
        return 2;
    }
    rules(argv);
    sessions();
    kills();
    own_group();
    permissions();
    return leave_scratch();
}
