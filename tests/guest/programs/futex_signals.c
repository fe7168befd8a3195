/* Signals that come while a thread waits: which calls go on, which are made again, and which end. */
#include "futex.h"

#include "asleep.h"

#include <signal.h>

static word_t word, lock, stage;
static _Atomic int handled;
static _Atomic pid_t caller;

static void handler(int signal) { handled++; }

static void handle(int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigaction(SIGUSR1, &action, NULL);
}

enum { LONG_MS = 1000000 }; /* never reached */

struct call {
    const char *name;
    int op;
    long timeout_ms;
    word_t *word;
    clockid_t clock;
};

static int is_requeued(const struct call *call) { return (call->op & FUTEX_CMD_MASK) == FUTEX_WAIT_REQUEUE_PI; }

static void *calling(void *argument) {
    struct call *call = argument;
    struct timespec t = {call->timeout_ms / 1000, call->timeout_ms % 1000 * MSEC};
    if ((call->op & FUTEX_CMD_MASK) != FUTEX_WAIT) {
        t = after(call->clock, call->timeout_ms * MSEC);
    }
    caller = syscall(SYS_gettid);
    stage = 1;
    long result = futex(call->word, call->op, 0, call->timeout_ms ? &t : NULL, &lock, ~0u);
    printf("%s: %ld %s\n", call->name, result, result < 0 ? error_name(errno) : "");
    if (result == 0 && (call->word == &lock || is_requeued(call))) {
        CALL(futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    }
    return NULL;
}

/* Let a thread wait, send it a signal, and wake it if it still waits. */
static void interrupt(struct call *call, int flags, const char *what) {
    printf("%s: ", what);
    stage = handled = 0;
    lock = getpid();
    handle(flags);
    pthread_t thread = start(calling, call);
    while (!stage) {
        sched_yield();
    }
    until_asleep(caller);
    pthread_kill(thread, SIGUSR1);
    while (!handled) {
        sched_yield();
    }
    until_asleep(caller);
    printf("handled %d, ", handled);
    if (call->word == &lock) {
        long result = futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
        printf("unlocked %ld\n", result);
    } else {
        printf("woken %ld\n", futex(call->word, FUTEX_WAKE | (call->op & FUTEX_PRIVATE_FLAG), 9, NULL, NULL, 0));
    }
    if (is_requeued(call)) { /* which no FUTEX_WAKE wakes */
        CALL(futex(call->word, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, NULL, &lock, 0));
        CALL(futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    }
    join(thread);
}

static void both(struct call call) {
    interrupt(&call, 0, "without SA_RESTART");
    interrupt(&call, SA_RESTART, "with SA_RESTART");
}

/* Stopped and continued, a wait goes on until its own deadline. */
static void stopped(void) {
    pid_t child = fork();
    if (child == 0) {
        struct timespec t = {0, 200 * MSEC}, before = after(CLOCK_MONOTONIC, 0);
        long result = futex(&word, FUTEX_WAIT, 0, &t, NULL, 0);
        struct timespec now = after(CLOCK_MONOTONIC, 0);
        long ms = (now.tv_sec - before.tv_sec) * 1000 + (now.tv_nsec - before.tv_nsec) / MSEC;
        _exit(result == -1 && errno == ETIMEDOUT && ms >= 200 ? 0 : 1);
    }
    for (int i = 0; i < 3; i++) {
        until_asleep(child);
        kill(child, SIGSTOP);
        waitpid(child, NULL, WUNTRACED);
        kill(child, SIGCONT);
    }
    int status = 0;
    waitpid(child, &status, 0);
    printf("stopped: %x\n", status);
}

/* A killed waiter takes no wake-up with it. */
static void killed(void) {
    word_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child = fork();
    if (child == 0) {
        futex(shared, FUTEX_WAIT, 0, NULL, NULL, 0);
        _exit(0);
    }
    until_waiting(shared, 0, 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    CALL(waiters(shared, 0));
    CALL(futex(shared, FUTEX_WAKE, 9, NULL, NULL, 0));
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    both((struct call){"WAIT", FUTEX_WAIT_PRIVATE, 0, &word, 0});
    both((struct call){"WAIT with a timeout", FUTEX_WAIT_PRIVATE, LONG_MS, &word, 0});
    both((struct call){"WAIT shared", FUTEX_WAIT, LONG_MS, &word, 0});
    both((struct call){"WAIT_BITSET", FUTEX_WAIT_BITSET_PRIVATE, 0, &word, CLOCK_MONOTONIC});
    both((struct call){"WAIT_BITSET until", FUTEX_WAIT_BITSET_PRIVATE, LONG_MS, &word, CLOCK_MONOTONIC});
    both((struct call){"LOCK_PI", FUTEX_LOCK_PI_PRIVATE, 0, &lock, CLOCK_REALTIME});
    both((struct call){"LOCK_PI until", FUTEX_LOCK_PI_PRIVATE, LONG_MS, &lock, CLOCK_REALTIME});
    both((struct call){"WAIT_REQUEUE_PI", FUTEX_WAIT_REQUEUE_PI_PRIVATE, LONG_MS, &word, CLOCK_MONOTONIC});
    stopped();
    killed();
    return fflush(stdout) != 0;
}
