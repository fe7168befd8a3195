/* timer_create and its family, by the kernel's own calls: the C library would hide some of them. */
#include "report.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

static sigset_t set;

static long create(clockid_t clock, struct sigevent *event, int *id) {
    return syscall(SYS_timer_create, clock, event, id);
}

static long settime(int id, int flags, long value_ns, long interval_ns, struct itimerspec *old) {
    struct itimerspec new = {
        {interval_ns / 1000000000, interval_ns % 1000000000},
        {value_ns / 1000000000, value_ns % 1000000000},
    };
    return syscall(SYS_timer_settime, id, flags, &new, old);
}

static long gettime(int id, struct itimerspec *value) {
    return syscall(SYS_timer_gettime, id, value);
}

static void await(void) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    int signal = sigwaitinfo(&set, &info);
    printf("signal %d: code %d, timer %d, overruns %d, value %lx, errno %d\n", signal, info.si_code,
           signal > 0 ? info.si_timerid : -1, signal > 0 ? info.si_overrun : -1, (long)info.si_value.sival_ptr,
           info.si_errno);
}

static void nothing(void) {
    siginfo_t info;
    CALL(sigtimedwait(&set, &info, &(struct timespec){0, 0}));
}

static long now_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000000000 + now.tv_nsec;
}

static long milliseconds_since(long start_ns) { return (now_ns(CLOCK_MONOTONIC) - start_ns) / 1000000; }

static void until_expired(int id) {
    struct itimerspec value;
    do {
        gettime(id, &value);
    } while (value.it_value.tv_sec || value.it_value.tv_nsec);
}

static void one_shot(clockid_t clock) {
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_ptr = WILD};
    struct itimerspec value;
    int id;
    printf("clock %d\n", clock);
    CALL(create(clock, &event, &id));
    printf("id %d\n", id);
    CALL(gettime(id, &value));
    printf("disarmed: %ld %ld\n", (long)value.it_value.tv_sec, value.it_value.tv_nsec);
    CALL(settime(id, 0, 100000000000, 0, &value));
    CALL(gettime(id, &value));
    printf("armed: %d\n", value.it_value.tv_sec > 0);
    CALL(settime(id, 0, 10000000, 0, NULL));
    await();
    CALL(gettime(id, &value));
    printf("expired: %ld %ld\n", (long)value.it_value.tv_sec, value.it_value.tv_nsec);
    CALL(settime(id, TIMER_ABSTIME, now_ns(clock) + 10000000, 0, NULL));
    await();
    CALL(settime(id, TIMER_ABSTIME, 1, 0, NULL)); /* long ago */
    await();
    CALL(settime(id, 0, 100000000000, 3000000000, NULL));
    CALL(settime(id, 0, 0, 5000000000, &value));
    printf("old: %d %ld\n", value.it_value.tv_sec > 50, (long)value.it_interval.tv_sec);
    CALL(gettime(id, &value));
    printf("cleared: %ld %ld\n", (long)value.it_value.tv_sec, (long)value.it_interval.tv_sec);
    nothing();
    CALL(syscall(SYS_timer_delete, id));
    CALL(gettime(id, &value));
}

static void cpu_time(clockid_t clock) {
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
    sigset_t pending;
    int id;
    printf("clock %d\n", clock);
    CALL(create(clock, &event, &id));
    long start = now_ns(clock);
    CALL(settime(id, 0, 30000000, 0, NULL));
    do {
        sigpending(&pending);
    } while (!sigismember(&pending, SIGRTMIN));
    printf("in time: %d\n", now_ns(clock) - start >= 30000000);
    await();
    CALL(syscall(SYS_timer_delete, id));
}

/* One signal is pending at most, and says how many it stands for. */
static void overruns(void) {
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerspec value;
    siginfo_t info;
    int id;
    CALL(create(CLOCK_MONOTONIC, &event, &id));
    long start = now_ns(CLOCK_MONOTONIC);
    CALL(settime(id, 0, 1000000, 1000000, NULL));
    nanosleep(&(struct timespec){0, 50000000}, NULL);
    CALL(gettime(id, &value));
    printf("runs: %d\n", value.it_value.tv_nsec > 0);
    long middle = now_ns(CLOCK_MONOTONIC);
    CALL(sigwaitinfo(&set, &info));
    long count = syscall(SYS_timer_getoverrun, id);
    printf("overruns: %d %d\n", count >= 45 && count <= milliseconds_since(start), count == info.si_overrun);
    CALL(sigwaitinfo(&set, &info));
    printf("only the new ones: %d\n", info.si_overrun <= milliseconds_since(middle));
    CALL(settime(id, 0, 0, 0, NULL));
    CALL(syscall(SYS_timer_getoverrun, id));
    sigtimedwait(&set, &info, &(struct timespec){0, 0});
    CALL(kill(getpid(), SIGUSR1));
    CALL(settime(id, 0, 1000000, 0, NULL));
    until_expired(id);
    for (int i = 0; i < 2; i++) { /* it queues, though the number is pending already */
        CALL(sigtimedwait(&set, &info, &(struct timespec){0, 0}));
        printf("code %d\n", info.si_code);
    }
    nothing();
    CALL(syscall(SYS_timer_delete, id));
    CALL(syscall(SYS_timer_getoverrun, id));
}

static void silent(void) {
    struct sigevent event = {.sigev_notify = SIGEV_NONE};
    struct itimerspec value;
    int id;
    CALL(create(CLOCK_MONOTONIC, &event, &id));
    CALL(settime(id, 0, 10000000, 0, NULL));
    nanosleep(&(struct timespec){0, 20000000}, NULL);
    CALL(gettime(id, &value));
    printf("expired: %ld %ld\n", (long)value.it_value.tv_sec, value.it_value.tv_nsec);
    CALL(settime(id, 0, 10000000, 1000000000, NULL));
    nanosleep(&(struct timespec){0, 20000000}, NULL);
    CALL(gettime(id, &value));
    printf("goes on: %d %ld\n", value.it_value.tv_nsec > 0, (long)value.it_interval.tv_sec);
    nothing();
    CALL(syscall(SYS_timer_delete, id));
}

static void threads(void) {
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR2, .sigev_value.sival_int = 5};
    int id;
    event._sigev_un._tid = gettid();
    CALL(create(CLOCK_MONOTONIC, &event, &id));
    CALL(settime(id, 0, 1000000, 0, NULL));
    await();
    CALL(syscall(SYS_timer_delete, id));
    event._sigev_un._tid = 1;
    CALL(create(CLOCK_MONOTONIC, &event, &id));
    CALL(create(CLOCK_MONOTONIC, NULL, &id)); /* SIGALRM with the number as its value */
    CALL(settime(id, 0, 1000000, 0, NULL));
    siginfo_t info;
    CALL(sigwaitinfo(&set, &info));
    printf("value is id: %d\n", info.si_value.sival_int == id);
    CALL(syscall(SYS_timer_delete, id));
}

static void errors(void) {
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    int id;
    CALL(create(4, &event, &id)), CALL(create(5, &event, &id)), CALL(create(6, &event, &id));
    CALL(create(10, &event, &id)), CALL(create(12, &event, &id)), CALL(create(99, &event, &id));
    CALL(create(-1, &event, &id)), CALL(create(-6, &event, &id));
    CALL(syscall(SYS_timer_delete, id));
    CALL(create(CLOCK_MONOTONIC, WILD, &id)), CALL(create(99, WILD, &id));
    CALL(create(CLOCK_MONOTONIC, &event, WILD));
    event.sigev_signo = 0;
    CALL(create(CLOCK_MONOTONIC, &event, &id));
    event.sigev_signo = 65;
    CALL(create(CLOCK_MONOTONIC, &event, &id));
    event.sigev_notify = 77;
    CALL(create(CLOCK_MONOTONIC, &event, &id));
    event.sigev_notify = SIGEV_NONE;
    CALL(create(CLOCK_MONOTONIC, &event, &id));
    CALL(settime(id, 0, 1, 1, WILD));
    CALL(settime(id, 77, 0, 0, NULL));
    CALL(settime(12345, 0, 1, 1, NULL));
    CALL(syscall(SYS_timer_settime, id, 0, NULL, NULL));
    CALL(syscall(SYS_timer_settime, id, 0, WILD, NULL));
    struct itimerspec bad = {{0, 0}, {0, 1000000000}}, negative = {{-1, 0}, {1, 0}};
    CALL(syscall(SYS_timer_settime, id, 0, &bad, NULL));
    CALL(syscall(SYS_timer_settime, id, 0, &negative, NULL));
    CALL(syscall(SYS_timer_gettime, id, WILD));
    CALL(syscall(SYS_timer_gettime, -1, WILD));
    CALL(syscall(SYS_timer_delete, id));
    CALL(syscall(SYS_timer_delete, id));
}

/* An ignored timer goes on, and is heard again; a deleted one takes its signal along. */
static void ignored(void) {
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    sigset_t old;
    int id;
    signal(SIGUSR1, SIG_IGN);
    CALL(sigprocmask(SIG_UNBLOCK, &set, &old));
    CALL(create(CLOCK_MONOTONIC, &event, &id));
    CALL(settime(id, 0, 1000000, 1000000, NULL));
    nanosleep(&(struct timespec){0, 20000000}, NULL);
    CALL(sigprocmask(SIG_SETMASK, &old, NULL));
    signal(SIGUSR1, SIG_DFL);
    siginfo_t info;
    CALL(sigwaitinfo(&set, &info));
    nanosleep(&(struct timespec){0, 20000000}, NULL);
    CALL(syscall(SYS_timer_delete, id));
    nothing();
}

static void children(void) {
    struct sigevent event = {.sigev_notify = SIGEV_NONE};
    struct itimerspec value;
    int id, status;
    CALL(create(CLOCK_MONOTONIC, &event, &id));
    fflush(stdout);
    if (fork() == 0) {
        int inherited = gettime(id, &value) == 0, first = -1;
        create(CLOCK_MONOTONIC, &event, &first);
        _exit(inherited * 100 + first);
    }
    wait(&status);
    printf("child: %x\n", status);
    CALL(syscall(SYS_timer_delete, id));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1), sigaddset(&set, SIGUSR2), sigaddset(&set, SIGALRM), sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    one_shot(CLOCK_MONOTONIC), one_shot(CLOCK_REALTIME), one_shot(CLOCK_BOOTTIME), one_shot(CLOCK_TAI);
    cpu_time(CLOCK_PROCESS_CPUTIME_ID), cpu_time(CLOCK_THREAD_CPUTIME_ID);
    overruns();
    silent();
    threads();
    errors();
    ignored();
    children();
    return leave_scratch();
}
