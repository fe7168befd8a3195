/* What a program has in its CPU comes back from handlers, however often and wherever signals come. */
#include "../report.h"

#include <immintrin.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <ucontext.h>

enum { ROUNDS = 3000 };
static pid_t process, thread;
static _Atomic int is_over, beside;
static int handled, strange, added;
static stack_t stack = {.ss_size = 1 << 16};

/* A handler begins with a fresh FPU, and leaves another one. */
static void handler(int number, siginfo_t *info, void *context) {
    ucontext_t *where = context;
    uint16_t control;
    __m128i sum;
    __asm__ volatile("fnstcw %0\n movdqa %%xmm7, %1" : "=m"(control), "=x"(sum));
    uint64_t words[2];
    memcpy(words, &sum, sizeof words);
    strange += _mm_getcsr() != 0x1f80 || control != 0x37f || words[0] || words[1] || info->si_signo != number;
    _mm_setcsr(0x9f80);
    control = 0x27f;
    __asm__ volatile("fldcw %0\n pcmpeqd %%xmm7, %%xmm7\n pcmpeqd %%xmm8, %%xmm8" ::"m"(control) : "xmm7", "xmm8");
    if (number == SIGUSR1) where->uc_mcontext.gregs[REG_R15] += added;
    handled += number == SIGUSR1;
    beside += number == SIGUSR2;
}

static void *disturb(void *unused) {
    struct timespec pause = {.tv_nsec = 50000};
    while (!is_over) {
        syscall(SYS_tgkill, process, thread, SIGUSR2);
        nanosleep(&pause, NULL);
    }
    return unused;
}

/* tgkill with all registers that a call keeps, and flags; then they are in `after`. */
struct before {
    uint64_t registers[6];
    double number;
    uint64_t mxcsr, process, thread;
};
struct after {
    uint64_t result, registers[6];
    double number, x87;
    uint64_t mxcsr, flags;
};
void raise_with(const struct before *before, struct after *after);
__asm__("raise_with:\n"
        "  push %rbx\n  push %rbp\n  push %r12\n  push %r13\n  push %r14\n  push %r15\n  push %rsi\n"
        "  mov (%rdi), %rbx\n  mov 8(%rdi), %rbp\n  mov 16(%rdi), %r12\n"
        "  mov 24(%rdi), %r13\n  mov 32(%rdi), %r14\n  mov 40(%rdi), %r15\n"
        "  movq 48(%rdi), %xmm7\n  fldl 48(%rdi)\n  ldmxcsr 56(%rdi)\n"
        "  mov 72(%rdi), %rsi\n  mov 64(%rdi), %rdi\n  mov $10, %edx\n  mov $234, %eax\n"
        "  std\n  stc\n  syscall\n"
        "  pushf\n  pop %r9\n  cld\n  pop %r8\n"
        "  mov %rax, (%r8)\n  mov %rbx, 8(%r8)\n  mov %rbp, 16(%r8)\n  mov %r12, 24(%r8)\n"
        "  mov %r13, 32(%r8)\n  mov %r14, 40(%r8)\n  mov %r15, 48(%r8)\n"
        "  movq %xmm7, 56(%r8)\n  fstpl 64(%r8)\n  stmxcsr 72(%r8)\n  mov %r9, 80(%r8)\n"
        "  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbp\n  pop %rbx\n  ret\n");

enum { UPWARDS = 0x5f80, DIRECTION_AND_CARRY = 0x401 };

static int comes_back(uint64_t seed) {
    struct before before = {.number = 1.0 / (double)seed, .mxcsr = UPWARDS, .process = (uint64_t)process, .thread = (uint64_t)thread};
    struct after after = {.result = 1};
    for (int i = 0; i < 6; i++) before.registers[i] = seed + (uint64_t)i;
    raise_with(&before, &after);
    _mm_setcsr(0x1f80);
    before.registers[5] += (uint64_t)added;
    return after.result == 0 && !memcmp(before.registers, after.registers, sizeof before.registers) && after.number == before.number
           && after.x87 == before.number && after.mxcsr == UPWARDS && (after.flags & DIRECTION_AND_CARRY) == DIRECTION_AND_CARRY;
}

static void many(const char *what) {
    int right = 0;
    handled = strange = 0;
    for (int i = 0; i < ROUNDS; i++) right += comes_back((uint64_t)i + 1);
    printf("%s: %d handled, %d right, %d strange\n", what, handled, right, strange);
}

int main(void) {
    process = getpid(), thread = gettid();
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
    many("alone");
    added = 7;
    many("changed by the handler");
    stack.ss_sp = malloc(stack.ss_size);
    sigaltstack(&stack, NULL);
    action.sa_flags |= SA_ONSTACK;
    sigaction(SIGUSR1, &action, NULL);
    many("on a stack of its own");
    pthread_t other;
    pthread_create(&other, NULL, disturb, NULL);
    while (!beside) sched_yield();
    many("with another thread's signals");
    is_over = 1;
    pthread_join(other, NULL);
    return 0;
}
