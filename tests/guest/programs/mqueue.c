/* POSIX message queues: limits, priorities, waiting, readiness, notification. */
#include "report.h"

#include "asleep.h"

#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

static char name[32], other[32], third[32]; /* of this run only */

static mqd_t make(const char *which, long messages, long size, int flags) {
    struct mq_attr attr = {.mq_maxmsg = messages, .mq_msgsize = size};
    return mq_open(which, O_CREAT | O_RDWR | flags, 0600, &attr);
}

static void show(mqd_t q) {
    struct mq_attr attr;
    if (CALL(mq_getattr(q, &attr)) == 0) {
        printf("flags %lo, most %ld of %ld, now %ld\n", attr.mq_flags, attr.mq_maxmsg, attr.mq_msgsize, attr.mq_curmsgs);
    }
}

static long receives(mqd_t q, size_t size) {
    char text[200] = "";
    unsigned priority = 0;
    long count = mq_receive(q, text, size, &priority);
    int error = errno;
    if (count >= 0) {
        printf("[%u %.*s] ", priority, (int)count, text);
    }
    errno = error;
    return count;
}

static int reap(pid_t pid) {
    int status = -1;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void opening(void) {
    char text[200];
    struct stat status;
    CALL(mq_open(name, O_RDWR));
    CALL(mq_unlink(name));
    CALL(syscall(SYS_mq_open, "", O_RDWR, 0, NULL));
    CALL(syscall(SYS_mq_open, "a/b", O_RDWR | O_CREAT, 0, NULL));
    CALL(syscall(SYS_mq_open, ".", O_RDWR | O_CREAT, 0, NULL));
    CALL(syscall(SYS_mq_open, "..", O_RDWR, 0, NULL));
    CALL(syscall(SYS_mq_open, WILD, O_RDWR, 0, NULL));
    CALL(syscall(SYS_mq_open, name + 1, O_RDWR | O_CREAT, 0600, WILD));
    CALL(syscall(SYS_mq_unlink, "a/b"));
    CALL(syscall(SYS_mq_unlink, ""));
    memset(text, 'x', sizeof text);
    char longer[300];
    memset(longer, 'x', sizeof longer);
    longer[299] = 0;
    CALL(syscall(SYS_mq_open, longer, O_RDWR, 0, NULL));
    CALL(make(name, 0, 10, 0));
    CALL(make(name, 10, 0, 0));
    CALL(make(name, -1, 10, 0));
    CALL(make(name, 70000, 10, 0));
    CALL(make(name, 10, 17 << 20, 0));
    mqd_t q = mq_open(name, O_CREAT | O_RDWR | O_EXCL, 0777, NULL);
    show(q);
    CALL(fcntl(q, F_GETFD));
    CALL(fcntl(q, F_GETFL));
    CALL(fstat(q, &status));
    printf("mode %o, size %ld, links %ld\n", status.st_mode, (long)status.st_size, (long)status.st_nlink);
    long count = CALL(read(q, text, sizeof text));
    printf("%.*s", (int)count, text);
    CALL(read(q, text, sizeof text));
    CALL(write(q, "x", 1));
    CALL(mq_open(name, O_CREAT | O_EXCL | O_RDWR, 0600, NULL));
    CALL(mq_open(name, 3));
    mqd_t reader = mq_open(name, O_RDONLY | O_NONBLOCK), writer = mq_open(name, O_WRONLY);
    CALL(mq_send(reader, "x", 1, 0));
    CALL(receives(writer, 8192));
    CALL(mq_receive(reader, text, 8191, NULL));
    CALL(mq_receive(reader, text, 8192, NULL));
    CALL(mq_send(1, "x", 1, 0));
    CALL(mq_send(99, "x", 1, 0));
    CALL(mq_getattr(1, (struct mq_attr *)text));
    CALL(syscall(SYS_mq_getsetattr, q, WILD, NULL));
    CALL(syscall(SYS_mq_getsetattr, q, NULL, WILD));
    CALL(syscall(SYS_mq_getsetattr, q, NULL, NULL));
    show(reader);
    CALL(mq_setattr(reader, &(struct mq_attr){.mq_flags = 1}, NULL));
    CALL(mq_setattr(reader, &(struct mq_attr){.mq_flags = 0}, NULL));
    show(reader);
    CALL(fcntl(reader, F_SETFL, O_NONBLOCK));
    show(reader);
    CALL(mq_unlink(name));
    CALL(mq_unlink(name));
    CALL(fstat(q, &status));
    printf("links %ld\n", (long)status.st_nlink);
    CALL(mq_send(q, "still", 5, 0));
    CALL(mq_receive(reader, text, 8192, NULL));
    mq_close(q);
    mq_close(reader);
    mq_close(writer);
}

static void ordering(void) {
    mqd_t q = make(name, 4, 20, O_NONBLOCK);
    CALL(mq_send(q, "low", 3, 1));
    CALL(mq_send(q, "first", 5, 7));
    CALL(mq_send(q, "second", 6, 7));
    CALL(mq_send(q, "", 0, 32767));
    CALL(mq_send(q, "full", 4, 3));
    CALL(mq_send(q, "more than twenty characters", 27, 3));
    CALL(mq_send(q, "priority", 8, 32768));
    CALL(syscall(SYS_mq_timedsend, q, WILD, 5, 0, NULL));
    show(q);
    for (int i = 0; i < 5; i++) {
        CALL(receives(q, 20));
    }
    CALL(mq_send(q, "lost", 4, 1));
    CALL(syscall(SYS_mq_timedreceive, q, WILD, 20, NULL, NULL));
    show(q);
    mq_close(q);
    mq_unlink(name);
}

static void limits(void) {
    struct rlimit limit = {2 * (10 * (100 + 48) + 10 * 48), 819200};
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (setgid(54321) || setuid(54321 + getpid() % 10000)) {
            printf("not root\n");
        }
        setrlimit(RLIMIT_MSGQUEUE, &limit);
        CALL(make(name, 11, 100, 0));
        CALL(make(name, 10, 8193, 0));
        mqd_t one = make(name, 10, 100, 0), two = make(other, 10, 100, 0);
        printf("%d %d\n", one >= 0, two >= 0);
        CALL(make(third, 1, 1, 0));
        mq_unlink(name);
        CALL(make(third, 1, 1, 0));
        mq_close(one);
        OK(make(third, 1, 1, 0));
        mq_unlink(third);
        mq_unlink(other);
        fflush(stdout);
        _exit(0);
    }
    reap(pid);
    mqd_t q = make(name, 1, 1, 0);
    fflush(stdout);
    if ((pid = fork()) == 0) {
        if (setgid(54321) || setuid(54321)) {
            printf("not root\n");
        }
        CALL(mq_open(name, O_RDONLY));
        CALL(mq_open(name, O_RDWR | O_CREAT, 0600, NULL));
        CALL(syscall(SYS_mq_unlink, name + 1));
        fflush(stdout);
        _exit(0);
    }
    reap(pid);
    mq_close(q);
    mq_unlink(name);
}

static void nothing(int signal) {
    (void)signal;
}

static void waiting(void) {
    mqd_t q = make(name, 1, 20, 0);
    char text[20];
    struct timespec past = {1, 0}, bad = {1, -1}, soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_sec += (soon.tv_nsec + 30000000) / 1000000000;
    soon.tv_nsec = (soon.tv_nsec + 30000000) % 1000000000;
    CALL(mq_timedreceive(q, text, 20, NULL, &past));
    CALL(mq_timedreceive(q, text, 20, NULL, &soon));
    CALL(mq_timedreceive(q, text, 20, NULL, &bad));
    CALL(syscall(SYS_mq_timedreceive, q, text, 20, NULL, WILD));
    CALL(mq_timedsend(q, "a", 1, 0, &past));
    CALL(mq_timedsend(q, "b", 1, 0, &past));
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        _exit(mq_send(q, "from child", 10, 5) == 0 ? 0 : errno);
    }
    until_asleep(pid);
    show(q);
    CALL(receives(q, 20));
    printf("sender %d\n", reap(pid));
    show(q);
    CALL(receives(q, 20));
    if ((pid = fork()) == 0) {
        long count = mq_receive(q, text, 20, NULL);
        _exit(count < 0 ? errno : count);
    }
    until_asleep(pid);
    CALL(mq_send(q, "seven c", 7, 0));
    printf("receiver %d\n", reap(pid));
    show(q);
    for (int restarts = 0; restarts < 2; restarts++) {
        struct sigaction action = {.sa_handler = nothing, .sa_flags = restarts ? SA_RESTART : 0};
        sigaction(SIGUSR1, &action, NULL);
        if ((pid = fork()) == 0) {
            long count = mq_receive(q, text, 20, NULL);
            _exit(count < 0 ? errno : count);
        }
        until_asleep(pid);
        kill(pid, SIGUSR1);
        until_asleep(pid);
        mq_send(q, "four", 4, 0);
        int status = reap(pid);
        printf("interrupted: %s\n", status == 4 ? "received" : error_name(status));
    }
    if ((pid = fork()) == 0) {
        mq_receive(q, text, 20, NULL);
        mq_receive(q, text, 20, NULL);
        _exit(0);
    }
    until_asleep(pid);
    kill(pid, SIGKILL);
    reap(pid);
    CALL(mq_send(q, "kept", 4, 0));
    show(q);
    mq_close(q);
    mq_unlink(name);
}

static void readiness(void) {
    mqd_t q = make(name, 1, 20, O_NONBLOCK);
    struct pollfd one = {q, POLLIN | POLLOUT, 0};
    struct epoll_event event = {EPOLLIN | EPOLLET, {0}};
    int ep = epoll_create1(0);
    CALL(epoll_ctl(ep, EPOLL_CTL_ADD, q, &event));
    CALL(epoll_wait(ep, &event, 1, 0));
    CALL(poll(&one, 1, 0));
    printf("%x\n", one.revents);
    mq_send(q, "x", 1, 0);
    CALL(poll(&one, 1, 0));
    printf("%x\n", one.revents);
    CALL(epoll_wait(ep, &event, 1, 0));
    CALL(epoll_wait(ep, &event, 1, 0));
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        one.events = POLLOUT;
        poll(&one, 1, -1);
        mq_send(q, "y", 1, 0);
        _exit(0);
    }
    until_asleep(pid);
    CALL(receives(q, 20));
    reap(pid);
    one.events = POLLIN;
    CALL(poll(&one, 1, -1));
    CALL(receives(q, 20));
    close(ep);
    mq_close(q);
    mq_unlink(name);
}

static void told(int signal, siginfo_t *info, void *context) {
    (void)context;
    printf("signal %d, code %d, value %d, from me %d, uid %d\n", signal, info->si_code, info->si_value.sival_int,
           info->si_pid == getpid(), info->si_uid == getuid());
}

static int rounds;

static void thread(union sigval value) {
    printf("thread, value %d\n", value.sival_int);
    __atomic_add_fetch(&rounds, 1, __ATOMIC_RELEASE);
}

static void show_status(mqd_t q) {
    char text[100];
    long count = pread(q, text, 100, 0);
    char *pid = memmem(text, count, "NOTIFY_PID:", 11);
    printf("%.*s%s\n", (int)(pid - text), text, atoi(pid + 11) == getpid() ? "me" : atoi(pid + 11) ? "another" : "none");
}

static void notification(void) {
    mqd_t q = make(name, 3, 20, O_NONBLOCK);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2, .sigev_value.sival_int = 42};
    struct sigaction action = {.sa_sigaction = told, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR2, &action, NULL);
    CALL(mq_notify(q, &event));
    show_status(q);
    CALL(mq_notify(q, &event));
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        show_status(q);
        CALL(mq_notify(q, &event));
        CALL(mq_notify(q, NULL));
        mq_close(q);
        fflush(stdout);
        _exit(0);
    }
    reap(pid);
    CALL(mq_send(q, "a", 1, 0));
    show_status(q);
    CALL(mq_notify(q, &event));
    CALL(mq_send(q, "not to an empty one", 19, 0));
    CALL(receives(q, 20));
    CALL(receives(q, 20));
    CALL(mq_notify(q, NULL));
    CALL(mq_send(q, "b", 1, 0));
    CALL(receives(q, 20));
    /* Closing any descriptor of it takes the notification back, and so does the end of the process. */
    CALL(mq_notify(q, &event));
    close(dup(q));
    show_status(q);
    fflush(stdout);
    if ((pid = fork()) == 0) {
        mq_notify(q, &event);
        _exit(0);
    }
    reap(pid);
    show_status(q);
    event.sigev_signo = 65;
    CALL(mq_notify(q, &event));
    event.sigev_notify = 77;
    CALL(mq_notify(q, &event));
    event.sigev_notify = SIGEV_NONE;
    CALL(mq_notify(q, &event));
    show_status(q);
    CALL(mq_send(q, "c", 1, 0));
    show_status(q);
    CALL(receives(q, 20));
    CALL(mq_notify(99, &event));
    CALL(syscall(SYS_mq_notify, q, WILD));
    event.sigev_notify = SIGEV_THREAD;
    event.sigev_signo = 1;
    CALL(syscall(SYS_mq_notify, q, &event));
    event.sigev_value.sival_ptr = name;
    CALL(syscall(SYS_mq_notify, q, &event));
    event.sigev_signo = 99;
    CALL(syscall(SYS_mq_notify, q, &event));
    event.sigev_notify_function = thread;
    event.sigev_notify_attributes = NULL;
    for (int i = 0; i < 3; i++) {
        event.sigev_value.sival_int = i;
        CALL(mq_notify(q, &event));
        show_status(q);
        int sent = mq_send(q, "d", 1, 0); /* the thread may print before this is over */
        while (__atomic_load_n(&rounds, __ATOMIC_ACQUIRE) != i + 1) {
            sched_yield();
        }
        printf("sent %d\n", sent);
        CALL(receives(q, 20));
    }
    CALL(mq_notify(q, &event));
    CALL(mq_notify(q, NULL));
    mq_close(q);
    mq_unlink(name);
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    snprintf(name, sizeof name, "/queue-%d", getpid());
    snprintf(other, sizeof other, "/other-%d", getpid());
    snprintf(third, sizeof third, "/third-%d", getpid());
    opening();
    ordering();
    limits();
    waiting();
    readiness();
    notification();
    return leave_scratch();
}
