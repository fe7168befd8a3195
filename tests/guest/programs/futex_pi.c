/* Locks with priority inheritance: whose number is in the word, who gets the lock next, and what is refused. */
#include "futex.h"

#include "asleep.h"

enum { HEIRS = 3 };

static word_t lock, other, condition, stage;
static _Atomic pid_t tids[HEIRS + 1];

static pid_t gettid_(void) { return syscall(SYS_gettid); }

/* The word, with names for the threads. */
static void show(const char *what, word_t *word) {
    uint32_t value = *word, tid = value & FUTEX_TID_MASK;
    printf("%s: %s%s", what, value & FUTEX_WAITERS ? "WAITERS " : "", value & FUTEX_OWNER_DIED ? "DIED " : "");
    if (tid == (uint32_t)getpid()) {
        printf("main\n");
        return;
    }
    for (int i = 0; i <= HEIRS; i++) {
        if (tid && tid == (uint32_t)tids[i]) {
            printf("thread %d\n", i);
            return;
        }
    }
    printf("%s\n", tid ? "somebody" : "free");
}

static void until(word_t *word, uint32_t value) {
    while (*word != value) {
        sched_yield();
    }
}

/* The threads that have told their numbers have nothing to do. */
static void settle(void) {
    for (int i = 0; i <= HEIRS; i++) {
        if (tids[i] && tids[i] != gettid_())
            until_asleep(tids[i]);
    }
}

static long pi(word_t *word, int op, const void *timeout) {
    return futex(word, op | FUTEX_PRIVATE_FLAG, 0, timeout, NULL, 0);
}

struct heir {
    int number;
    pthread_t thread;
};

static void *inheriting(void *argument) {
    struct heir *self = argument;
    tids[self->number] = gettid_();
    long result = pi(&lock, self->number % 2 ? FUTEX_LOCK_PI2 : FUTEX_LOCK_PI, NULL);
    printf("thread %d: %ld\n", self->number, result);
    show("it is the owner", &lock);
    CALL(pi(&lock, FUTEX_LOCK_PI, NULL));
    CALL(pi(&lock, FUTEX_TRYLOCK_PI, NULL));
    CALL(pi(&lock, FUTEX_UNLOCK_PI, NULL));
    return NULL;
}

static void one_after_another(void) {
    struct heir heirs[HEIRS];
    CALL(pi(&lock, FUTEX_LOCK_PI, NULL));
    show("taken", &lock);
    for (int i = 0; i < HEIRS; i++) {
        heirs[i].number = i;
        heirs[i].thread = start(inheriting, &heirs[i]);
        while (!tids[i]) {
            sched_yield();
        }
        settle();
    }
    show("wanted", &lock);
    CALL(futex(&lock, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    CALL(futex(&lock, FUTEX_REQUEUE_PRIVATE, 1, NULL, &other, 0));
    CALL(pi(&lock, FUTEX_UNLOCK_PI, NULL));
    for (int i = 0; i < HEIRS; i++) {
        join(heirs[i].thread);
    }
    show("at the end", &lock);
}

static void *trying(void *argument) {
    struct timespec past = {1, 0}, soon = after(CLOCK_REALTIME, 20 * MSEC);
    CALL(pi(&lock, FUTEX_UNLOCK_PI, NULL));
    CALL(pi(&lock, FUTEX_TRYLOCK_PI, NULL));
    CALL(pi(&lock, FUTEX_LOCK_PI, &past));
    CALL(pi(&lock, FUTEX_LOCK_PI, &soon));
    soon = after(CLOCK_MONOTONIC, 20 * MSEC);
    CALL(pi(&lock, FUTEX_LOCK_PI2, &soon));
    soon = after(CLOCK_REALTIME, 20 * MSEC);
    CALL(pi(&lock, FUTEX_LOCK_PI2 | FUTEX_CLOCK_REALTIME, &soon));
    return argument;
}

static void refused(void) {
    CALL(pi(&lock, FUTEX_LOCK_PI, NULL));
    join(start(trying, NULL));
    show("still", &lock);
    CALL(pi(&lock, FUTEX_UNLOCK_PI, NULL));
    show("nobody waited", &lock);
}

/* A has one lock and wants the other, and B the other way round. */
static void *crossing(void *argument) {
    CALL(pi(&other, FUTEX_LOCK_PI, NULL));
    tids[0] = gettid_();
    stage = 1;
    long result = pi(&lock, FUTEX_LOCK_PI, NULL);
    printf("in the end: %ld\n", result);
    CALL(pi(&lock, FUTEX_UNLOCK_PI, NULL));
    CALL(pi(&other, FUTEX_UNLOCK_PI, NULL));
    return argument;
}

static void deadlock(void) {
    stage = 0;
    CALL(pi(&lock, FUTEX_LOCK_PI, NULL));
    pthread_t thread = start(crossing, NULL);
    until(&stage, 1);
    settle();
    CALL(pi(&other, FUTEX_LOCK_PI, NULL));
    CALL(pi(&lock, FUTEX_UNLOCK_PI, NULL));
    join(thread);
    printf("%x %x\n", lock, other);
}

/* A word that says something else than the kernel knows. */
static void *honest(void *argument) {
    tids[0] = gettid_();
    stage = 1;
    long result = pi(&lock, FUTEX_LOCK_PI, NULL);
    printf("after all: %ld\n", result);
    CALL(pi(&lock, FUTEX_UNLOCK_PI, NULL));
    return argument;
}

static void spoilt(void) {
    CALL(pi(&lock, FUTEX_LOCK_PI, NULL));
    stage = 0;
    pthread_t thread = start(honest, NULL);
    until(&stage, 1);
    settle();
    uint32_t right = lock;
    lock = FUTEX_WAITERS | 0x3ffffff0;
    CALL(pi(&lock, FUTEX_LOCK_PI, NULL));
    CALL(pi(&lock, FUTEX_TRYLOCK_PI, NULL));
    CALL(pi(&lock, FUTEX_UNLOCK_PI, NULL));
    lock = 0;
    CALL(pi(&lock, FUTEX_LOCK_PI, NULL));
    CALL(pi(&lock, FUTEX_UNLOCK_PI, NULL));
    lock = right;
    CALL(pi(&lock, FUTEX_UNLOCK_PI, NULL));
    join(thread);
}

/* Plain waiters and locks do not mix. */
static void *plain(void *argument) {
    CALL(wait_for(argument, 0));
    return NULL;
}

static void mixed(void) {
    lock = 0;
    pthread_t thread = start(plain, &lock);
    until_waiting(&lock, FUTEX_PRIVATE_FLAG, 1);
    CALL(pi(&lock, FUTEX_LOCK_PI, NULL));
    CALL(pi(&lock, FUTEX_TRYLOCK_PI, NULL));
    lock = getpid();
    CALL(pi(&lock, FUTEX_UNLOCK_PI, NULL));
    lock = 0;
    CALL(futex(&lock, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)1, &other, 0));
    CALL(wake(&lock, 1));
    join(thread);
}

/* An owner that ends without a word leaves its lock to the first who waits. */
static void *dying(void *argument) {
    tids[HEIRS] = gettid_();
    CALL(pi(&lock, FUTEX_LOCK_PI, NULL));
    stage = 1;
    until(&stage, 2);
    settle();
    return argument;
}

static void *surviving(void *argument) {
    tids[0] = gettid_();
    stage = 2;
    long result = pi(&lock, FUTEX_LOCK_PI, NULL);
    printf("survivor: %ld\n", result);
    show("inherited", &lock);
    CALL(pi(&lock, FUTEX_UNLOCK_PI, NULL));
    return argument;
}

static void death(void) {
    stage = 0;
    lock = 0;
    pthread_t first = start(dying, NULL);
    until(&stage, 1);
    pthread_t second = start(surviving, NULL);
    join(first);
    join(second);
    show("after all", &lock);
    first = start(dying, NULL);
    until(&stage, 1);
    stage = 2;
    join(first);
    show("nobody waited", &lock);
    CALL(pi(&lock, FUTEX_LOCK_PI, NULL));
    CALL(pi(&lock, FUTEX_TRYLOCK_PI, NULL));
    show("still", &lock);
}

/* From a condition to its lock. */
static long wait_requeue(const void *timeout) {
    return futex(&condition, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, timeout, &lock, 0);
}

static void *conditional(void *argument) {
    struct heir *self = argument;
    tids[self->number] = gettid_();
    stage++;
    long result = wait_requeue(NULL);
    printf("thread %d: %ld\n", self->number, result);
    show("owner", &lock);
    CALL(pi(&lock, FUTEX_UNLOCK_PI, NULL));
    return NULL;
}

static long requeue_pi(int count, word_t *target, uint32_t expected) {
    return futex(&condition, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)(long)count, target, expected);
}

static void conditions(int is_locked, int count) {
    struct heir heirs[HEIRS];
    stage = lock = other = 0;
    for (int i = 0; i < HEIRS; i++) {
        heirs[i].number = i;
        heirs[i].thread = start(conditional, &heirs[i]);
        until(&stage, i + 1);
        settle();
    }
    if (is_locked) {
        CALL(pi(&lock, FUTEX_LOCK_PI, NULL));
    }
    CALL(wake(&condition, 1));
    CALL(futex(&condition, FUTEX_REQUEUE_PRIVATE, 1, (void *)1, &other, 0));
    CALL(requeue_pi(1, &other, 0));
    CALL(requeue_pi(1, &lock, 1));
    CALL(requeue_pi(count, &lock, 0));
    settle();
    if (is_locked) {
        show("mine", &lock);
        CALL(pi(&lock, FUTEX_UNLOCK_PI, NULL));
        settle();
    }
    while (requeue_pi(0, &lock, 0) > 0) {
        settle();
    }
    for (int i = 0; i < HEIRS; i++) {
        join(heirs[i].thread);
    }
    show("at the end", &lock);
}

static void *impatient(void *patience_ms) {
    tids[0] = gettid_();
    stage = 1;
    struct timespec soon = after(CLOCK_MONOTONIC, (long)patience_ms * MSEC);
    long result = wait_requeue(&soon);
    return (void *)(result < 0 ? errno : 0L);
}

static void too_late(void) {
    long patience_ms = 20, requeued, error;
    lock = 0;
    printf("not woken: %s\n", error_name((long)join(start(impatient, (void *)patience_ms))));
    CALL(pi(&lock, FUTEX_LOCK_PI, NULL));
    do { /* until it is patient enough to be requeued before its time is over */
        patience_ms *= 2;
        stage = 0;
        pthread_t thread = start(impatient, (void *)patience_ms);
        until(&stage, 1);
        settle();
        requeued = requeue_pi(0, &lock, 0);
        error = (long)join(thread);
    } while (!requeued);
    printf("requeued, not got: %s\n", error_name(error));
    show("not got", &lock);
    CALL(requeue_pi(0, &lock, 0));
    CALL(pi(&lock, FUTEX_UNLOCK_PI, NULL));
    lock = FUTEX_WAITERS;
    struct timespec past = {1, 0};
    CALL(wait_requeue(&past));
    condition = 1;
    CALL(wait_requeue(&past));
    condition = 0;
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    one_after_another();
    refused();
    deadlock();
    spoilt();
    mixed();
    death();
    conditions(0, 0);
    conditions(0, 1);
    conditions(0, INT_MAX);
    conditions(1, 0);
    conditions(1, INT_MAX);
    too_late();
    return fflush(stdout) != 0;
}
