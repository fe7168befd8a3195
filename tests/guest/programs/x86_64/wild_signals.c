/* Signals at random: which handlers run, in which order, on which stack and with which mask, is the same on two kernels, whatever
 * dispositions, masks, alternate stacks and waits have come before. */
#include "../report.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <time.h>
#include <ucontext.h>

enum { STEPS = 1000, SEEDS = 3, DEEPEST = 6 };
static const int signals[] = {SIGUSR1, SIGUSR2, SIGURG, SIGWINCH, SIGCHLD, SIGTERM, SIGALRM, SIGIO, 34, 35, 36, 64};
static char alternate[1 << 17], output[1 << 16];
static sigjmp_buf back;
static pid_t process, thread;
static int depth, sent;
static uint64_t state;

/* splitmix64 */
static uint64_t below(uint64_t limit) {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return (z ^ (z >> 31)) % limit;
}

static uint64_t change_mask(int how, uint64_t mask) {
    uint64_t old = 0;
    syscall(SYS_rt_sigprocmask, how, &mask, &old, 8l);
    return old;
}

static uint64_t some_signals(void) {
    uint64_t mask = 0;
    for (size_t i = 0; i < LENGTH(signals); i++)
        if (below(3) == 0) mask |= 1ull << (signals[i] - 1);
    return mask;
}

static void send(void) {
    int signal = signals[below(LENGTH(signals))];
    siginfo_t info = {.si_code = SI_QUEUE};
    info.si_value.sival_int = ++sent, info.si_pid = process;
    switch (below(3)) {
    case 0: syscall(SYS_rt_tgsigqueueinfo, process, thread, signal, &info); break;
    case 1: syscall(SYS_tgkill, process, thread, signal); break;
    default: syscall(SYS_rt_sigqueueinfo, process, signal, &info);
    }
}

static void do_something(void);

static void handler(int signal, siginfo_t *info, void *context) {
    ucontext_t *frame = context;
    uint64_t before, other;
    stack_t stack;
    char here;
    sigaltstack(NULL, &stack);
    memcpy(&before, &frame->uc_sigmask, 8);
    printf("{%d.%d %lx<%lx %d f%d/%d ", signal, info->si_value.sival_int, change_mask(SIG_BLOCK, 0), before,
           &here > alternate && &here < alternate + sizeof alternate, stack.ss_flags, frame->uc_stack.ss_flags);
    switch (depth++ < DEEPEST - 1 ? below(9) : 9) {
    case 0: send(); break;
    case 1: change_mask((int)below(3), some_signals()); break;
    case 2: other = some_signals(), memcpy(&frame->uc_sigmask, &other, 8); break;
    case 3:
        if (below(4)) break;
        printf("out ");
        siglongjmp(back, 1);
    case 4: do_something(); break;
    case 5: frame->uc_stack.ss_flags = below(3) ? SS_DISABLE : 0; break;
    case 6: send(), send(); break;
    }
    depth--;
    printf("}");
}

/* Those that are ignored by default may be reset: others would end it all. */
static void install(void) {
    int signal = signals[below(LENGTH(signals))];
    uint64_t mask = some_signals();
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    memcpy(&action.sa_mask, &mask, 8);
    action.sa_flags |= (below(3) ? 0 : SA_NODEFER) | (below(2) ? SA_ONSTACK : 0) | (below(2) ? SA_RESTART : 0);
    if ((signal == SIGURG || signal == SIGWINCH || signal == SIGCHLD) && below(3) == 0) action.sa_flags |= SA_RESETHAND;
    if (below(20) == 0) action.sa_handler = SIG_IGN;
    sigaction(signal, &action, NULL);
}

static void do_something(void) {
    const struct timespec now = {0}, moment = {0, 1000};
    const uint64_t nothing = 0;
    struct timespec time = now;
    uint64_t mask = some_signals();
    siginfo_t info;
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    long result;
    errno = 0;
    switch (below(11)) {
    case 0: install(); break;
    case 1: case 2: send(); break;
    case 3: printf("mask %lx ", change_mask((int)below(3), mask)); break;
    case 4:
        if (below(2)) time = moment;
        result = syscall(SYS_ppoll, NULL, 0, &time, &mask, 8l);
        printf("ppoll %ld %d ", result, errno);
        break;
    case 5: printf("sigtimedwait %ld ", syscall(SYS_rt_sigtimedwait, &mask, &info, &now, 8l)); break;
    case 6:
        result = syscall(SYS_rt_sigpending, &mask, 8l);
        printf("pending %lx ", mask);
        break;
    case 7:
        stack.ss_flags = below(4) == 0 ? (int)(1u << 31) : below(5) == 0 ? SS_DISABLE : (int)below(2); /* SS_AUTODISARM */
        result = sigaltstack(&stack, NULL);
        printf("stack %ld %d ", result, errno);
        break;
    case 8:
        result = write(-1, "", 1);
        printf("error %d ", errno);
        break;
    case 9:
        mask = change_mask(SIG_BLOCK, ~0ull);
        for (uint64_t n = below(6); n > 0; n--) send();
        change_mask(SIG_SETMASK, mask);
        break;
    case 10:
        change_mask(SIG_BLOCK, ~0ull);
        send();
        result = syscall(SYS_ppoll, NULL, 0, &(struct timespec){0, 1000}, &nothing, 8l);
        printf("wait %ld %d ", result, errno);
        change_mask(SIG_SETMASK, mask);
    }
}

int main(void) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    process = getpid(), thread = gettid();
    setvbuf(stdout, output, _IOFBF, sizeof output);
    for (int step = 0; step < SEEDS * STEPS; step++) {
        if (step % STEPS == 0) {
            state = (uint64_t)(step / STEPS);
            for (size_t i = 0; i < LENGTH(signals); i++) sigaction(signals[i], &action, NULL);
        }
        depth = 0;
        if (!sigsetjmp(back, 1)) do_something();
        printf("\n");
        if (step % 50 == 49) change_mask(SIG_SETMASK, 0);
    }
    return 0;
}
