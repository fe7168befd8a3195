/* epoll: what is reported, how often, and when entries vanish. */
#include "report.h"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

static int epoll;

static long ctl(int op, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {events, {.u64 = data}};
    return epoll_ctl(epoll, op, fd, &event);
}

static void look(int timeout) {
    struct epoll_event events[8];
    errno = 0;
    int count = epoll_wait(epoll, events, LENGTH(events), timeout);
    printf("found %d %s:", count, count < 0 ? error_name(errno) : "");
    for (int i = 0; i < count; i++) {
        printf(" %llx:%x", (unsigned long long)events[i].data.u64, events[i].events);
    }
    printf("\n");
}

static void put(int fd) {
    uint64_t one = 1;
    if (write(fd, &one, sizeof one) != sizeof one) {
        printf("write: %s\n", error_name(errno));
    }
}

static void drain(int fd) {
    char text[64];
    if (read(fd, text, sizeof text) < 0) {
        printf("read: %s\n", error_name(errno));
    }
}

static void level(void) {
    int pair[2];
    epoll = CALL(epoll_create1(EPOLL_CLOEXEC));
    CALL(fcntl(epoll, F_GETFD));
    CALL(pipe(pair));
    CALL(ctl(EPOLL_CTL_ADD, pair[0], EPOLLIN | EPOLLRDHUP, 0x1234567890));
    CALL(ctl(EPOLL_CTL_ADD, pair[1], EPOLLOUT, 2));
    look(0), look(0);
    put(pair[1]);
    look(-1), look(0);
    drain(pair[0]);
    look(0);
    CALL(ctl(EPOLL_CTL_MOD, pair[1], 0, 3));
    look(0);
    put(pair[1]);
    look(0);
    CALL(close(pair[1]));
    look(0);
    drain(pair[0]);
    look(0);
    CALL(close(pair[0]));
    look(0);
    CALL(close(epoll));
}

static void edge(void) {
    int fd = CALL(eventfd(0, EFD_NONBLOCK | EFD_SEMAPHORE)), pair[2];
    epoll = CALL(epoll_create1(0));
    CALL(ctl(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET, 1));
    look(0);
    put(fd);
    look(0), look(0);
    put(fd), put(fd);
    look(0), look(0);
    drain(fd); /* two are left, and nothing new */
    look(0);
    CALL(ctl(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLET, 2));
    look(0), look(0);
    CALL(close(fd));
    CALL(pipe2(pair, O_NONBLOCK));
    CALL(ctl(EPOLL_CTL_ADD, pair[0], EPOLLIN | EPOLLET, 3));
    CALL(ctl(EPOLL_CTL_ADD, pair[1], EPOLLOUT | EPOLLET, 4));
    look(0), look(0);
    put(pair[1]);
    look(0), look(0);
    CALL(close(pair[1]));
    look(0), look(0);
    CALL(close(pair[0])), CALL(close(epoll));
}

static void one_shot(void) {
    int fd = CALL(eventfd(1, 0));
    epoll = CALL(epoll_create(1));
    CALL(ctl(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLONESHOT, 1));
    look(0), look(0);
    put(fd);
    look(0);
    CALL(ctl(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT, 2));
    look(0), look(0);
    CALL(close(fd)), CALL(close(epoll));
}

/* Entries belong to a descriptor and a file, and end with the file. */
static void lifetime(void) {
    int fd = CALL(eventfd(1, 0)), copy = CALL(dup(fd)), status;
    epoll = CALL(epoll_create1(0));
    CALL(ctl(EPOLL_CTL_ADD, fd, EPOLLIN, 1));
    CALL(ctl(EPOLL_CTL_ADD, copy, EPOLLIN, 2));
    CALL(ctl(EPOLL_CTL_ADD, fd, EPOLLIN, 3));
    look(0);
    CALL(ctl(EPOLL_CTL_DEL, copy, 0, 0));
    CALL(ctl(EPOLL_CTL_DEL, copy, 0, 0));
    CALL(close(fd));
    look(0); /* the copy keeps it open */
    CALL(ctl(EPOLL_CTL_DEL, fd, 0, 0));
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        pause();
    }
    CALL(close(copy));
    look(0); /* so does the child */
    kill(child, SIGKILL);
    wait(&status);
    look(0);
    fd = CALL(eventfd(1, 0));
    CALL(ctl(EPOLL_CTL_ADD, fd, EPOLLIN, 4));
    look(0);
    CALL(close(fd)), CALL(close(epoll));
}

static void fairness(void) {
    int fds[5];
    struct epoll_event event;
    epoll = CALL(epoll_create1(0));
    for (int i = 0; i < 5; i++) {
        fds[i] = eventfd(1, 0);
        ctl(EPOLL_CTL_ADD, fds[i], EPOLLIN, i);
    }
    for (int i = 0; i < 12; i++) {
        int count = epoll_wait(epoll, &event, 1, 0);
        printf("%d:%d ", count, event.data.u32);
    }
    printf("\n");
    for (int i = 0; i < 5; i++) {
        close(fds[i]);
    }
    CALL(close(epoll));
}

static void nested(void) {
    int chain[8], fd = eventfd(0, 0);
    for (int i = 0; i < 8; i++) {
        chain[i] = epoll_create1(0);
    }
    for (int i = 0; i + 1 < 8; i++) { /* each contains the one before it */
        epoll = chain[i + 1];
        CALL(ctl(EPOLL_CTL_ADD, chain[i], EPOLLIN, i));
    }
    epoll = chain[0];
    CALL(ctl(EPOLL_CTL_ADD, chain[0], EPOLLIN, 0));
    CALL(ctl(EPOLL_CTL_ADD, chain[2], EPOLLIN, 0)); /* a circle */
    CALL(ctl(EPOLL_CTL_ADD, fd, EPOLLIN, 7));
    epoll = chain[4];
    look(0);
    put(fd);
    look(0), look(0);
    struct pollfd entry = {chain[3], POLLIN | POLLOUT, 0};
    CALL(poll(&entry, 1, 0));
    printf("revents %x\n", entry.revents);
    drain(fd);
    look(0);
    CALL(poll(&entry, 1, 0));
    epoll = chain[0];
    look(0);
    for (int i = 0; i < 8; i++) {
        close(chain[i]);
    }
    for (int i = 0; i < 8; i++) {
        chain[i] = epoll_create1(0);
    }
    for (int i = 0; i + 1 < 8; i++) { /* each contains the one behind it */
        epoll = chain[i];
        CALL(ctl(EPOLL_CTL_ADD, chain[i + 1], EPOLLIN, i));
    }
    for (int i = 0; i < 8; i++) {
        close(chain[i]);
    }
    close(fd);
}

/* The compiler knows too well that these are mistakes. */
static long wait_raw(int fd, void *events, int most, int timeout) {
    return syscall(SYS_epoll_pwait, fd, events, most, timeout, NULL, 8);
}

static void errors(void) {
    struct epoll_event event = {EPOLLIN, {0}}, found[2];
    int fd = CALL(eventfd(1, 0)), file = CALL(open("file", O_CREAT | O_RDWR, 0600)), null = CALL(open("/dev/null", O_RDWR));
    int directory = CALL(open(".", O_RDONLY)), path = CALL(open("file", O_PATH));
    epoll = CALL(epoll_create1(0));
    CALL(epoll_create(0)), CALL(epoll_create(-1)), CALL(epoll_create1(1));
    CALL(ctl(EPOLL_CTL_ADD, file, EPOLLIN, 0)), CALL(ctl(EPOLL_CTL_ADD, null, EPOLLIN, 0));
    CALL(ctl(EPOLL_CTL_ADD, directory, EPOLLIN, 0)), CALL(ctl(EPOLL_CTL_ADD, path, EPOLLIN, 0));
    CALL(ctl(EPOLL_CTL_ADD, 99, EPOLLIN, 0)), CALL(ctl(EPOLL_CTL_MOD, fd, EPOLLIN, 0));
    CALL(ctl(EPOLL_CTL_DEL, file, EPOLLIN, 0)), CALL(ctl(99, fd, EPOLLIN, 0)), CALL(ctl(EPOLL_CTL_ADD, epoll, EPOLLIN, 0));
    CALL(epoll_ctl(fd, EPOLL_CTL_ADD, epoll, &event)), CALL(epoll_ctl(99, EPOLL_CTL_ADD, fd, &event));
    CALL(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, WILD)), CALL(epoll_ctl(epoll, EPOLL_CTL_DEL, fd, WILD));
    CALL(epoll_ctl(99, EPOLL_CTL_ADD, fd, WILD));
    CALL(ctl(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 0));
    CALL(ctl(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE, 5));
    CALL(ctl(EPOLL_CTL_MOD, fd, EPOLLIN, 0)), CALL(ctl(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLEXCLUSIVE, 0));
    look(0);
    CALL(wait_raw(epoll, found, 0, 0)), CALL(wait_raw(epoll, found, -1, 0)), CALL(wait_raw(epoll, NULL, 1, 0));
    CALL(wait_raw(epoll, WILD, 1, 0)), CALL(wait_raw(99, found, 1, 0)), CALL(wait_raw(fd, found, 1, 0));
    CALL(wait_raw(epoll, found, 0x7fffffff, 0));
    look(0); /* EFAULT has lost nothing */
    CALL(syscall(SYS_epoll_pwait, epoll, found, 1, 0, WILD, 8)), CALL(syscall(SYS_epoll_pwait, epoll, found, 1, 0, found, 4));
    CALL(syscall(SYS_epoll_pwait2, epoll, found, 1, &(struct timespec){0, 1000000000}, NULL, 8));
    CALL(syscall(SYS_epoll_pwait2, epoll, found, 1, WILD, NULL, 8));
    CALL(syscall(SYS_epoll_pwait2, epoll, found, 1, NULL, NULL, 8));
    char text[8];
    CALL(read(epoll, text, 8)), CALL(write(epoll, text, 8)), CALL(lseek(epoll, 0, SEEK_SET));
    CALL(close(fd)), CALL(close(file)), CALL(close(null)), CALL(close(directory)), CALL(close(path)), CALL(close(epoll));
    CALL(unlink("file"));
}

static long milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void handler(int signal) {
    (void)signal;
}

static void waiting(void) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    struct epoll_event event;
    int pair[2], status;
    epoll = CALL(epoll_create1(0));
    CALL(pipe(pair));
    int timer = CALL(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    CALL(ctl(EPOLL_CTL_ADD, pair[0], EPOLLIN, 1)), CALL(ctl(EPOLL_CTL_ADD, timer, EPOLLIN | EPOLLET, 2));
    long start = milliseconds();
    look(30);
    printf("waited: %d\n", milliseconds() - start >= 30);
    start = milliseconds();
    CALL(syscall(SYS_epoll_pwait2, epoll, &event, 1, &(struct timespec){0, 30000000}, NULL, 8));
    printf("waited: %d\n", milliseconds() - start >= 30);
    CALL(timerfd_settime(timer, 0, &(struct itimerspec){{0, 0}, {0, 20000000}}, NULL));
    look(-1), look(0);
    fflush(stdout);
    if (fork() == 0) {
        usleep(20000);
        put(pair[1]);
        _exit(0);
    }
    look(-1);
    wait(&status);
    drain(pair[0]);
    sigaction(SIGALRM, &action, NULL);
    /* The first one may come before the wait. */
    struct itimerval value = {{0, 0}, {0, 20000}}, again_and_again = {{0, 20000}, {0, 20000}};
    setitimer(ITIMER_REAL, &again_and_again, NULL);
    look(-1); /* never restarted */
    sigset_t block, none, now;
    sigemptyset(&none), sigemptyset(&block), sigaddset(&block, SIGALRM);
    sigprocmask(SIG_BLOCK, &block, NULL);
    setitimer(ITIMER_REAL, &value, NULL);
    look(60); /* blocked */
    CALL(epoll_pwait(epoll, &event, 1, -1, &none));
    sigprocmask(SIG_SETMASK, NULL, &now);
    printf("blocked again: %d\n", sigismember(&now, SIGALRM));
    CALL(close(pair[0])), CALL(close(pair[1])), CALL(close(timer)), CALL(close(epoll));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    level();
    edge();
    one_shot();
    lifetime();
    fairness();
    nested();
    errors();
    waiting();
    return leave_scratch();
}
