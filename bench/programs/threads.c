/* threads CASE COUNT: the time of one of COUNT events, by turns of two threads, or in one. */
#define _GNU_SOURCE
#include "timing.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

static void *call(void *argument) {
    struct stat unused;
    for (unsigned i = 0; i < count; i++)
        if (stat("/usr/bin/env", &unused))
            abort();
    return argument;
}

/* Both have twice `count` steps to do. */
static void alone(void *(*work)(void *)) {
    work(NULL);
    work(NULL);
}

static void together(void *(*work)(void *)) {
    pthread_t thread;
    pthread_create(&thread, NULL, work, NULL);
    work(NULL);
    pthread_join(thread, NULL);
}

static void one(void) { alone(compute); }
static void two(void) { together(compute); }
static void one_calls(void) { alone(call); }
static void two_call(void) { together(call); }

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {{"create", create}, {"pingpong", pingpong}, {"mutex", mutex},
                 {"signal", signals}, {"one", one}, {"two", two},
                 {"one-calls", one_calls}, {"two-call", two_call}};
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
