/* Interval timers, alarm and the limit of CPU time. */
#include "report.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

static volatile sig_atomic_t count, last;

static void handler(int signal) {
    count++;
    last = signal;
}

static void handle(int signal) {
    struct sigaction action = {.sa_handler = handler};
    sigaction(signal, &action, NULL);
}

static long milliseconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void spin_until(int wanted) {
    while (count < wanted) {
    }
}

/* The kernel sends the signal a moment before it is done with a timer. */
static void until_over(int which, struct itimerval *now) {
    do {
        getitimer(which, now);
    } while (now->it_value.tv_sec == 0 && now->it_value.tv_usec != 0);
}

/* Linux counts CPU time by the tick, whatever is done between two: no time is sure but that on the wall. */
static void waiting(int which, int signal) {
    struct itimerval value = {{0, 0}, {0, 30000}}, late = {{0, 0}, {100, 0}}, now;
    count = 0;
    handle(signal);
    CALL(setitimer(which, &late, NULL));
    CALL(getitimer(which, &now));
    printf("left: %d, interval %ld\n", now.it_value.tv_sec > 0 && now.it_value.tv_sec <= 100, (long)now.it_interval.tv_usec);
    long start = milliseconds(CLOCK_MONOTONIC);
    CALL(setitimer(which, &value, NULL));
    spin_until(1);
    printf("signal %d, in time: %d\n", (int)last, milliseconds(CLOCK_MONOTONIC) - start >= 15);
    until_over(which, &now);
    printf("now %ld.%06ld\n", (long)now.it_value.tv_sec, (long)now.it_value.tv_usec);
    value.it_interval.tv_usec = 20000;
    start = milliseconds(CLOCK_MONOTONIC);
    CALL(setitimer(which, &value, &now));
    printf("old %ld.%06ld\n", (long)now.it_value.tv_sec, (long)now.it_value.tv_usec);
    spin_until(4);
    printf("periodic: %d\n", milliseconds(CLOCK_MONOTONIC) - start >= 45);
    value = (struct itimerval){{0, 0}, {0, 0}};
    CALL(setitimer(which, &value, &now));
    printf("interval %ld\n", (long)now.it_interval.tv_usec);
}

static void errors(void) {
    struct itimerval value = {{0, 0}, {0, 1000000}}, negative = {{0, 0}, {-1, 0}}, interval = {{0, -1}, {1, 0}};
    CALL(setitimer(ITIMER_REAL, &value, NULL));
    CALL(setitimer(ITIMER_REAL, &negative, NULL));
    CALL(setitimer(ITIMER_REAL, &interval, NULL));
    CALL(setitimer(7, &(struct itimerval){{0, 0}, {1, 0}}, NULL));
    CALL(setitimer(ITIMER_REAL, WILD, NULL));
    CALL(setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, WILD));
    CALL(getitimer(ITIMER_REAL, WILD));
    CALL(getitimer(7, &value));
    CALL(syscall(SYS_setitimer, ITIMER_REAL, NULL, &value));
    printf("null clears: %ld %ld\n", (long)value.it_value.tv_sec, (long)value.it_value.tv_usec);
}

/* Without a value, only ITIMER_REAL forgets the interval as well. */
static void intervals_alone(void) {
    struct itimerval value = {{10, 0}, {0, 0}}, old;
    for (int which = ITIMER_REAL; which <= ITIMER_PROF; which++) {
        CALL(setitimer(which, &value, NULL));
        CALL(setitimer(which, &(struct itimerval){{0, 0}, {0, 0}}, &old));
        printf("interval %ld, value %ld\n", (long)old.it_interval.tv_sec, (long)old.it_value.tv_sec);
    }
}

/* What alarm says is left at once, of so many milliseconds: not of much less, however slow we are. */
static void left_of(long ms) {
    struct itimerval value = {{0, 0}, {ms / 1000, ms % 1000 * 1000}};
    unsigned left;
    long start;
    do {
        start = milliseconds(CLOCK_MONOTONIC);
        setitimer(ITIMER_REAL, &value, NULL);
        left = alarm(0);
    } while (milliseconds(CLOCK_MONOTONIC) - start >= 150);
    printf("left of %ld ms: %u\n", ms, left);
}

static void alarms(void) {
    struct itimerval value = {{0, 20000}, {0, 20000}}, never = {{0, 0}, {0, 0}};
    CALL(alarm(100));
    CALL((alarm(50) + 5) / 10);
    CALL((alarm(0) + 5) / 10);
    CALL(alarm(0));
    handle(SIGALRM);
    left_of(200); /* less than half a second is not nothing */
    left_of(10700);
    left_of(10400);
    count = 0;
    CALL(setitimer(ITIMER_REAL, &value, NULL)); /* again and again, as the first may come before the pause */
    CALL(pause());
    CALL(setitimer(ITIMER_REAL, &never, NULL));
    printf("signals: %s\n", count ? "some" : "none");
}

/* A sleep is interrupted; blocked, only one signal is pending, and the timer waits for it. */
static void blocked(void) {
    sigset_t set, old;
    siginfo_t info;
    struct itimerval value = {{100, 0}, {0, 5000}}, now;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    CALL(sigprocmask(SIG_BLOCK, &set, &old));
    CALL(setitimer(ITIMER_REAL, &value, NULL));
    nanosleep(&(struct timespec){0, 40000000}, NULL);
    until_over(ITIMER_REAL, &now);
    printf("stands still: %ld %ld\n", (long)now.it_value.tv_sec, (long)now.it_value.tv_usec);
    CALL(sigwaitinfo(&set, &info));
    printf("code %d\n", info.si_code == SI_KERNEL);
    CALL(getitimer(ITIMER_REAL, &now));
    printf("goes on: %d\n", now.it_value.tv_sec > 0);
    value = (struct itimerval){{0, 5000}, {0, 5000}};
    CALL(setitimer(ITIMER_REAL, &value, NULL));
    CALL(sigwaitinfo(&set, &info));
    CALL(sigwaitinfo(&set, &info));
    value = (struct itimerval){{0, 0}, {0, 0}};
    CALL(setitimer(ITIMER_REAL, &value, NULL));
    sigtimedwait(&set, &info, &(struct timespec){0, 0});
    CALL(sigprocmask(SIG_SETMASK, &old, NULL));
}

static void children(void) {
    struct itimerval value = {{0, 0}, {100, 0}}, now;
    int status;
    CALL(setitimer(ITIMER_REAL, &value, NULL));
    fflush(stdout);
    if (fork() == 0) {
        getitimer(ITIMER_REAL, &now);
        _exit(now.it_value.tv_sec != 0);
    }
    wait(&status);
    printf("inherited: %d\n", WEXITSTATUS(status));
    CALL(getitimer(ITIMER_REAL, &now));
    printf("kept: %d\n", now.it_value.tv_sec > 50);
    CALL(alarm(0));
    if (fork() == 0) {
        signal(SIGALRM, SIG_DFL);
        ualarm(10000, 0);
        for (;;) {
        }
    }
    wait(&status);
    printf("killed by %d\n", WTERMSIG(status));
}

static void limits(void) {
    struct rlimit limit = {1, 2};
    int status;
    fflush(stdout);
    long start = milliseconds(CLOCK_MONOTONIC);
    pid_t hard = fork(), soft;
    if (hard == 0) {
        handle(SIGXCPU);
        count = 0;
        setrlimit(RLIMIT_CPU, &limit);
        spin_until(1);
        long used = milliseconds(CLOCK_MONOTONIC) - start;
        getrlimit(RLIMIT_CPU, &limit);
        if (last != SIGXCPU || limit.rlim_cur != 2 || used < 500) {
            _exit(1);
        }
        spin_until(1000);
        _exit(2);
    }
    if ((soft = fork()) == 0) {
        signal(SIGXCPU, SIG_DFL);
        limit = (struct rlimit){1, RLIM_INFINITY};
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        setrlimit(RLIMIT_CPU, &limit);
        for (;;) {
        }
    }
    waitpid(hard, &status, 0);
    printf("at the hard limit: %x\n", status);
    waitpid(soft, &status, 0);
    printf("at the soft limit: signal %d\n", WTERMSIG(status));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    waiting(ITIMER_REAL, SIGALRM);
    waiting(ITIMER_PROF, SIGPROF);
    waiting(ITIMER_VIRTUAL, SIGVTALRM);
    errors();
    intervals_alone();
    alarms();
    blocked();
    children();
    limits();
    return leave_scratch();
}
