/* Timers that are read. */
#include "report.h"

#include <poll.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>

#define MS 1000000L

static long set(int fd, int flags, long value_ns, long interval_ns) {
    struct itimerspec new = {
        {interval_ns / 1000000000, interval_ns % 1000000000},
        {value_ns / 1000000000, value_ns % 1000000000},
    };
    return timerfd_settime(fd, flags, &new, NULL);
}

static void take(int fd) {
    uint64_t count = 0;
    errno = 0;
    ssize_t result = read(fd, &count, sizeof count);
    printf("take: %zd %s %s\n", result, result < 0 ? error_name(errno) : "", count == 1 ? "once" : count ? "often" : "");
}

static void ready(int fd, int timeout) {
    struct pollfd entry = {fd, POLLIN | POLLOUT, 0};
    int count = poll(&entry, 1, timeout);
    printf("ready: %d %x\n", count, entry.revents);
}

static void show(int fd) {
    struct itimerspec value;
    CALL(timerfd_gettime(fd, &value));
    printf("left: %d, interval %ld.%09ld\n", value.it_value.tv_sec > 0 || value.it_value.tv_nsec > 0,
           (long)value.it_interval.tv_sec, value.it_interval.tv_nsec);
}

/* Of a periodic timer that runs: at its time there is nothing left until the kernel has seen to it. */
static void show_running(int fd) {
    struct itimerspec value;
    do {
        timerfd_gettime(fd, &value);
    } while (value.it_value.tv_sec == 0 && value.it_value.tv_nsec == 0);
    printf("runs, interval %ld.%09ld\n", (long)value.it_interval.tv_sec, value.it_interval.tv_nsec);
}

static long now_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000000000 + now.tv_nsec;
}

static void expiring(clockid_t clock) {
    int fd = CALL(timerfd_create(clock, TFD_NONBLOCK | TFD_CLOEXEC));
    CALL(fcntl(fd, F_GETFD)), CALL(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK));
    ready(fd, 0), take(fd), show(fd);
    CALL(set(fd, 0, 100000 * MS, 0));
    ready(fd, 0), show(fd);
    CALL(set(fd, 0, 20 * MS, 0));
    ready(fd, -1), show(fd), take(fd), take(fd), ready(fd, 0);
    CALL(set(fd, TFD_TIMER_ABSTIME, now_ns(clock) + 20 * MS, 0));
    ready(fd, -1), take(fd);
    CALL(set(fd, TFD_TIMER_ABSTIME, 1, 0));
    ready(fd, -1), take(fd);
    CALL(set(fd, 0, 5 * MS, 5 * MS));
    nanosleep(&(struct timespec){0, 50 * MS}, NULL);
    ready(fd, -1), show_running(fd), take(fd), show_running(fd), ready(fd, -1);
    CALL(read(fd, &(uint64_t){0}, 8)); /* once, or more often where it is slow */
    CALL(set(fd, 0, 0, 5 * MS));
    show(fd), take(fd);
    CALL(set(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, now_ns(clock) + 10 * MS, 0));
    ready(fd, -1), take(fd);
    CALL(close(fd));
}

static void blocking(void) {
    int fd = CALL(timerfd_create(CLOCK_MONOTONIC, 0)), status;
    long start = now_ns(CLOCK_MONOTONIC);
    CALL(set(fd, 0, 30 * MS, 0));
    take(fd);
    printf("waited: %d\n", now_ns(CLOCK_MONOTONIC) - start >= 30 * MS);
    fflush(stdout);
    CALL(set(fd, 0, 20 * MS, 0));
    if (fork() == 0) { /* the timer is shared */
        uint64_t count = 0;
        _exit(read(fd, &count, sizeof count) == sizeof count && count == 1);
    }
    wait(&status);
    printf("child: %d\n", WEXITSTATUS(status));
    CALL(close(fd));
}

static void corners(void) {
    char text[16];
    struct stat st;
    struct itimerspec value = {{0, 0}, {0, 1000000000}}, negative = {{0, -1}, {1, 0}}, fine = {{0, 0}, {100, 0}};
    int fd = CALL(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    CALL(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0)), CALL(timerfd_create(99, 0));
    CALL(timerfd_create(CLOCK_MONOTONIC_RAW, 0)), CALL(timerfd_create(CLOCK_MONOTONIC, 1 << 5));
    CALL(timerfd_settime(fd, 0, &value, NULL)), CALL(timerfd_settime(fd, 0, &negative, NULL));
    CALL(timerfd_settime(fd, 4, &fine, NULL)), CALL(timerfd_settime(fd, 0, WILD, NULL));
    CALL(timerfd_settime(99, 0, &fine, NULL)), CALL(timerfd_settime(0, 0, &fine, NULL));
    CALL(timerfd_settime(99, 0, &value, NULL));
    CALL(timerfd_settime(fd, 0, &fine, WILD));
    show(fd);
    CALL(timerfd_settime(fd, 0, &(struct itimerspec){{0, 0}, {0, 0}}, &fine));
    printf("old: %d\n", fine.it_value.tv_sec > 50);
    CALL(timerfd_gettime(fd, WILD)), CALL(timerfd_gettime(99, &fine)), CALL(timerfd_gettime(0, &fine));
    CALL(set(fd, 0, 1, 0));
    ready(fd, -1);
    CALL(read(fd, text, 7)), CALL(read(fd, text, 16)), CALL(read(fd, WILD, 8)), CALL(write(fd, text, 8));
    CALL(lseek(fd, 0, SEEK_SET)), CALL(pread(fd, text, 8, 0)), CALL(ftruncate(fd, 0)), CALL(fsync(fd));
    CALL(fstat(fd, &st));
    printf("mode %o\n", st.st_mode);
    ssize_t length = readlink("/proc/self/fd/3", text, sizeof text);
    printf("%.*s\n", (int)length, text);
    CALL(close(fd));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    expiring(CLOCK_MONOTONIC), expiring(CLOCK_REALTIME), expiring(CLOCK_BOOTTIME);
    blocking();
    corners();
    return leave_scratch();
}
