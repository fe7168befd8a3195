/* threads CASE COUNT: the time of one of COUNT events, by turns of two threads, or in one. */
#define _GNU_SOURCE
#include "timing.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static unsigned count;
static _Atomic uint32_t turn;
static volatile unsigned handled;

static void *nothing(void *argument) { return argument; }

static void create(void) {
    for (unsigned i = 0; i < count; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL))
            exit(1);
    }
}

static void take_turns(uint32_t mine) {
    for (unsigned i = 0; i < count; i++) {
        while (turn != mine)
            syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, !mine, NULL, NULL, 0);
        turn = !mine;
        syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}

static void *answer(void *argument) {
    take_turns(1);
    return argument;
}

static void pingpong(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, answer, NULL);
    take_turns(0);
    pthread_join(thread, NULL);
}

static void mutex(void) {
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    for (unsigned i = 0; i < count; i++) {
        pthread_mutex_lock(&lock);
        pthread_mutex_unlock(&lock);
    }
}

static void handler(int number) {
    (void)number;
    handled++;
}

static void signals(void) {
    pid_t process = getpid(), thread = gettid();
    signal(SIGUSR1, handler);
    for (unsigned i = 0; i < count; i++)
        syscall(SYS_tgkill, process, thread, SIGUSR1);
    if (handled < count)
        exit(1);
}

static void *compute(void *argument) {
    for (unsigned i = 0; i < count; i++)
        __asm__ volatile("" ::: "memory"); /* or the compiler would do it in no time */
    return argument;
}

/* So that both have `count` steps to do, `one` does them all itself. */
static void one(void) {
    compute(NULL);
    compute(NULL);
}

static void two(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, compute, NULL);
    compute(NULL);
    pthread_join(thread, NULL);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {{"create", create}, {"pingpong", pingpong}, {"mutex", mutex},
                 {"signal", signals}, {"one", one}, {"two", two}};
    unsigned wanted = argc < 3 ? 0 : (unsigned)atoi(argv[2]);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!wanted || strcmp(argv[1], cases[i].name))
            continue;
        count = wanted < 20 ? wanted : 20;
        cases[i].run(); /* what can be warmed is */
        count = wanted, turn = 0;
        uint64_t start = now_ns();
        cases[i].run();
        return report((now_ns() - start) * 1000 / count, count); /* picoseconds: a mutex takes a few ns */
    }
    return 2;
}
