/* ptrace(2) on x86_64: single steps over SYSCALL, of the tracer and of the program itself (its own trap flag). */
#include "../trace.h"

#include <sys/user.h>

extern char at_start[];

static void calls(void) {
    long result;
    __asm__ volatile(
        ".globl at_start\nat_start: int3\n mov %1, %%eax\n mov $-1, %%edi\n syscall\n nop\n mov %2, %%eax\n syscall\n"
        " test %%eax, %%eax\n int3"
        : "=a"(result) : "i"(SYS_close), "i"(SYS_getppid) : "rcx", "r11", "rdi", "memory");
    syscall(SYS_exit_group, 4);
}

static void show(pid_t pid, const char *what) {
    struct user_regs_struct registers;
    siginfo_t info;
    trace(PTRACE_GETREGS, pid, 0, &registers);
    trace(PTRACE_GETSIGINFO, pid, 0, &info);
    long long rax = (long long)registers.rax;
    printf("%s at %ld: %s %lld, flags of TF %llx, code %d\n", what, (long)registers.rip - (long)at_start,
           rax == getpid() ? "tracer" : "rax", rax == getpid() ? 0 : rax, registers.eflags & 0x100, info.si_code);
}

static void steps(void) {
    puts("-- steps of a tracer");
    pid_t pid = tracee(calls);
    trace(PTRACE_CONT, pid, 0, 0);
    show_wait(pid, 0);
    for (int i = 0; i < 8; i++) {
        trace(PTRACE_SINGLESTEP, pid, 0, 0);
        show_wait(pid, 0);
        show(pid, "step");
    }
    trace(PTRACE_CONT, pid, 0, 0);
    show_wait(pid, 0);
}

/* A step that goes on from a stop before a call, and one over the call that ends the program. */
static void from_calls(void) {
    puts("-- steps from stops at calls");
    pid_t pid = tracee(calls);
    trace(PTRACE_SETOPTIONS, pid, 0, (void *)PTRACE_O_TRACESYSGOOD);
    trace(PTRACE_CONT, pid, 0, 0);
    show_wait(pid, 0);
    trace(PTRACE_SYSCALL, pid, 0, 0);
    show_wait(pid, 0);
    show(pid, "entry");
    trace(PTRACE_SINGLESTEP, pid, 0, 0);
    show_wait(pid, 0);
    show(pid, "step");
    trace(PTRACE_SYSCALL, pid, 0, 0);
    show_wait(pid, 0);
    trace(PTRACE_SYSCALL, pid, 0, 0);
    show_wait(pid, 0);
    show(pid, "exit");
    trace(PTRACE_SINGLESTEP, pid, 0, 0);
    show_wait(pid, 0);
    show(pid, "step");
    trace(PTRACE_CONT, pid, 0, 0);
    show_wait(pid, 0);
    int status;
    do {
        trace(PTRACE_SINGLESTEP, pid, 0, 0);
        waitpid(pid, &status, 0);
    } while (WIFSTOPPED(status));
    show_status(pid, status);
}

static volatile int traps;
static long places[16];

static void on_trap(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    if (traps < 16) places[traps++] = (long)info->si_addr;
}

extern char own[];

/* The flag is masked while the kernel works, and is there again behind the call: one instruction later it traps. */
static void own_steps(void) {
    puts("-- steps of the program itself");
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    sigaction(SIGTRAP, &action, NULL);
    long result = SYS_getppid;
    __asm__ volatile(
        ".globl own\nown: pushf\n orl $0x100, (%%rsp)\n popf\n nop\n syscall\n nop\n nop\n pushf\n andl $~0x100, (%%rsp)\n popf\n nop"
        : "+a"(result) :: "rcx", "r11", "memory", "cc");
    printf("the call was made: %d\n", result == getppid());
    for (int i = 0; i < traps; i++) printf("%ld ", places[i] - (long)own);
    puts("");
}

int main(void) {
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    steps();
    from_calls();
    own_steps();
    return 0;
}
