/* Signals that are read. */
#include "report.h"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

static sigset_t set;

static void show(const struct signalfd_siginfo *info) {
    printf("signal %u: code %d, errno %d, me %d, uid %d, int %d, ptr %llx, tid %u, overrun %u, status %d\n", info->ssi_signo,
           info->ssi_code, info->ssi_errno, info->ssi_pid == (uint32_t)getpid(), info->ssi_uid == getuid(), info->ssi_int,
           (unsigned long long)info->ssi_ptr, info->ssi_tid, info->ssi_overrun, info->ssi_status);
}

static void take(int fd, size_t most) {
    struct signalfd_siginfo infos[8];
    memset(infos, 0, sizeof infos);
    errno = 0;
    ssize_t result = read(fd, infos, most * sizeof infos[0]);
    printf("take: %zd %s\n", result, result < 0 ? error_name(errno) : "");
    for (ssize_t i = 0; i < result / (ssize_t)sizeof infos[0]; i++) {
        show(&infos[i]);
    }
}

static void ready(int fd, int timeout) {
    struct pollfd entry = {fd, POLLIN | POLLOUT, 0};
    int count = poll(&entry, 1, timeout);
    printf("ready: %d %x\n", count, entry.revents);
}

static void reading(void) {
    int fd = CALL(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
    CALL(fcntl(fd, F_GETFD)), CALL(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK));
    ready(fd, 0), take(fd, 1);
    CALL(kill(getpid(), SIGUSR1)), CALL(kill(getpid(), SIGUSR1));
    CALL(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = -7}));
    CALL(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 8}));
    CALL(raise(SIGUSR2));
    ready(fd, 0);
    take(fd, 2), take(fd, 8), take(fd, 8);
    ready(fd, 0);
    CALL(read(fd, WILD, 256));
    CALL(kill(getpid(), SIGUSR1));
    CALL(read(fd, WILD, 127));
    CALL(write(fd, "x", 1)), CALL(lseek(fd, 0, SEEK_SET));
    take(fd, 1);
    CALL(close(fd));
}

static void changing(void) {
    sigset_t one;
    int fd = CALL(signalfd(-1, &set, SFD_NONBLOCK));
    CALL(kill(getpid(), SIGUSR1)), CALL(kill(getpid(), SIGUSR2));
    sigemptyset(&one);
    sigaddset(&one, SIGUSR2), sigaddset(&one, SIGKILL);
    printf("same: %d\n", signalfd(fd, &one, 0) == fd);
    take(fd, 8);
    ready(fd, 0);
    sigaddset(&one, SIGUSR1);
    CALL(signalfd(fd, &one, 0) == fd);
    take(fd, 8);
    CALL(signalfd(0, &one, 0)), CALL(signalfd(99, &one, 0)), CALL(signalfd(-1, &one, 1 << 5));
    CALL(syscall(SYS_signalfd4, -1, &one, 4, 0)), CALL(syscall(SYS_signalfd4, -1, WILD, 8, 0));
    CALL(syscall(SYS_signalfd4, 99, WILD, 8, 1));
    CALL(close(fd));
}

static void waiting(void) {
    int fd = CALL(signalfd(-1, &set, 0)), status;
    pid_t parent = getpid();
    fflush(stdout);
    if (fork() == 0) {
        usleep(20000);
        kill(parent, SIGUSR1);
        _exit(3);
    }
    struct signalfd_siginfo info;
    CALL(read(fd, &info, sizeof info));
    printf("signal %u, not me %d\n", info.ssi_signo, info.ssi_pid != (uint32_t)getpid());
    CALL(read(fd, &info, sizeof info));
    printf("signal %u, code %d, status %d\n", info.ssi_signo, info.ssi_code, info.ssi_status);
    wait(&status);
    struct itimerval value = {{0, 0}, {0, 20000}};
    CALL(setitimer(ITIMER_REAL, &value, NULL));
    ready(fd, -1), take(fd, 1);
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 42};
    CALL(timer_create(CLOCK_MONOTONIC, &event, &timer));
    CALL(timer_settime(timer, 0, &(struct itimerspec){{0, 0}, {0, 1000000}}, NULL));
    take(fd, 1);
    CALL(timer_delete(timer));
    CALL(close(fd));
}

static void with_epoll(void) {
    struct epoll_event event = {EPOLLIN, {.u32 = 5}}, found;
    int fd = CALL(signalfd(-1, &set, SFD_NONBLOCK)), epoll = CALL(epoll_create1(0));
    CALL(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
    CALL(epoll_wait(epoll, &found, 1, 0));
    struct itimerval value = {{0, 0}, {0, 20000}};
    CALL(setitimer(ITIMER_REAL, &value, NULL));
    CALL(epoll_wait(epoll, &found, 1, -1));
    take(fd, 8);
    CALL(epoll_wait(epoll, &found, 1, 0));
    CALL(close(fd)), CALL(close(epoll));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1), sigaddset(&set, SIGUSR2), sigaddset(&set, SIGALRM), sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    reading();
    changing();
    waiting();
    with_epoll();
    return leave_scratch();
}
