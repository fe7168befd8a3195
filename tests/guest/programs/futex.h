/* futex(2) and its younger relatives as functions, and threads that are known to be asleep.
 *
 * What a thread prints appears when it is joined, so that the output does not depend on who is faster. */
#ifndef FUTEX_H
#define FUTEX_H

#define _GNU_SOURCE
#include <stdio.h>

static _Thread_local FILE *own_output;

#define printf(...) fprintf(own_output ? own_output : stdout, __VA_ARGS__)

#include "report.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif
#define NR_FUTEX_WAITV 449
#define NR_FUTEX_WAKE 454
#define NR_FUTEX_WAIT 455
#define NR_FUTEX_REQUEUE 456
#define SIZE_U32 2
#define PRIVATE2 128
#define MSEC 1000000L
#define SEC 1000000000L

typedef _Atomic uint32_t word_t;

struct waitv {
    uint64_t val, uaddr;
    uint32_t flags, reserved;
};

static inline long futex(void *word, int op, uint32_t val, const void *timeout, void *word2, uint32_t val3) {
    return syscall(SYS_futex, word, op, val, timeout, word2, val3);
}

static inline long wake(void *word, int count) { return futex(word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0); }

static inline long wait_for(void *word, uint32_t val) {
    return futex(word, FUTEX_WAIT_PRIVATE, val, NULL, NULL, 0);
}

static inline struct timespec after(clockid_t clock, long ns) {
    struct timespec t;
    clock_gettime(clock, &t);
    t.tv_nsec += ns % SEC;
    t.tv_sec += ns / SEC + t.tv_nsec / SEC;
    t.tv_nsec %= SEC;
    return t;
}

static inline void pause_ms(long ms) {
    struct timespec t = {ms / 1000, ms % 1000 * MSEC};
    nanosleep(&t, NULL);
}

/* How many wait for a word: requeueing to the same word moves nobody and counts. */
static inline long waiters(void *word, int flag) {
    return syscall(SYS_futex, word, FUTEX_REQUEUE | flag, 0, (void *)INT_MAX, word, 0);
}

static inline void until_waiting(void *word, int flag, long count) {
    while (waiters(word, flag) < count) {
        sched_yield();
    }
}

struct run {
    void *(*function)(void *);
    void *argument;
    pthread_t thread;
    char *text;
    size_t length;
};

static struct run runs[128];

static inline void *run_with_output(void *argument) {
    struct run *run = argument;
    own_output = open_memstream(&run->text, &run->length);
    void *result = run->function(run->argument);
    fclose(own_output);
    return result;
}

static inline pthread_t start(void *(*function)(void *), void *argument) {
    struct run *run = runs;
    while (run->function) {
        run++;
    }
    *run = (struct run){function, argument, 0, NULL, 0};
    int error = pthread_create(&run->thread, NULL, run_with_output, run);
    if (error) {
        printf("pthread_create: %s\n", error_name(error));
        exit(2);
    }
    return run->thread;
}

static inline void *join(pthread_t thread) {
    void *result = NULL;
    struct run *run = runs;
    while (!run->function || !pthread_equal(run->thread, thread)) {
        run++;
    }
    int error = pthread_join(thread, &result);
    if (error) {
        printf("pthread_join: %s\n", error_name(error));
    }
    printf("%s", run->text ? run->text : "");
    free(run->text);
    run->function = NULL;
    return result;
}

#endif
