/* Every operation of futex(2) by one thread: arguments, their order, errors, and what becomes of the word. */
#include "futex.h"

static word_t word, second;
#define NOBODY 0x3ffffff0 /* no thread has this number */

static char *const MISALIGNED = (char *)&word + 1;
static void *const KERNEL = (void *)0xffffffffffff0000;
static void *no_access, *read_only, *shared_none, *shared_read;
static const struct timespec ZERO, BAD_NSEC = {0, SEC}, NEGATIVE = {-1, 0}, LONG_AGO = {1, 0};

/* All operations on one address. */
static void on_address(const char *name, void *address) {
    static const struct {
        const char *name;
        int op;
    } ops[] = {
        {"WAIT", FUTEX_WAIT}, {"WAKE", FUTEX_WAKE}, {"WAIT_BITSET", FUTEX_WAIT_BITSET},
        {"WAKE_BITSET", FUTEX_WAKE_BITSET}, {"REQUEUE", FUTEX_REQUEUE}, {"CMP_REQUEUE", FUTEX_CMP_REQUEUE},
        {"WAKE_OP", FUTEX_WAKE_OP}, {"LOCK_PI", FUTEX_LOCK_PI}, {"LOCK_PI2", FUTEX_LOCK_PI2},
        {"TRYLOCK_PI", FUTEX_TRYLOCK_PI}, {"UNLOCK_PI", FUTEX_UNLOCK_PI},
        {"WAIT_REQUEUE_PI", FUTEX_WAIT_REQUEUE_PI}, {"CMP_REQUEUE_PI", FUTEX_CMP_REQUEUE_PI},
    };
    for (size_t i = 0; i < LENGTH(ops); i++) {
        for (int flag = 0; flag <= FUTEX_PRIVATE_FLAG; flag += FUTEX_PRIVATE_FLAG) {
            second = 0;
            printf("%s %s%s: ", name, ops[i].name, flag ? "_PRIVATE" : "");
            errno = 0;
            long result = futex(address, ops[i].op | flag, 1, NULL, &second, 1);
            printf("%ld %s; ", result, result < 0 ? error_name(errno) : "");
            second = NOBODY;
            errno = 0;
            result = futex(&second, ops[i].op | flag, 1, NULL, address, 2);
            printf("%ld %s\n", result, result < 0 ? error_name(errno) : "");
        }
    }
}

static void operations(void) {
    CALL(futex(&word, 2, 0, NULL, NULL, 0));  /* FUTEX_FD is long gone */
    CALL(futex(&word, 14, 0, NULL, NULL, 0));
    CALL(futex(&word, 127, 0, NULL, NULL, 0));
    CALL(futex(&word, FUTEX_WAKE | 512, 1, NULL, NULL, 0));
    CALL(futex(&word, -1, 1, NULL, NULL, 0));
    for (int op = 0; op <= 14; op++) {
        if (op == FUTEX_WAIT_BITSET || op == FUTEX_LOCK_PI2 || op == FUTEX_WAIT_REQUEUE_PI) {
            continue;
        }
        printf("%d with CLOCK_REALTIME: ", op);
        CALL(futex(&word, op | FUTEX_CLOCK_REALTIME, 1, NULL, &second, 1));
    }
    CALL(futex(&word, FUTEX_WAIT | FUTEX_CLOCK_REALTIME, 0, WILD, NULL, 0));
    CALL(futex(&word, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 0, WILD, NULL, 0));
}

static void timeouts(void) {
    static const int ops[] = {FUTEX_WAIT, FUTEX_WAIT_BITSET, FUTEX_LOCK_PI, FUTEX_LOCK_PI2, FUTEX_WAIT_REQUEUE_PI};
    for (size_t i = 0; i < LENGTH(ops); i++) {
        printf("operation %d\n", ops[i]);
        word = second = 0;
        CALL(futex(&word, ops[i], 1, WILD, &second, 1));
        CALL(futex(&word, ops[i], 1, &BAD_NSEC, &second, 1));
        CALL(futex(&word, ops[i], 1, &NEGATIVE, &second, 1));
        CALL(futex(MISALIGNED, ops[i], 1, &NEGATIVE, &second, 1));
        CALL(futex(MISALIGNED, ops[i], 1, &ZERO, &second, 1));
    }
    word = 7;
    CALL(futex(&word, FUTEX_WAIT, 7, &ZERO, NULL, 0));
    CALL(futex(&word, FUTEX_WAIT, 8, &ZERO, NULL, 0));
    CALL(futex(&word, FUTEX_WAIT_BITSET, 7, &LONG_AGO, NULL, 1));
    CALL(futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 7, &LONG_AGO, NULL, 1));
    CALL(futex(&word, FUTEX_WAIT_BITSET, 7, &LONG_AGO, NULL, 0));
    CALL(futex(&word, FUTEX_WAIT_BITSET, 7, &BAD_NSEC, NULL, 0));
    CALL(futex(&word, FUTEX_WAKE, 1, WILD, NULL, 0));
    CALL(futex(&word, FUTEX_WAIT_REQUEUE_PI, 7, &LONG_AGO, &second, 0));
    CALL(futex(&word, FUTEX_WAIT_REQUEUE_PI, 8, &LONG_AGO, &second, 0));
    CALL(futex(&word, FUTEX_WAIT_REQUEUE_PI, 7, &LONG_AGO, &word, 0));
}

/* Waits last as long as they are asked to, on the clock they are asked to. */
static void lasts(const char *what, int op, clockid_t clock, int absolute) {
    struct timespec before = after(CLOCK_MONOTONIC, 0), now, t = {0, 20 * MSEC};
    word = 3;
    if (absolute) {
        t = after(clock, 20 * MSEC);
    }
    CALL(futex(&word, op, 3, &t, NULL, ~0u));
    now = after(CLOCK_MONOTONIC, 0);
    long ns = (now.tv_sec - before.tv_sec) * SEC + now.tv_nsec - before.tv_nsec;
    printf("%s: %s\n", what, ns < 20 * MSEC ? "too short" : "right");
}

static void wake_ops(void) {
    static const int arguments[] = {0, 1, 5, 2047, 2048, 4095, 31, 32, 40};
    for (int op = 0; op < 16; op++) {
        for (size_t i = 0; i < LENGTH(arguments); i++) {
            second = 0x10005;
            long result = futex(&word, FUTEX_WAKE_OP, 1, (void *)1, &second, (uint32_t)op << 28 | arguments[i] << 12);
            printf("op %d arg %d: %ld %s -> %x\n", op, arguments[i], result, result < 0 ? error_name(errno) : "", second);
        }
    }
    for (int cmp = 0; cmp < 16; cmp++) {
        second = 9;
        long result = futex(&word, FUTEX_WAKE_OP, 1, (void *)1, &second, FUTEX_OP_ADD << 28 | cmp << 24 | 1 << 12 | 9);
        printf("cmp %d: %ld %s -> %x\n", cmp, result, result < 0 ? error_name(errno) : "", second);
    }
    CALL(futex(&word, FUTEX_WAKE_OP, 1, NULL, WILD, 0xf << 28));
    CALL(futex(&word, FUTEX_WAKE_OP, 1, NULL, read_only, FUTEX_OP_ADD << 28));
}

static void counts(void) {
    word = 0;
    CALL(futex(&word, FUTEX_WAKE, -1, NULL, NULL, 0));
    CALL(futex(&word, FUTEX_WAKE, 0, NULL, NULL, 0));
    CALL(futex(&word, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0));
    CALL(futex(MISALIGNED, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0));
    CALL(futex(&word, FUTEX_REQUEUE, -1, NULL, &second, 0));
    CALL(futex(&word, FUTEX_REQUEUE, 0, (void *)-1L, &second, 0));
    CALL(futex(&word, FUTEX_REQUEUE, 0, (void *)0x7fffffffL, &second, 0));
    CALL(futex(&word, FUTEX_REQUEUE, 0, (void *)0x100000001L, &second, 0));
    CALL(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)1, &second, 5));
    CALL(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)1, &word, 0));
    CALL(futex(&word, FUTEX_CMP_REQUEUE_PI, 0, (void *)1, &second, 0));
    CALL(futex(&word, FUTEX_CMP_REQUEUE_PI, 2, (void *)1, &second, 0));
    CALL(futex(&word, FUTEX_CMP_REQUEUE_PI, 1, (void *)-1L, &second, 0));
    CALL(futex(&word, FUTEX_CMP_REQUEUE_PI, 1, (void *)1, &word, 0));
    CALL(futex(&word, FUTEX_CMP_REQUEUE_PI, 1, (void *)1, &second, 5));
    CALL(futex(&word, FUTEX_CMP_REQUEUE_PI, 1, (void *)1, &second, 0));
}

static const char *shown(uint32_t value) {
    static char text[64];
    uint32_t tid = value & FUTEX_TID_MASK;
    snprintf(text, sizeof text, "%s%s%s", value & FUTEX_WAITERS ? "WAITERS " : "",
             value & FUTEX_OWNER_DIED ? "DIED " : "", tid == 0 ? "free" : tid == (uint32_t)getpid() ? "mine" : "other");
    return text;
}

/* One operation on a lock whose word is this. */
static void lock_word(const char *name, int op, uint32_t value) {
    word = value;
    errno = 0;
    struct timespec t = after(op == FUTEX_LOCK_PI ? CLOCK_REALTIME : CLOCK_MONOTONIC, 0);
    long result = futex(&word, op, 0, &t, NULL, 0);
    printf("%s of %s", name, shown(value));
    printf(": %ld %s -> %s\n", result, result < 0 ? error_name(errno) : "", shown(word));
}

static void locks(void) {
    uint32_t mine = getpid(), nobody = NOBODY, flags[] = {0, FUTEX_WAITERS, FUTEX_OWNER_DIED, FUTEX_WAITERS | FUTEX_OWNER_DIED};
    for (size_t i = 0; i < LENGTH(flags); i++) {
        uint32_t values[] = {flags[i], flags[i] | mine, flags[i] | nobody};
        for (size_t j = 0; j < LENGTH(values); j++) {
            lock_word("LOCK_PI", FUTEX_LOCK_PI_PRIVATE, values[j]);
            lock_word("LOCK_PI2", FUTEX_LOCK_PI2 | FUTEX_PRIVATE_FLAG, values[j]);
            lock_word("TRYLOCK_PI", FUTEX_TRYLOCK_PI, values[j]);
            lock_word("UNLOCK_PI", FUTEX_UNLOCK_PI_PRIVATE, values[j]);
        }
    }
    word = 0;
    CALL(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    CALL(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    CALL(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    CALL(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
}

/* The calls of Linux 5.16 and 6.7. */
static long waitv(struct waitv *v, unsigned count, unsigned flags, const void *timeout, int clock) {
    return syscall(NR_FUTEX_WAITV, v, count, flags, timeout, clock);
}

static void younger(void) {
    word = 4;
    second = 5;
    struct waitv v[2] = {{4, (uintptr_t)&word, SIZE_U32 | PRIVATE2, 0}, {5, (uintptr_t)&second, SIZE_U32, 0}};
    static struct waitv many[129];
    CALL(waitv(v, 2, 1, NULL, 0));
    CALL(waitv(v, 0, 0, NULL, 0));
    CALL(waitv(NULL, 1, 0, NULL, 0));
    CALL(waitv(many, 129, 0, NULL, 0));
    CALL(waitv((void *)8, 1, 0, NULL, 0));
    CALL(waitv(v, 2, 0, &LONG_AGO, CLOCK_MONOTONIC));
    CALL(waitv(v, 2, 0, &LONG_AGO, CLOCK_REALTIME));
    CALL(waitv(v, 2, 0, &LONG_AGO, CLOCK_BOOTTIME));
    CALL(waitv(v, 2, 0, &BAD_NSEC, CLOCK_REALTIME));
    CALL(waitv(v, 2, 0, WILD, CLOCK_REALTIME));
    v[1].val = 6;
    CALL(waitv(v, 2, 0, &LONG_AGO, CLOCK_MONOTONIC));
    CALL(waitv(v, 2, 0, NULL, 77));
    v[1].val = 0x100000005;
    CALL(waitv(v, 2, 0, NULL, 0));
    v[1].val = 5, v[1].reserved = 1;
    CALL(waitv(v, 2, 0, NULL, 0));
    v[1].reserved = 0;
    for (unsigned flags = 0; flags < 4; flags++) {
        v[1].flags = flags;
        printf("size %u: ", flags);
        CALL(waitv(v, 2, 0, &LONG_AGO, CLOCK_MONOTONIC));
    }
    v[1].flags = SIZE_U32 | 0x40;
    CALL(waitv(v, 2, 0, NULL, 0));
    v[1].flags = SIZE_U32, v[1].uaddr += 2;
    CALL(waitv(v, 2, 0, NULL, 0));
    v[1].uaddr = 8;
    CALL(waitv(v, 2, 0, NULL, 0));
    v[1].flags |= PRIVATE2;
    CALL(waitv(v, 2, 0, NULL, 0));

    CALL(syscall(NR_FUTEX_WAKE, &word, 1L, 1, SIZE_U32));
    CALL(syscall(NR_FUTEX_WAKE, &word, 0L, 1, SIZE_U32));
    CALL(syscall(NR_FUTEX_WAKE, &word, 1L << 32, 1, SIZE_U32));
    CALL(syscall(NR_FUTEX_WAKE, &word, 1L, 0, SIZE_U32));
    CALL(syscall(NR_FUTEX_WAKE, WILD, 1L, 0, SIZE_U32));
    CALL(syscall(NR_FUTEX_WAKE, WILD, 1L, 1, SIZE_U32 | PRIVATE2));
    CALL(syscall(NR_FUTEX_WAKE, MISALIGNED, 1L, 0, SIZE_U32));
    CALL(syscall(NR_FUTEX_WAKE, &word, 1L, 1, 0));
    CALL(syscall(NR_FUTEX_WAKE, &word, 1L, 1, SIZE_U32 | 256));
    CALL(syscall(NR_FUTEX_WAIT, &word, 4L, 1L, SIZE_U32, &LONG_AGO, CLOCK_MONOTONIC));
    CALL(syscall(NR_FUTEX_WAIT, &word, 4L, 1L, SIZE_U32, &LONG_AGO, CLOCK_TAI));
    CALL(syscall(NR_FUTEX_WAIT, &word, 3L, 1L, SIZE_U32, NULL, CLOCK_TAI));
    CALL(syscall(NR_FUTEX_WAIT, &word, 4L, 0L, SIZE_U32, NULL, 0));
    CALL(syscall(NR_FUTEX_WAIT, &word, 4L, 1L << 32, SIZE_U32, NULL, 0));
    CALL(syscall(NR_FUTEX_WAIT, &word, 4L | 1L << 32, 1L, SIZE_U32, NULL, 0));
    CALL(syscall(NR_FUTEX_WAIT, &word, 4L, 1L, SIZE_U32 | 16, NULL, 0));
    CALL(syscall(NR_FUTEX_WAIT, MISALIGNED, 4L, 1L, SIZE_U32, WILD, 0));
    v[0] = (struct waitv){4, (uintptr_t)&word, SIZE_U32, 0};
    v[1] = (struct waitv){5, (uintptr_t)&second, SIZE_U32, 0};
    CALL(syscall(NR_FUTEX_REQUEUE, v, 0, 1, 1));
    CALL(syscall(NR_FUTEX_REQUEUE, v, 1, 1, 1));
    CALL(syscall(NR_FUTEX_REQUEUE, NULL, 0, 1, 1));
    CALL(syscall(NR_FUTEX_REQUEUE, WILD, 0, 1, 1));
    CALL(syscall(NR_FUTEX_REQUEUE, v, 0, -1, 1));
    v[0].val = 3;
    CALL(syscall(NR_FUTEX_REQUEUE, v, 0, 1, 1));
    v[1].flags |= PRIVATE2;
    CALL(syscall(NR_FUTEX_REQUEUE, v, 0, 1, 1));
}

static void robust_lists(void) {
    struct robust_list_head head = {{&head.list}, 0, NULL}, *found = NULL;
    size_t size = 0;
    CALL(syscall(SYS_set_robust_list, &head, sizeof head - 1));
    CALL(syscall(SYS_set_robust_list, &head, sizeof head));
    CALL(syscall(SYS_get_robust_list, 0, &found, &size));
    printf("%d %zu\n", found == &head, size);
    CALL(syscall(SYS_get_robust_list, 0, WILD, &size));
    CALL(syscall(SYS_get_robust_list, 0, &found, WILD));
    CALL(syscall(SYS_get_robust_list, NOBODY, &found, &size));
    CALL(syscall(SYS_set_robust_list, NULL, sizeof head));
}

int main(void) {
    int any = MAP_PRIVATE | MAP_ANONYMOUS;
    no_access = mmap(NULL, 4096, PROT_READ | PROT_WRITE, any, -1, 0);
    read_only = mmap(NULL, 4096, PROT_READ, any, -1, 0);
    shared_none = mmap(NULL, 4096, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared_read = mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    operations();
    timeouts();
    lasts("WAIT", FUTEX_WAIT_PRIVATE, CLOCK_MONOTONIC, 0);
    lasts("WAIT_BITSET", FUTEX_WAIT_BITSET, CLOCK_MONOTONIC, 1);
    lasts("WAIT_BITSET realtime", FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, CLOCK_REALTIME, 1);
    wake_ops();
    counts();
    locks();
    mprotect(no_access, 4096, PROT_NONE);
    on_address("wild", WILD);
    on_address("null", NULL);
    on_address("misaligned", MISALIGNED);
    on_address("kernel", KERNEL);
    on_address("no access", no_access);
    on_address("read only", read_only);
    on_address("shared, no access", shared_none);
    on_address("shared, read only", shared_read);
    younger();
    robust_lists();
    return fflush(stdout) != 0;
}
