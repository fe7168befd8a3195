/* No lost wake-up: threads that hand each other work by every means of the C library and by bare futexes.
 *
 * The amount of work is fixed, and so is the output; whoever loses a wake-up hangs. */
#include "futex.h"

#include <semaphore.h>

enum { THREADS = 4, ROUNDS = 120, SLOTS = 3 };

/* -- a mutex of two instructions and a futex (Drepper, "Futexes Are Tricky") -- */

static void lock(word_t *mutex) {
    uint32_t seen = 0;
    if (atomic_compare_exchange_strong(mutex, &seen, 1)) {
        return;
    }
    while (seen == 2 || atomic_exchange(mutex, 2) != 0) {
        wait_for(mutex, 2);
        seen = 0;
        if (atomic_compare_exchange_strong(mutex, &seen, 2)) {
            return;
        }
    }
}

static void unlock(word_t *mutex) {
    if (atomic_exchange(mutex, 0) == 2) {
        wake(mutex, 1);
    }
}

static word_t bare;
static long counter;

static void *count(void *argument) {
    for (int i = 0; i < ROUNDS * 5; i++) {
        lock(&bare);
        long seen = counter;
        if (i % 16 == 0) {
            sched_yield();
        }
        counter = seen + 1;
        unlock(&bare);
    }
    return argument;
}

/* -- a bounded queue with two conditions -- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t not_full = PTHREAD_COND_INITIALIZER, not_empty = PTHREAD_COND_INITIALIZER;
static int slots[SLOTS], used, first;
static long consumed;

static void put(int value) {
    pthread_mutex_lock(&mutex);
    while (used == SLOTS) {
        pthread_cond_wait(&not_full, &mutex);
    }
    slots[(first + used++) % SLOTS] = value;
    pthread_cond_signal(&not_empty);
    pthread_mutex_unlock(&mutex);
}

static int take(void) {
    pthread_mutex_lock(&mutex);
    while (used == 0) {
        pthread_cond_wait(&not_empty, &mutex);
    }
    int value = slots[first];
    first = (first + 1) % SLOTS;
    used--;
    pthread_cond_signal(&not_full);
    pthread_mutex_unlock(&mutex);
    return value;
}

static void *produce(void *argument) {
    for (int i = 1; i <= ROUNDS; i++) {
        put(i);
    }
    return argument;
}

static void *consume(void *argument) {
    for (int value; (value = take()) != 0;) {
        atomic_fetch_add((_Atomic long *)&consumed, value);
    }
    return argument;
}

/* -- everybody in step -- */

static pthread_barrier_t barrier;
static int steps[THREADS], out_of_step;

static void *march(void *argument) {
    int self = (int)(intptr_t)argument;
    for (int i = 0; i < ROUNDS; i++) {
        steps[self] = i;
        pthread_barrier_wait(&barrier);
        for (int j = 0; j < THREADS; j++) {
            out_of_step += steps[j] != i;
        }
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

/* -- a token that goes round -- */

static sem_t turns[THREADS];
static long passed;

static void *pass(void *argument) {
    int self = (int)(intptr_t)argument;
    for (int i = 0; i < ROUNDS; i++) {
        sem_wait(&turns[self]);
        passed++;
        sem_post(&turns[(self + 1) % THREADS]);
    }
    return NULL;
}

/* -- readers and writers -- */

static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static long left, right;
static _Atomic long differences;

static void *read_or_write(void *argument) {
    for (int i = 0; i < ROUNDS * 2; i++) {
        if ((i + (intptr_t)argument) % 4 == 0) {
            pthread_rwlock_wrlock(&rwlock);
            left++;
            right++;
        } else {
            pthread_rwlock_rdlock(&rwlock);
            differences += left != right;
        }
        pthread_rwlock_unlock(&rwlock);
    }
    return NULL;
}

/* -- locks with owners, and timeouts that hit and miss -- */

static pthread_mutex_t inheriting;
static long owned;

static void *own(void *argument) {
    for (int i = 0; i < ROUNDS; i++) {
        struct timespec soon = after(CLOCK_REALTIME, 1 + i * 1000L);
        if (i % 3 != 0 || pthread_mutex_timedlock(&inheriting, &soon) != 0) {
            pthread_mutex_lock(&inheriting);
        }
        owned++;
        pthread_mutex_unlock(&inheriting);
    }
    return argument;
}

/* -- one wakes all, again and again, by requeueing them -- */

static word_t generation, gate, arrived;

static void *pulse(void *argument) {
    for (uint32_t i = 0; i < ROUNDS / 2; i++) {
        if (atomic_fetch_add(&arrived, 1) + 1 == THREADS) {
            arrived = 0;
            gate = 0;
            generation++;
            futex(&generation, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)INT_MAX, &gate, generation);
        }
        while (generation == i) {
            wait_for(&generation, i);
        }
        wake(&gate, 1);  /* the next of those that were moved */
    }
    return argument;
}

static void run(const char *name, void *(*function)(void *), const long *result) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        threads[i] = start(function, (void *)(intptr_t)i);
    }
    for (int i = 0; i < THREADS; i++) {
        join(threads[i]);
    }
    printf("%s: %ld\n", name, result ? *result : 0);
}

static void queue(void) {
    pthread_t producers[THREADS / 2], consumers[THREADS / 2];
    for (int i = 0; i < THREADS / 2; i++) {
        producers[i] = start(produce, NULL);
        consumers[i] = start(consume, NULL);
    }
    for (int i = 0; i < THREADS / 2; i++) {
        join(producers[i]);
    }
    for (int i = 0; i < THREADS / 2; i++) {
        put(0);
    }
    for (int i = 0; i < THREADS / 2; i++) {
        join(consumers[i]);
    }
    printf("queue: %ld\n", consumed);
}

int main(void) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(&inheriting, &attributes);
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
        sem_init(&turns[i], 0, i == 0);
    }
    run("mutex", count, &counter);
    queue();
    run("barrier", march, NULL);
    printf("out of step: %d\n", out_of_step);
    run("token", pass, &passed);
    run("readers and writers", read_or_write, &left);
    printf("differences: %ld\n", differences);
    run("owners", own, &owned);
    run("pulse", pulse, NULL);
    printf("generations: %u\n", generation);
    return fflush(stdout) != 0;
}
