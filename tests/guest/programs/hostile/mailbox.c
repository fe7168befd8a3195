/* Calls without exits, under attack: threads that make calls and run handlers, while others of the same process write to the
 * pages where those calls are answered, and jump into the code before them. Arguments: seed, first and last step. */
#define PATIENCE 200
#include "hostile.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <ucontext.h>

enum { N_MAILBOXES = 6, N_CALLERS = 3, N_FORGERS = 2, ROUNDS = 200, CODE_SIZE = 704 };
enum { STATE = 0, RESULT = 4, WORDS = 8, REGISTERS = 16, FPU = 128, N_WORDS = 512 };
#define FIRST_CODE ((char *)0x7fffffff4000) /* aionoah/hypervisor/native/kvm_internal.h: MAILBOXES, each behind its code */
static uint64_t *mailbox(uint64_t index) { return (uint64_t *)(FIRST_CODE + 2 * PAGE * index + PAGE); }

static uint64_t step_seed;
static volatile pid_t callers[N_CALLERS];
static char *scratch;
static __thread sigjmp_buf back;
static __thread volatile int comes_back;
static __thread char stack[1 << 15];

/* Whatever has become of a thread, it goes on. */
static void save(int signal) {
    if (!comes_back) _exit(2);
    siglongjmp(back, signal);
}

static void handler(int signal, siginfo_t *info, void *context) {
    ucontext_t *frame = context;
    (void)signal, (void)info;
    if (below(20) == 0) frame->uc_mcontext.gregs[below(17)] = (greg_t)number();
    if (below(20) == 0) ((char *)frame->uc_mcontext.fpregs)[below(1100)] = (char)number();
    if (below(8) == 0) syscall(SYS_tgkill, getpid(), callers[below(N_CALLERS)], SIGUSR2);
}

/* Who runs all the while leaves no CPU to those who answer. */
static void rest(void) {
    nanosleep(&(struct timespec){0, (long)below(200000)}, 0);
}

static void begin_thread(uint64_t which) {
    random_state = step_seed + which * 0x10001;
    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, 0);
}

/* -- those who call -- */

static void call(void) {
    sigset_t none;
    sigemptyset(&none);
    switch (below(10)) {
    case 0: case 1: case 2: syscall(SYS_tgkill, getpid(), gettid(), below(2) ? SIGUSR1 : SIGUSR2); break;
    case 3: syscall(SYS_tgkill, getpid(), callers[below(N_CALLERS)], SIGRTMIN + (int)below(3)); break;
    case 4: syscall(SYS_ppoll, 0, 0, &(struct timespec){0}, &none, 8); break;
    case 5: close((int)below(2) + 900); break;
    case 6: munmap(mmap(0, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), PAGE); break;
    case 7: sigprocmask((int)below(3), &none, 0); break;
    case 8: if (below(8) == 0) rest(); break;
    default: getppid();
    }
}

static void *make_calls(void *which) {
    begin_thread((uint64_t)which);
    callers[(uint64_t)which] = gettid();
    sigsetjmp(back, 1);
    comes_back = 1;
    for (;;) call();
}

/* -- those who write -- */

static uint64_t word(void) {
    switch (below(6)) {
    case 0: return below(9);
    case 1: return (uint64_t)FIRST_CODE + below(12 * PAGE);
    case 2: return (uint64_t)scratch + below(4 * PAGE);
    case 3: return (uint64_t)stack + below(sizeof stack);
    case 4: return number();
    default: return number() >> below(64);
    }
}

static void forge_call(uint64_t *words) {
    static const int numbers[] = {SYS_rt_sigreturn, SYS_rt_sigreturn, SYS_getpid, SYS_read, SYS_write, SYS_pread64, SYS_lseek, SYS_nanosleep,
                                  SYS_pause, SYS_rt_sigsuspend, SYS_ppoll, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_futex, SYS_close, SYS_mmap,
                                  SYS_munmap, SYS_mprotect, SYS_sigaltstack, SYS_clone, SYS_vfork, SYS_arch_prctl, SYS_tgkill, SYS_rt_sigtimedwait,
                                  SYS_rseq, SYS_sched_setaffinity, SYS_timer_create, SYS_prctl, SYS_pipe2, SYS_dup, SYS_fcntl, SYS_open};
    words[WORDS] = below(10) ? (uint64_t)PICK(numbers) : number() >> below(64);
    if (words[WORDS] == SYS_munmap || words[WORDS] == SYS_mprotect || words[WORDS] == SYS_mmap) words[WORDS + 1] = (uint64_t)scratch;
    else words[WORDS + 1] = word();
    for (int i = 2; i < 7; i++) words[WORDS + i] = word();
    if (words[WORDS] == SYS_munmap) words[WORDS + 2] = PAGE;
    if (words[WORDS] == SYS_tgkill) words[WORDS + 1] = getpid(), words[WORDS + 2] = callers[below(N_CALLERS)], words[WORDS + 3] = SIGUSR1 + 2 * below(2);
    if (words[WORDS] == SYS_rt_sigaction) words[WORDS + 1] = SIGUSR1;
}

static void forge(uint64_t *words) {
    switch (below(7)) {
    case 0: __atomic_store_n((uint32_t *)words, below(9), __ATOMIC_SEQ_CST); break;
    case 1: words[STATE] = below(4) ? below(9) : number(); break;
    case 2: forge_call(words), __atomic_store_n((uint32_t *)words, below(3) ? 1 : 6, __ATOMIC_SEQ_CST); break;
    case 3: words[REGISTERS + below(18)] = word(); break;
    case 4: ((char *)(words + FPU))[below(2) ? 24 + below(4) : 512 + below(64)] = (char)number(); break;
    case 5: words[below(40)] = word(); break;
    default: words[below(N_WORDS)] = word();
    }
}

static void *write_mail(void *which) {
    begin_thread((uint64_t)which);
    sigsetjmp(back, 1); /* not there */
    comes_back = 1;
    for (;;) {
        uint64_t *words = mailbox(below(N_MAILBOXES));
        uint32_t before = __atomic_load_n((uint32_t *)words, __ATOMIC_SEQ_CST);
        for (uint64_t moment = below(3000); moment && __atomic_load_n((uint32_t *)words, __ATOMIC_SEQ_CST) == before; moment--)
            ;
        forge(words);
        if (below(4) == 0) rest();
    }
}

/* -- those who jump -- */

static void jump(void) {
    static __thread uint64_t registers[16], to;
    for (int i = 0; i < 16; i++) registers[i] = word();
    registers[11] = below(2) ? 0x202 : number() & 0x3f7fd7;
    if (below(2)) registers[4] = (uint64_t)stack + sizeof stack / 2;
    to = (uint64_t)(FIRST_CODE + 2 * PAGE * below(N_MAILBOXES) + below(CODE_SIZE));
    if (below(4) == 0) forge((uint64_t *)((to & -PAGE) + PAGE));
    __asm__ volatile("mov %0, %%rax\n mov %1, %%r11\n push %%r11\n mov 88(%%rax), %%r11\n push %%r11\n popfq\n"
                     "mov 8(%%rax), %%rcx\n mov 16(%%rax), %%rdx\n mov 24(%%rax), %%rbx\n mov 40(%%rax), %%rbp\n mov 48(%%rax), %%rsi\n"
                     "mov 56(%%rax), %%rdi\n mov 64(%%rax), %%r8\n mov 72(%%rax), %%r9\n mov 80(%%rax), %%r10\n mov 96(%%rax), %%r12\n"
                     "mov 104(%%rax), %%r13\n mov 112(%%rax), %%r14\n pop %%r15\n mov 32(%%rax), %%rsp\n mov (%%rax), %%rax\n jmp *%%r15\n"
                     :
                     : "r"(registers), "r"(to)
                     : "memory");
    __builtin_unreachable();
}

static void *go_astray(void *which) {
    begin_thread((uint64_t)which);
    sigsetjmp(back, 1);
    comes_back = 1;
    for (;;) {
        rest();
        for (int i = 0; i < 20; i++) getppid();
        jump();
    }
}

static void set_up(void) {
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGSYS};
    struct sigaction action = {.sa_handler = save, .sa_flags = SA_ONSTACK | SA_NODEFER};
    for (unsigned i = 0; i < LENGTH(faults); i++) sigaction(faults[i], &action, 0);
    action = (struct sigaction){.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGUSR1, &action, 0), sigaction(SIGUSR2, &action, 0);
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    for (int i = 0; i < 3; i++) sigaction(SIGRTMIN + i, &action, 0);
    scratch = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void attack(uint64_t seed, uint64_t step) {
    pthread_t thread;
    begin_step(seed, step);
    step_seed = number();
    for (uint64_t i = 0, n = 1 + below(N_CALLERS); i < n; i++) pthread_create(&thread, 0, make_calls, (void *)i);
    for (uint64_t i = 0, n = 1 + below(N_FORGERS); i < n; i++) pthread_create(&thread, 0, write_mail, (void *)(N_CALLERS + i));
    if (step % 2) pthread_create(&thread, 0, go_astray, (void *)(N_CALLERS + N_FORGERS));
    comes_back = 0;
    for (int i = 0; i < ROUNDS; i++) {
        rest();
        syscall(SYS_tgkill, getpid(), callers[below(N_CALLERS)], SIGUSR2);
    }
    _exit(0);
}

int main(int n, char **arguments) {
    if (n < 4) return 2;
    survive(strtoull(arguments[1], 0, 0), strtoull(arguments[2], 0, 0), strtoull(arguments[3], 0, 0), set_up, attack);
}
