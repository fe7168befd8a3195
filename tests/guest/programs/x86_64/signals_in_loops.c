/* Signals with handlers and the returns from them, so often that a kernel that finds a quicker way for busy programs takes it. Each
 * scene is repeated; what its first round has seen is printed, and how many rounds have seen the same. */
#include "../report.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <ucontext.h>

enum { FEW = 20, MANY = 60 };
static char seen[4096];
static size_t length;
static char alternate[65536], small[4096] __attribute__((aligned(64)));
static sigjmp_buf back;

static void note(const char *format, ...) {
    va_list values;
    va_start(values, format);
    length += (size_t)vsnprintf(seen + length, sizeof seen - length, format, values);
    va_end(values);
}

static void repeat(const char *name, void (*scene)(void), int rounds) {
    static char first[sizeof seen];
    int same = 0;
    for (int i = 0; i < rounds; i++) {
        seen[length = 0] = 0;
        scene();
        if (!i) memcpy(first, seen, sizeof seen);
        if (strcmp(first, seen)) printf("%s, round %d: %s\n", name, i, seen);
        else same++;
    }
    printf("%s: %s (%d the same)\n", name, first, same);
    fflush(stdout);
}

static void on(int signal, void (*handler)(int, siginfo_t *, void *), int flags, unsigned long long mask) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};
    memcpy(&action.sa_mask, &mask, 8);
    sigaction(signal, &action, NULL);
}

static unsigned long long bit(int signal) { return 1ull << (signal - 1); }

static unsigned long long change_mask(int how, unsigned long long mask) {
    unsigned long long old = 0;
    syscall(SYS_rt_sigprocmask, how, &mask, &old, 8);
    return old;
}

static unsigned long long mask(void) { return change_mask(SIG_BLOCK, 0); }

static void send(int signal, int value) {
    siginfo_t info = {.si_code = SI_QUEUE, .si_value.sival_int = value};
    info.si_pid = getpid(), info.si_uid = getuid();
    syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), signal, &info);
}

static void to_itself(int signal) { syscall(SYS_tgkill, getpid(), gettid(), signal); }

/* -- several at once -- */

static void tell(int signal, siginfo_t *info, void *context) {
    ucontext_t *frame = context;
    unsigned long long before;
    memcpy(&before, &frame->uc_sigmask, 8);
    note("<%d:%d code %d masks %llx %llx", signal, info->si_value.sival_int, info->si_code, before, mask());
    getppid();
    note(">");
}

static void at_once(void) {
    on(SIGUSR1, tell, 0, 0), on(SIGUSR2, tell, 0, bit(SIGUSR1) | bit(SIGRTMIN)), on(SIGRTMIN, tell, SA_NODEFER, 0), on(SIGRTMIN + 1, tell, 0, 0);
    unsigned long long old = change_mask(SIG_BLOCK, ~0ull);
    send(SIGRTMIN + 1, 1), send(SIGUSR2, 2), send(SIGRTMIN, 3), send(SIGUSR1, 4), send(SIGRTMIN, 5), send(SIGRTMIN + 1, 6);
    kill(getpid(), SIGUSR1), send(SIGUSR2, 7);
    change_mask(SIG_SETMASK, old);
    note(" after %llx", mask());
}

static void queued_values(void) {
    on(SIGRTMIN + 2, tell, 0, 0);
    change_mask(SIG_BLOCK, bit(SIGRTMIN + 2));
    for (int i = 0; i < 5; i++) send(SIGRTMIN + 2, i);
    change_mask(SIG_UNBLOCK, bit(SIGRTMIN + 2));
}

static int depth;

static void nested(int signal, siginfo_t *info, void *context) {
    (void)info, (void)context;
    note("(%d", ++depth);
    if (depth < 4) to_itself(signal);
    note(")");
}

static void deferred_or_not(void) {
    depth = 0;
    on(SIGUSR1, nested, SA_NODEFER, 0);
    to_itself(SIGUSR1);
    note(" ");
    depth = 0;
    on(SIGUSR1, nested, 0, 0);
    to_itself(SIGUSR1);
}

static void once(void) {
    struct sigaction now;
    on(SIGURG, tell, SA_RESETHAND, 0);
    to_itself(SIGURG);
    to_itself(SIGURG);
    sigaction(SIGURG, NULL, &now);
    note(" default %d", now.sa_handler == SIG_DFL);
}

/* -- stacks -- */

static void where(int signal, siginfo_t *info, void *context) {
    stack_t old, wanted = {.ss_flags = SS_DISABLE};
    char here;
    (void)signal, (void)info;
    sigaltstack(NULL, &old);
    note("[on it %d, flags %x, %x", &here > alternate && &here < alternate + sizeof alternate, old.ss_flags, ((ucontext_t *)context)->uc_stack.ss_flags);
    note(", change %d", sigaltstack(&wanted, NULL) ? errno : 0);
    if (depth++ == 0) to_itself(SIGUSR2);
    note("]");
}

static void alternate_stack(void) {
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate}, after;
    on(SIGUSR1, where, SA_ONSTACK, 0), on(SIGUSR2, where, SA_ONSTACK, 0);
    for (unsigned flags = 0; flags < 2; flags++) {
        stack.ss_flags = flags ? (int)(1u << 31) : 0; /* SS_AUTODISARM */
        depth = 0;
        sigaltstack(&stack, NULL);
        to_itself(SIGUSR1);
        sigaltstack(NULL, &after);
        note(" after %x %d; ", after.ss_flags, after.ss_sp == alternate);
    }
    stack = (stack_t){.ss_flags = SS_DISABLE};
    sigaltstack(&stack, NULL);
}

static void other_stack(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info;
    ((ucontext_t *)context)->uc_stack = (stack_t){.ss_sp = small, .ss_size = sizeof small};
}

static void stack_of_the_frame(void) {
    stack_t after;
    on(SIGUSR1, other_stack, 0, 0);
    to_itself(SIGUSR1);
    sigaltstack(NULL, &after);
    note("%d %zu %x", after.ss_sp == small, after.ss_size, after.ss_flags);
    after.ss_flags = SS_DISABLE;
    sigaltstack(&after, NULL);
}

static greg_t left_for[2]; /* program counter and stack pointer of a frame that a handler has changed */

static void fell(int signal, siginfo_t *info, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    note("<%d code %d address %lx error %llx trap %lld mask %llx, %d>", signal, info->si_code, (long)info->si_addr, registers[REG_ERR], registers[REG_TRAPNO],
         mask(), registers[REG_RIP] == left_for[0] && registers[REG_RSP] == left_for[1]);
    siglongjmp(back, 1);
}

/* A call that a handler interrupts, with a stack that there is none at. */
static void call_from(uint64_t stack_pointer) {
    long result = SYS_tgkill, process = getpid(), thread = gettid();
    __asm__ volatile("mov %%rsp, %%rbx\n mov %4, %%rsp\n syscall\n mov %%rbx, %%rsp"
                     : "+a"(result)
                     : "D"(process), "S"(thread), "d"(SIGUSR1), "r"(stack_pointer)
                     : "rbx", "rcx", "r11", "memory");
    note("result %ld ", result);
}

static void nowhere_to_stand(void) {
    static char *page;
    if (!page) page = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const uint64_t places[] = {64, 1ull << 63, 0x9999999999999999, 0x800000000000, 0xffff800000000000, (uint64_t)page + 8192, -64ull};
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    sigaltstack(&stack, NULL);
    on(SIGSEGV, fell, SA_ONSTACK, 0), on(SIGUSR1, tell, 0, 0);
    for (unsigned i = 0; i < LENGTH(places); i++)
        if (!sigsetjmp(back, 1)) call_from(places[i]);
    note(" with a stack of its own: ");
    on(SIGUSR1, tell, SA_ONSTACK, 0);
    for (unsigned i = 0; i < LENGTH(places); i++)
        if (!sigsetjmp(back, 1)) call_from(places[i]);
    stack = (stack_t){.ss_flags = SS_DISABLE};
    sigaltstack(&stack, NULL);
}

/* -- frames that handlers change -- */

static int how;

static void change(int signal, siginfo_t *info, void *context) {
    ucontext_t *frame = context;
    greg_t *registers = frame->uc_mcontext.gregs;
    char *fpu = (char *)frame->uc_mcontext.fpregs;
    unsigned long long other = bit(SIGUSR2) | bit(SIGKILL) | bit(SIGHUP);
    (void)signal, (void)info;
    switch (how) {
    case 0: memcpy(&frame->uc_sigmask, &other, 8); break;
    case 1: registers[REG_RAX] = 77; break;
    case 2: registers[REG_CSGSFS] ^= 0x40; break;
    case 3: registers[REG_CSGSFS] ^= 1ull << 52; break; /* SS */
    case 4: registers[REG_RIP] = 1ll << 62; break;
    case 5: registers[REG_RIP] = 64; break;
    case 6: memset(fpu + 24, 0xff, 4); break; /* MXCSR */
    case 7: memset(fpu + 519, 0x40, 1); break; /* a component that there is none of */
    case 8: memset(fpu + 527, 0x80, 1); break; /* compacted */
    case 9: frame->uc_mcontext.fpregs = (void *)64; break;
    case 10: frame->uc_mcontext.fpregs = NULL; break;
    case 11: registers[REG_EFL] |= 0x3000 | 1 << 17 | 1 << 19 | 1 << 14; break; /* IOPL, VM, VIF, NT */
    case 12: send(SIGUSR2, 5); memcpy(&frame->uc_sigmask, &other, 8); break;
    case 13: to_itself(SIGUSR2); registers[REG_RAX] = -514; break;
    case 14: registers[REG_RIP] = 1ll << 47; break;
    case 15: registers[REG_RIP] = 0x7ffffffff000; break;
    case 16: registers[REG_RIP] = -4096; break;
    case 17: registers[REG_RSP] = 1ll << 62; break;
    case 18: registers[REG_CSGSFS] &= ~0xffffll; break;
    case 19: registers[REG_CSGSFS] = 0x33; break; /* SS */
    case 20: registers[REG_CSGSFS] = 0x33, frame->uc_flags = 0; break; /* any SS will do */
    case 21: registers[REG_CSGSFS] ^= 4ll << 48; break; /* of the local table */
    }
    left_for[0] = registers[REG_RIP], left_for[1] = registers[REG_RSP];
}

static void changed_frames(void) {
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    sigaltstack(&stack, NULL);
    on(SIGUSR1, change, 0, bit(SIGUSR2)), on(SIGUSR2, tell, 0, 0);
    on(SIGSEGV, fell, SA_ONSTACK, 0); on(SIGBUS, fell, SA_ONSTACK, 0);
    for (how = 0; how < 22; how++) {
        uint64_t flags;
        note("%d: ", how);
        if (!sigsetjmp(back, 1)) {
            long result = syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1);
            __asm__ volatile("pushf\n pop %0" : "=r"(flags));
            note("%ld %d flags %lx", result, result == -1 ? errno : 0, (long)flags & ~0x8d5);
        }
        note(" mask %llx; ", change_mask(SIG_SETMASK, 0));
        __asm__ volatile("push $0x202\n popf" ::: "cc");
    }
    stack = (stack_t){.ss_flags = SS_DISABLE};
    sigaltstack(&stack, NULL);
}

static uint64_t steps_from;

static void step(int signal, siginfo_t *info, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    (void)signal;
    note("+%lld(%d %d)", registers[REG_RIP] - (greg_t)steps_from, info->si_code, (uint64_t)info->si_addr == (uint64_t)registers[REG_RIP]);
    if (++depth == 6) registers[REG_EFL] &= ~0x100;
}

static void begin_steps(int signal, siginfo_t *info, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    (void)signal, (void)info;
    steps_from = (uint64_t)registers[REG_RIP];
    registers[REG_EFL] |= 0x100;
}

static void steps(void) {
    on(SIGUSR1, begin_steps, 0, 0), on(SIGTRAP, step, 0, 0);
    depth = 0;
    __asm__ volatile("syscall\n nop\n nop\n mov $39, %%eax\n syscall\n nop\n nop\n nop\n"
                     :
                     : "a"(SYS_tgkill), "D"(getpid()), "S"(gettid()), "d"(SIGUSR1)
                     : "rcx", "r11", "memory");
}

/* -- ways out, and results -- */

static void jump_out(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info, (void)context;
    siglongjmp(back, 5);
}

static void jumps(void) {
    on(SIGUSR1, jump_out, 0, bit(SIGUSR2)), on(SIGUSR2, tell, 0, 0);
    change_mask(SIG_BLOCK, bit(SIGUSR2));
    to_itself(SIGUSR2);
    change_mask(SIG_SETMASK, bit(SIGHUP));
    int found = sigsetjmp(back, 1);
    if (!found) to_itself(SIGUSR1);
    note("%d mask %llx", found, change_mask(SIG_SETMASK, 0));
}

static void errors(void) {
    int ends[2];
    on(SIGPIPE, tell, SA_RESTART, 0), on(SIGUSR1, tell, SA_RESTART, 0);
    if (pipe(ends)) return;
    close(ends[0]);
    long result = write(ends[1], "x", 1);
    note(" write %ld %d; ", result, errno);
    close(ends[1]);
    change_mask(SIG_BLOCK, bit(SIGUSR1));
    to_itself(SIGUSR1);
    unsigned long long none = 0;
    result = syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, WILD, 8);
    note(" sigprocmask %ld %d mask %llx; ", result, errno, mask());
    change_mask(SIG_SETMASK, 0);
    note(" mask %llx; ", mask());
}

static void waits(void) {
    const unsigned long long nothing = 0, usr1 = bit(SIGUSR1);
    struct timespec now = {0}, moment = {0, 1};
    siginfo_t info;
    on(SIGUSR1, tell, SA_RESTART, 0), on(SIGUSR2, tell, 0, 0);
    change_mask(SIG_BLOCK, usr1 | bit(SIGUSR2));
    to_itself(SIGUSR1), to_itself(SIGUSR2);
    long result = syscall(SYS_rt_sigsuspend, &(unsigned long long){bit(SIGUSR2)}, 8);
    note(" sigsuspend %ld %d mask %llx; ", result, errno, mask());
    result = syscall(SYS_ppoll, NULL, 0, NULL, &nothing, 8);
    note(" ppoll %ld %d mask %llx; ", result, errno, mask());
    result = syscall(SYS_ppoll, NULL, 0, &moment, &nothing, 8);
    note(" ppoll %ld mask %llx; ", result, mask());
    to_itself(SIGUSR1);
    result = syscall(SYS_ppoll, NULL, 0, &now, &nothing, 8);
    note(" ppoll at once %ld mask %llx; ", result, mask());
    struct epoll_event event;
    struct {
        const unsigned long long *mask;
        size_t size;
    } none = {&nothing, 8};
    int epoll = epoll_create1(0);
    to_itself(SIGUSR1);
    result = syscall(SYS_pselect6, 0, NULL, NULL, NULL, &now, &none);
    note(" pselect at once %ld mask %llx; ", result, mask());
    to_itself(SIGUSR1);
    result = syscall(SYS_epoll_pwait, epoll, &event, 1, 0, &nothing, 8ul);
    note(" epoll_pwait at once %ld %d mask %llx; ", result, errno, mask());
    result = syscall(SYS_epoll_pwait, epoll, &event, 1, -1, &nothing, 8ul);
    note(" epoll_pwait %ld mask %llx; ", result, mask());
    close(epoll);
    to_itself(SIGUSR1);
    result = syscall(SYS_rt_sigtimedwait, &usr1, &info, &now, 8);
    note(" sigtimedwait %ld code %d mask %llx; ", result, info.si_code, mask());
    change_mask(SIG_SETMASK, 0);
}

/* -- wide registers, where the CPU has them -- */

__attribute__((target("avx"))) static void clobber(int signal, siginfo_t *info, void *context) {
    uint8_t high[32];
    (void)signal, (void)info, (void)context;
    __asm__ volatile("vmovdqu %%ymm9, %0\n vpcmpeqd %%xmm9, %%xmm9, %%xmm9\n vinsertf128 $1, %%xmm9, %%ymm9, %%ymm9" : "=m"(high)::"xmm9");
    for (int i = 0; i < 32; i++) how |= high[i];
}

__attribute__((target("avx"))) static void halves(void) {
    uint8_t in[32], out[32];
    for (int i = 0; i < 32; i++) in[i] = (uint8_t)(i + 1);
    on(SIGUSR1, clobber, 0, 0);
    how = 0;
    long result = SYS_tgkill;
    __asm__ volatile("vmovdqu %2, %%ymm9\n syscall\n vmovdqu %%ymm9, %1\n vzeroupper"
                     : "+a"(result), "=m"(out)
                     : "m"(in), "D"(getpid()), "S"(gettid()), "d"(SIGUSR1)
                     : "rcx", "r11", "memory", "xmm9");
    note("%d %d", memcmp(in, out, sizeof in), how);
}

__attribute__((target("avx512f"))) static void clobber_more(int signal, siginfo_t *info, void *context) {
    uint8_t high[64];
    uint32_t mask;
    (void)signal, (void)info, (void)context;
    __asm__ volatile("vmovdqu64 %%zmm17, %0\n kmovw %%k3, %1\n vpternlogd $255, %%zmm17, %%zmm17, %%zmm17\n kxnorw %%k3, %%k3, %%k3"
                     : "=m"(high), "=r"(mask)::"xmm17");
    how |= (int)mask;
    for (int i = 0; i < 64; i++) how |= high[i];
}

__attribute__((target("avx512f"))) static void quarters(void) {
    uint8_t in[64], out[64];
    uint32_t mask = 0x5a5a;
    for (int i = 0; i < 64; i++) in[i] = (uint8_t)(i + 1);
    on(SIGUSR1, clobber_more, 0, 0);
    how = 0;
    long result = SYS_tgkill;
    __asm__ volatile("vmovdqu64 %3, %%zmm17\n kmovw %1, %%k3\n syscall\n vmovdqu64 %%zmm17, %2\n kmovw %%k3, %1\n vzeroupper"
                     : "+a"(result), "+r"(mask), "=m"(out)
                     : "m"(in), "D"(getpid()), "S"(gettid()), "d"(SIGUSR1)
                     : "rcx", "r11", "memory", "xmm17");
    note("%d %x %d", memcmp(in, out, sizeof in), mask, how);
}

static void wide_registers(void) {
    if (__builtin_cpu_supports("avx")) halves();
    if (__builtin_cpu_supports("avx512f")) quarters();
}

/* -- children -- */

static void loop_and_exit(void) {
    for (int i = 0; i < 30; i++) to_itself(SIGUSR1);
    _exit(depth);
}

static void count(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info, (void)context;
    depth++;
}

static pid_t child;

static void make_child(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info, (void)context;
    child = fork();
}

static void children(void) {
    int status;
    on(SIGUSR1, count, 0, 0), on(SIGUSR2, make_child, 0, 0);
    depth = 0;
    if ((child = vfork()) == 0) loop_and_exit();
    waitpid(child, &status, 0);
    depth = 0;
    for (int i = 0; i < 20; i++) to_itself(SIGUSR1);
    to_itself(SIGUSR2);
    if (child == 0) loop_and_exit(); /* it has returned from the handler, too */
    waitpid(child, &status, 0);
    if (depth != 20 || WEXITSTATUS(status) != 50) note("status %x, %d here", status, depth);
}

int main(void) {
    repeat("several at once", at_once, MANY);
    repeat("queued values", queued_values, MANY);
    repeat("deferred or not", deferred_or_not, MANY);
    repeat("once", once, MANY);
    repeat("an alternate stack", alternate_stack, MANY);
    repeat("the stack of the frame", stack_of_the_frame, MANY);
    repeat("nowhere to stand", nowhere_to_stand, FEW);
    repeat("changed frames", changed_frames, FEW);
    repeat("steps", steps, MANY);
    repeat("jumps", jumps, MANY);
    repeat("errors", errors, MANY);
    repeat("waits", waits, MANY);
    repeat("wide registers", wide_registers, MANY);
    repeat("children", children, FEW);
    return 0;
}
