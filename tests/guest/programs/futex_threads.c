/* Sleeping and waking between threads: order, counts, bitsets, requeueing, waiting for several words. */
#include "futex.h"

enum { SLEEPERS = 5 };

static word_t word, second, done, finished;
static int order[SLEEPERS];

struct sleeper {
    int number;
    word_t *word;
    uint32_t bitset;
    int flag;
    pthread_t thread;
    long result;
};

static void *sleeping(void *argument) {
    struct sleeper *self = argument;
    long result = futex(self->word, FUTEX_WAIT_BITSET | self->flag, 0, NULL, NULL, self->bitset);
    self->result = result < 0 ? -errno : result;
    order[atomic_fetch_add(&done, 1)] = self->number;
    finished++;
    return NULL;
}

/* Start sleepers one after the other, so that their order in the queue is known. */
static void start_sleepers(struct sleeper *sleepers, word_t *where, int flag) {
    done = finished = 0;
    for (int i = 0; i < SLEEPERS; i++) {
        sleepers[i] = (struct sleeper){i, where, 1u << i, flag, 0, 0};
        sleepers[i].thread = start(sleeping, &sleepers[i]);
        until_waiting(where, flag, i + 1);
    }
}

static void until_finished(unsigned count) {
    while (finished < count) {
        sched_yield();
    }
}

static void join_all(struct sleeper *sleepers) {
    for (int i = 0; i < SLEEPERS; i++) {
        join(sleepers[i].thread);
        printf("sleeper %d: %ld\n", i, sleepers[i].result);
    }
}

static void in_order(int flag) {
    struct sleeper sleepers[SLEEPERS];
    start_sleepers(sleepers, &word, flag);
    for (unsigned i = 0; i < SLEEPERS; i++) {
        CALL(futex(&word, FUTEX_WAKE | flag, 1, NULL, NULL, 0));
        until_finished(i + 1);
        printf("woken: %d\n", order[i]);
    }
    CALL(futex(&word, FUTEX_WAKE | flag, 1, NULL, NULL, 0));
    join_all(sleepers);
}

static void kinds(void) {
    struct sleeper sleepers[SLEEPERS];
    start_sleepers(sleepers, &word, 0);
    CALL(futex(&word, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0));  /* not the same kind of futex */
    CALL(futex(&word, FUTEX_WAKE_BITSET, 9, NULL, NULL, 1 << 3 | 1 << 1));
    until_finished(2);
    CALL(futex(&word, FUTEX_WAKE_BITSET, 9, NULL, NULL, 1 << 20));
    CALL(futex(&word, FUTEX_WAKE, 0, NULL, NULL, 0));
    until_finished(3);
    CALL(syscall(NR_FUTEX_WAKE, &word, -1L & 0xffffffff, 0, SIZE_U32));
    CALL(syscall(NR_FUTEX_WAKE, &word, 1L << 4, 5, SIZE_U32));
    until_finished(4);
    CALL(futex(&word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0));
    join_all(sleepers);
}

static void requeueing(void) {
    struct sleeper sleepers[SLEEPERS];
    start_sleepers(sleepers, &word, FUTEX_PRIVATE_FLAG);
    CALL(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)2, &second, 1));
    CALL(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)2, &second, 0));
    until_finished(1);
    printf("waiting: %ld and %ld\n", waiters(&word, FUTEX_PRIVATE_FLAG), waiters(&second, FUTEX_PRIVATE_FLAG));
    CALL(wake(&second, 9));
    until_finished(3);
    CALL(futex(&word, FUTEX_REQUEUE_PRIVATE, 0, (void *)1, &second, 0));
    CALL(futex(&second, FUTEX_REQUEUE_PRIVATE, 0, (void *)1, &word, 0));
    CALL(futex(&word, FUTEX_REQUEUE_PRIVATE, 1, NULL, &second, 0));
    until_finished(4);
    /* Which of the two it is depends on whether both words share a bucket of the kernel's hash. */
    CALL(wake(&word, 9));
    join_all(sleepers);
}

static void two_words(void) {
    struct sleeper sleepers[SLEEPERS];
    for (int holds = 0; holds < 2; holds++) {
        start_sleepers(sleepers, &word, FUTEX_PRIVATE_FLAG);
        CALL(futex(&word, FUTEX_REQUEUE_PRIVATE, 0, (void *)3, &second, 0));
        second = 6;
        CALL(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)2, &second, FUTEX_OP(FUTEX_OP_ADD, 4, FUTEX_OP_CMP_EQ, (5 + holds))));
        printf("second: %u; waiting: %ld and %ld\n", second, waiters(&word, FUTEX_PRIVATE_FLAG), waiters(&second, FUTEX_PRIVATE_FLAG));
        CALL(wake(&word, 9));
        CALL(wake(&second, 9));
        join_all(sleepers);
    }
}

static void *waking_two(void *argument) {
    word_t *words = argument;
    until_waiting(&words[2], FUTEX_PRIVATE_FLAG, 1);
    printf("requeue both: %ld\n", futex(&words[1], FUTEX_REQUEUE_PRIVATE, 0, (void *)1, &words[2], 0));
    printf("wake both: %ld\n", wake(&words[2], 2));
    return NULL;
}

static void *waking_one(void *argument) {
    until_waiting(argument, FUTEX_PRIVATE_FLAG, 1);
    printf("wake one: %ld\n", wake(argument, 2));
    return NULL;
}

/* The words of one call are queued one after the other. */
static void *waking_two_of_three(void *argument) {
    until_waiting(argument, FUTEX_PRIVATE_FLAG, 3);
    printf("wake two: %ld\n", wake(argument, 2));
    return NULL;
}

static void several(void) {
    static word_t words[4];
    struct waitv v[4];
    for (int i = 0; i < 4; i++) {
        v[i] = (struct waitv){0, (uintptr_t)&words[i], SIZE_U32 | PRIVATE2, 0};
    }
    for (int i = 0; i < 4; i++) {
        pthread_t waker = start(waking_one, &words[i]);
        CALL(syscall(NR_FUTEX_WAITV, v, 4, 0, NULL, 0));
        join(waker);
        printf("left: %ld\n", waiters(&words[0], FUTEX_PRIVATE_FLAG));
    }
    pthread_t waker = start(waking_two, words);
    CALL(syscall(NR_FUTEX_WAITV, v, 4, 0, NULL, 0));
    join(waker);
    v[3].uaddr = v[2].uaddr = v[0].uaddr;
    waker = start(waking_two_of_three, words);
    CALL(syscall(NR_FUTEX_WAITV, v, 4, 0, NULL, 0));
    join(waker);
    struct timespec soon = after(CLOCK_MONOTONIC, 10 * MSEC);
    CALL(syscall(NR_FUTEX_WAITV, v, 4, 0, &soon, CLOCK_MONOTONIC));
    soon = after(CLOCK_REALTIME, 10 * MSEC);
    CALL(syscall(NR_FUTEX_WAIT, &words[0], 0L, 1L, SIZE_U32, &soon, CLOCK_REALTIME));
}

/* pthread_join waits for the word that the kernel clears, with a shared futex. */
static void *nothing(void *argument) { return argument; }

static void joining(void) {
    long sum = 0;
    for (long i = 0; i < 100; i++) {
        sum += (long)join(start(nothing, (void *)i));
    }
    printf("joined: %ld\n", sum);
}

int main(void) {
    in_order(FUTEX_PRIVATE_FLAG);
    in_order(0);
    kinds();
    requeueing();
    two_words();
    several();
    joining();
    return fflush(stdout) != 0;
}
