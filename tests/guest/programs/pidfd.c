/* Descriptors of processes: pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2), poll and waitid. */
#include "report.h"

#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif
#define PIDFD 3 /* P_PIDFD */

static long pidfd_open_raw(int pid, unsigned flags) {
    return syscall(SYS_pidfd_open, pid, flags);
}

static long send_signal(int fd, int sig, void *info, unsigned flags) {
    return syscall(SYS_pidfd_send_signal, fd, sig, info, flags);
}

static long getfd(int fd, int target, unsigned flags) {
    return syscall(SYS_pidfd_getfd, fd, target, flags);
}

static pid_t child(int code) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (code >= 0) {
            _exit(code);
        }
        for (;;) {
            pause();
        }
    }
    return pid;
}

static void ready(const char *what, int fd, int timeout) {
    struct pollfd entry = {fd, POLLIN | POLLOUT, 0};
    int count = poll(&entry, 1, timeout);
    printf("%s: %d %x\n", what, count, entry.revents);
}

static void opening(void) {
    pid_t pid = child(-1);
    int fd = pidfd_open_raw(pid, 0);
    char text[16];
    printf("flags %x %x\n", fcntl(fd, F_GETFD), fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK));
    CALL(pidfd_open_raw(0, 0));
    CALL(pidfd_open_raw(-1, 0));
    CALL(pidfd_open_raw(1 << 30, 0));
    CALL(pidfd_open_raw(pid, O_CLOEXEC));
    CALL(pidfd_open_raw(pid, 1));
    CALL(read(fd, text, sizeof text));
    CALL(write(fd, text, sizeof text));
    ready("lives", fd, 0);
    kill(pid, SIGTERM);
    ready("dies", fd, -1);
    ready("dead", fd, 0);
    CALL(send_signal(fd, SIGTERM, NULL, 0));
    int second = pidfd_open_raw(pid, 0);
    printf("of a zombie: %d\n", second >= 0);
    waitpid(pid, NULL, 0);
    ready("reaped", fd, 0);
    CALL(send_signal(fd, 0, NULL, 0));
    CALL(getfd(fd, 0, 0));
    CALL(pidfd_open_raw(pid, 0));
    close(fd), close(second);
}

static void waiting(void) {
    siginfo_t info;
    pid_t pid = child(-1);
    int fd = pidfd_open_raw(pid, O_NONBLOCK), other = pidfd_open_raw(getpid(), 0);
    CALL(fcntl(fd, F_GETFL) & O_NONBLOCK);
    CALL(waitid(PIDFD, fd, &info, WEXITED));
    CALL(waitid(PIDFD, fd, &info, WEXITED | WNOHANG));
    CALL(waitid(PIDFD, other, &info, WEXITED));
    kill(pid, SIGKILL);
    ready("dies", fd, -1);
    CALL(waitid(PIDFD, fd, &info, WEXITED | WNOWAIT));
    printf("code %d status %d\n", info.si_code, info.si_status);
    CALL(waitid(PIDFD, fd, &info, WEXITED));
    CALL(waitid(PIDFD, fd, &info, WEXITED));
    close(fd), close(other);
    pid = child(4);
    fd = pidfd_open_raw(pid, 0);
    CALL(waitid(PIDFD, fd, &info, WEXITED));
    printf("code %d status %d\n", info.si_code, info.si_status);
    close(fd);
}

static volatile sig_atomic_t caught, code, value;

static void catches(int sig, siginfo_t *info, void *context) {
    (void)sig, (void)context;
    caught++;
    code = info->si_code, value = info->si_value.sival_int;
}

static void signals(void) {
    siginfo_t info;
    struct sigaction action = {.sa_sigaction = catches, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, NULL);
    int own = pidfd_open_raw(getpid(), 0), file = open("/dev/null", O_RDONLY);
    CALL(send_signal(own, SIGUSR1, NULL, 0));
    printf("caught %d code %d\n", caught, code);
    memset(&info, 0, sizeof info);
    info.si_signo = SIGUSR1, info.si_code = SI_QUEUE, info.si_value.sival_int = 77;
    CALL(send_signal(own, SIGUSR1, &info, 0));
    printf("caught %d code %d value %d\n", caught, code, value);
    CALL(send_signal(own, SIGUSR2, &info, 0));
    CALL(send_signal(own, SIGUSR1, WILD, 0));
    CALL(send_signal(own, 65, NULL, 0));
    CALL(send_signal(own, 0, NULL, 8));
    CALL(send_signal(own, 0, NULL, 3));
    CALL(send_signal(own, SIGUSR1, NULL, 1)); /* this very thread */
    printf("caught %d code %d\n", caught, code);
    CALL(send_signal(own, SIGUSR1, NULL, 2));
    printf("caught %d code %d\n", caught, code);
    CALL(send_signal(file, 0, NULL, 0));
    CALL(send_signal(-1, 0, NULL, 0));
    pid_t pid = child(-1);
    int fd = pidfd_open_raw(pid, 0), status;
    info.si_code = SI_USER;
    CALL(send_signal(fd, SIGUSR1, &info, 0));
    CALL(send_signal(fd, 0, NULL, 4)); /* leads no group */
    setpgid(pid, pid);
    CALL(send_signal(fd, SIGTERM, NULL, 4));
    CALL(waitpid(pid, &status, 0) == pid);
    printf("status %x\n", status);
    close(fd), close(own), close(file);
}

static void descriptors(void) {
    int ends[2], file;
    char byte = 0;
    CALL(pipe(ends) < 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        int hidden = open("/dev/null", O_RDONLY);
        dup2(ends[1], 40);
        close(hidden);
        kill(getppid(), 0);
        for (;;) {
            pause();
        }
    }
    int fd = pidfd_open_raw(pid, 0), taken = -1;
    while ((taken = getfd(fd, 40, 0)) < 0) {
        sched_yield();
    }
    printf("flags %x\n", fcntl(taken, F_GETFD));
    CALL(write(taken, "z", 1));
    CALL(read(ends[0], &byte, 1));
    printf("%c\n", byte);
    CALL(getfd(fd, 41, 0));
    CALL(getfd(fd, -1, 0));
    CALL(getfd(fd, 40, 1));
    CALL(getfd(ends[0], 40, 0));
    CALL(getfd(99, 40, 0));
    kill(pid, SIGKILL);
    ready("dies", fd, -1);
    CALL(getfd(fd, 40, 0));
    waitpid(pid, NULL, 0);
    int own = pidfd_open_raw(getpid(), 0);
    file = getfd(own, ends[0], 0);
    printf("own: %d\n", file >= 0);
    close(own), close(file), close(fd), close(taken), close(ends[0]), close(ends[1]);
}

static void by_clone(void) {
    int fd = -1, status;
    struct clone_args args = {.flags = CLONE_PIDFD, .pidfd = (uintptr_t)&fd, .exit_signal = SIGCHLD};
    fflush(stdout);
    long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0) {
        _exit(fd >= 0 ? 1 : 2); /* not in the copy of the memory */
    }
    printf("flags %x\n", fcntl(fd, F_GETFD));
    ready("dies", fd, -1);
    CALL(waitid(PIDFD, fd, NULL, WEXITED | WNOWAIT));
    CALL(waitpid(pid, &status, 0) == pid);
    printf("status %x\n", status);
    close(fd);
    int before = open("/dev/null", O_RDONLY);
    args.pidfd = 8;
    CALL(syscall(SYS_clone3, &args, sizeof args));
    int after = open("/dev/null", O_RDONLY);
    printf("nothing is left: %d\n", after == before + 1);
    CALL(waitpid(-1, &status, WNOHANG));
    close(before), close(after);
}

static int poller;

static void *waits(void *argument) {
    (void)argument;
    struct epoll_event event;
    return (void *)(long)epoll_wait(poller, &event, 1, -1);
}

/* A thread of its own watches. */
static void watched(void) {
    pthread_t thread;
    void *result;
    struct epoll_event event = {.events = EPOLLIN};
    pid_t pid = child(-1);
    int fd = pidfd_open_raw(pid, 0);
    poller = epoll_create1(0);
    if (poller < 0) {
        return;
    }
    CALL(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event));
    pthread_create(&thread, NULL, waits, NULL);
    kill(pid, SIGKILL);
    pthread_join(thread, &result);
    printf("epoll: %ld\n", (long)result);
    waitpid(pid, NULL, 0);
    close(fd), close(poller);
}

/* A directory /proc/PID takes signals, and is no descriptor of a process otherwise. */
static void by_directory(void) {
    char path[64];
    int status;
    pid_t pid = child(-1);
    snprintf(path, sizeof path, "/proc/%d", pid);
    int fd = open(path, O_RDONLY | O_DIRECTORY), unreadable = open(path, O_PATH);
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    int threads = open(path, O_RDONLY);
    CALL(send_signal(unreadable, 0, NULL, 0));
    CALL(send_signal(threads, 0, NULL, 0));
    CALL(send_signal(fd, 0, NULL, 16));
    CALL(getfd(fd, 0, 0));
    CALL(waitid(PIDFD, fd, NULL, WEXITED));
    CALL(send_signal(fd, 0, NULL, 0));
    CALL(send_signal(fd, SIGKILL, NULL, 0));
    waitid(P_PID, pid, NULL, WEXITED | WNOWAIT);
    CALL(send_signal(fd, SIGKILL, NULL, 0));
    waitpid(pid, &status, 0);
    printf("status %x\n", status);
    CALL(send_signal(fd, 0, NULL, 0));
    close(fd), close(unreadable), close(threads);
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    opening();
    waiting();
    signals();
    descriptors();
    by_clone();
    watched();
    by_directory();
    return leave_scratch();
}
