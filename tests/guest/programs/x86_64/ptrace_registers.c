/* ptrace(2) on x86_64: registers, struct user, single steps, break points, and changed, skipped and injected calls. */
#include "../trace.h"

#include <asm/prctl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/user.h>
#include <x86intrin.h>

static struct user_regs_struct registers;

static void get(pid_t pid) {
    TRACE(PTRACE_GETREGS, pid, 0, &registers);
}

static void set(pid_t pid) {
    TRACE(PTRACE_SETREGS, pid, 0, &registers);
}

static void go_on(pid_t pid, int request, int signal) {
    trace(request, pid, 0, (void *)(long)signal);
    show_wait(pid, 0);
}

extern char at_trap[], stepped[], at_loop[], at_call[], after_call[], at_sum[];

static void traps(void) {
    __asm__ volatile("mov $0x1111, %%rbx; mov $0x2222, %%r12; stc; int3\nat_trap: nop" ::: "rbx", "r12");
    __asm__ volatile(".globl stepped\nstepped: mov $1, %%rcx\n inc %%rcx\n xor %%edx, %%edx\n int3" ::: "rcx", "rdx");
    _exit(0);
}

static void at_traps(void) {
    puts("-- int3 and single steps");
    pid_t pid = tracee(traps);
    go_on(pid, PTRACE_CONT, 0);
    show_siginfo(pid);
    get(pid);
    printf("rbx %llx r12 %llx carry %lld rip at int3 + %ld orig_rax %lld\n", registers.rbx, registers.r12, registers.eflags & 1,
           (long)registers.rip - (long)at_trap, (long long)registers.orig_rax);
    printf("cs %llx ss %llx ds %llx es %llx fs %llx gs %llx, fs_base %s, gs_base %llx\n", registers.cs, registers.ss, registers.ds, registers.es,
           registers.fs, registers.gs, registers.fs_base ? "set" : "not set", registers.gs_base);
    registers.rip = (long)stepped;
    set(pid);
    for (int i = 0; i < 3; i++) {
        go_on(pid, PTRACE_SINGLESTEP, 0);
        get(pid);
        printf("at %ld: rcx %lld, flags of TF %llx\n", (long)registers.rip - (long)stepped, registers.rcx, registers.eflags & 0x100);
    }
    siginfo_t info;
    trace(PTRACE_GETSIGINFO, pid, 0, &info);
    printf("code %d address %d\n", info.si_code, info.si_addr == (void *)registers.rip);
    go_on(pid, PTRACE_CONT, 0);
    get(pid);
    printf("TF %llx\n", registers.eflags & 0x100);
    go_on(pid, PTRACE_CONT, 0);
}

static void user_area(void) {
    puts("-- struct user");
    pid_t pid = tracee(traps);
    go_on(pid, PTRACE_CONT, 0);
    long word = 77;
    TRACE(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, rbx), &word);
    printf("%lx\n", word);
    TRACE(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, cs), &word);
    printf("%lx\n", word);
    TRACE(PTRACE_PEEKUSER, pid, 4, &word);
    TRACE(PTRACE_PEEKUSER, pid, sizeof(struct user), &word);
    TRACE(PTRACE_PEEKUSER, pid, sizeof(struct user) - 8, &word);
    TRACE(PTRACE_PEEKUSER, pid, -8, &word);
    TRACE(PTRACE_PEEKUSER, pid, offsetof(struct user, u_debugreg[7]), &word);
    printf("dr7 %lx\n", word);
    TRACE(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg[7]), 0);
    TRACE(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg[4]), 0);
    TRACE(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rbx), 0x1234);
    TRACE(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, rbx), &word);
    printf("%lx\n", word);
    TRACE(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, cs), 0);
    TRACE(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, ss), 0);
    TRACE(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, fs_base), -1);
    word = 0;
    unsigned long base = 1;
    TRACE(PTRACE_ARCH_PRCTL, pid, &base, ARCH_GET_FS);
    trace(PTRACE_PEEKUSER, pid, (void *)offsetof(struct user_regs_struct, fs_base), &word);
    printf("the same base: %d\n", (long)base == word);
    TRACE(PTRACE_ARCH_PRCTL, pid, 0x1000, ARCH_SET_GS);
    TRACE(PTRACE_ARCH_PRCTL, pid, &base, ARCH_GET_GS);
    printf("%lx\n", base);
    TRACE(PTRACE_ARCH_PRCTL, pid, -1, ARCH_SET_FS);
    TRACE(PTRACE_ARCH_PRCTL, pid, 8, ARCH_GET_FS);
    TRACE(PTRACE_ARCH_PRCTL, pid, 0, 0x7777);
    TRACE(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, eflags), -1);
    TRACE(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, eflags), &word);
    printf("eflags %lx\n", word);
    TRACE(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, eflags), 0);
    TRACE(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, eflags), &word);
    printf("eflags %lx\n", word);
    TRACE(PTRACE_POKEUSER, pid, 3, 0);
    TRACE(PTRACE_POKEUSER, pid, sizeof(struct user), 0);
    TRACE(PTRACE_KILL, pid, 0, 0);
    show_wait(pid, 0);
}

__attribute__((noinline)) static int sum(int a, int b) {
    __asm__ volatile("");
    return a + b;
}

static void sums(void) {
    int all = 0;
    for (int i = 1; i <= 3; i++) {
        all = sum(all, i);
    }
    _exit(all);
}

static void break_points(void) {
    puts("-- break points in program text");
    pid_t pid = tracee(sums);
    long word = 0, at = (long)sum;
    trace(PTRACE_PEEKTEXT, pid, (void *)at, &word);
    TRACE(PTRACE_POKETEXT, pid, at, (word & ~0xffL) | 0xcc);
    for (int i = 0; i < 3; i++) {
        go_on(pid, PTRACE_CONT, 0);
        get(pid);
        printf("at +%ld: %lld %lld\n", (long)registers.rip - at, registers.rdi & 0xff, registers.rsi & 0xff);
        registers.rip = at;
        registers.rsi *= 10;
        set(pid);
        trace(PTRACE_POKETEXT, pid, (void *)at, (void *)word);
        go_on(pid, PTRACE_SINGLESTEP, 0);
        trace(PTRACE_POKETEXT, pid, (void *)at, (void *)((word & ~0xffL) | 0xcc));
    }
    go_on(pid, PTRACE_CONT, 0);
    printf("mine: %d\n", sum(2, 3));
}

static void some_calls(void) {
    long first = syscall(SYS_getppid), second = syscall(SYS_getuid), third = syscall(SYS_close, 99);
    char text[64];
    int length = snprintf(text, sizeof text, "%ld %ld %ld\n", first == getppid() ? -99 : first, second, third);
    syscall(SYS_write, 1, text, length);
    _exit(0);
}

/* To the next entry of a certain call. */
static void to_call(pid_t pid, long number) {
    do {
        trace(PTRACE_SYSCALL, pid, 0, 0);
        waitpid(pid, NULL, 0);
        trace(PTRACE_GETREGS, pid, 0, &registers);
    } while (registers.orig_rax != (unsigned long long)number || (long long)registers.rax != -ENOSYS);
}

static void changed_calls(void) {
    puts("-- calls that are changed, skipped, and given other results");
    fflush(stdout);
    pid_t pid = tracee(some_calls);
    to_call(pid, SYS_getppid);
    printf("entry: orig_rax %lld rax %lld\n", registers.orig_rax, (long long)registers.rax);
    registers.orig_rax = -1;
    set(pid);
    go_on(pid, PTRACE_SYSCALL, 0);
    get(pid);
    printf("exit: orig_rax %lld rax %lld\n", (long long)registers.orig_rax, (long long)registers.rax);
    to_call(pid, SYS_getuid);
    registers.orig_rax = SYS_close;
    registers.rdi = 98;
    set(pid);
    go_on(pid, PTRACE_SYSCALL, 0);
    get(pid);
    printf("exit: orig_rax %lld rax %lld\n", (long long)registers.orig_rax, (long long)registers.rax);
    to_call(pid, SYS_close);
    go_on(pid, PTRACE_SYSCALL, 0);
    get(pid);
    registers.rax = 1234;
    set(pid);
    fflush(stdout);
    go_on(pid, PTRACE_CONT, 0);

    puts("-- emulated calls");
    pid = tracee(some_calls);
    for (int i = 0; i < 3; i++) {
        go_on(pid, PTRACE_SYSEMU, 0);
        get(pid);
        printf("orig_rax %lld rax %lld\n", registers.orig_rax, (long long)registers.rax);
        registers.rax = i;
        set(pid);
    }
    fflush(stdout);
    go_on(pid, PTRACE_CONT, 0);
}

static int reading[2];

static void reads(void) {
    char byte;
    close(reading[1]);
    long found = syscall(SYS_read, reading[0], &byte, 1);
    _exit(found == 1 ? byte : 100 - (int)found);
}

static void restarts(void) {
    puts("-- calls that are interrupted");
    if (pipe(reading)) {
        exit(2);
    }
    pid_t pid = tracee(reads);
    trace(PTRACE_CONT, pid, 0, 0);
    char name[64], state[512] = "";
    snprintf(name, sizeof name, "/proc/%d/stat", pid);
    while (strstr(state, ") S") == NULL) {
        int fd = open(name, O_RDONLY);
        state[read(fd, state, sizeof state - 1)] = 0;
        close(fd);
    }
    kill(pid, SIGUSR1);
    show_wait(pid, 0);
    get(pid);
    printf("orig_rax %lld rax %lld\n", registers.orig_rax, (long long)registers.rax);

    puts("-- a call is injected meanwhile");
    struct user_regs_struct saved = registers;
    long word = 0, at = registers.rip - 2;
    trace(PTRACE_PEEKTEXT, pid, (void *)at, &word);
    printf("syscall %lx\n", word & 0xffff);
    registers.rip = at;
    registers.rax = SYS_mmap;
    registers.orig_rax = -1;
    registers.rdi = 0, registers.rsi = 4096, registers.rdx = PROT_READ, registers.r10 = MAP_PRIVATE | MAP_ANONYMOUS, registers.r8 = -1, registers.r9 = 0;
    set(pid);
    go_on(pid, PTRACE_SINGLESTEP, 0);
    show_siginfo(pid);
    get(pid);
    printf("an address: %d, rip %ld\n", (long long)registers.rax > 0, (long)registers.rip - at);
    TRACE(PTRACE_PEEKDATA, pid, registers.rax, &word);
    registers = saved;
    set(pid);
    trace(PTRACE_CONT, pid, 0, 0);
    if (write(reading[1], "\5", 1) != 1) {
        exit(2);
    }
    show_wait(pid, 0);
    close(reading[0]), close(reading[1]);
}

static void naps(void) {
    signal(SIGUSR1, SIG_IGN);
    raise(SIGSTOP);
    syscall(SYS_pause);
}

static void restarts_between_calls(void) {
    puts("-- an ignored signal ends a call, which is made again");
    pid_t pid = tracee(naps);
    go_on(pid, PTRACE_CONT, 0);
    to_call(pid, SYS_pause);
    kill(pid, SIGUSR1);
    go_on(pid, PTRACE_SYSCALL, 0);
    get(pid);
    printf("exit: orig_rax %lld rax %lld\n", registers.orig_rax, (long long)registers.rax);
    set(pid);
    go_on(pid, PTRACE_SYSCALL, 0);
    get(pid);
    printf("signal: orig_rax %lld rax %lld\n", registers.orig_rax, (long long)registers.rax);
    go_on(pid, PTRACE_SYSCALL, SIGUSR1);
    get(pid);
    printf("entry: orig_rax %lld rax %lld\n", registers.orig_rax, (long long)registers.rax);
    kill(pid, SIGKILL);
    show_wait(pid, 0);
}

static void bad_addresses(void) {
    static const int requests[] = {PTRACE_PEEKTEXT, PTRACE_PEEKDATA, PTRACE_PEEKUSER, PTRACE_POKETEXT, PTRACE_POKEDATA, PTRACE_POKEUSER};
    static const int structures[] = {PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_GETFPREGS, PTRACE_SETFPREGS, PTRACE_GETSIGINFO, PTRACE_SETSIGINFO, PTRACE_GETEVENTMSG};
    static const long places[] = {0, 1, 7, -1, -4, -8, 1L << 47, (1L << 47) - 4, 929, 1L << 62};
    puts("-- addresses that are none");
    pid_t pid = tracee(naps);
    for (size_t i = 0; i < LENGTH(places); i++) {
        for (size_t k = 0; k < LENGTH(requests); k++) {
            errno = 0;
            if (k % 3 == 2 && places[i] == 0) {
                continue;
            }
            long result = trace(requests[k], pid, (void *)places[i], k < 3 ? (void *)&places : NULL);
            printf("%d at %#lx: %ld %s\n", requests[k], places[i], result, result ? error_name(errno) : "");
        }
        for (size_t k = 0; k < LENGTH(structures); k++) {
            errno = 0;
            long result = trace(structures[k], pid, NULL, (void *)places[i]);
            printf("%d to %#lx: %ld %s\n", structures[k], places[i], result, result ? error_name(errno) : "");
        }
    }
    kill(pid, SIGKILL);
    show_wait(pid, 0);
}

static double volatile value = 1.5;

static void computes(void) {
    register double x __asm__("xmm5") = value;
    __asm__ volatile("int3" : "+x"(x));
    _exit(x == 2.5 ? 0 : 1);
}

static void floating_point(void) {
    puts("-- floating point");
    pid_t pid = tracee(computes);
    go_on(pid, PTRACE_CONT, 0);
    struct user_fpregs_struct fpu;
    TRACE(PTRACE_GETFPREGS, pid, 0, &fpu);
    double number;
    memcpy(&number, &fpu.xmm_space[5 * 4], 8);
    printf("xmm5 %g cwd %x mxcsr %x\n", number, fpu.cwd, fpu.mxcsr);
    number = 2.5;
    memcpy(&fpu.xmm_space[5 * 4], &number, 8);
    TRACE(PTRACE_SETFPREGS, pid, 0, &fpu);
    static unsigned char area[16384];
    struct iovec all = {area, sizeof area};
    TRACE(PTRACE_GETREGSET, pid, NT_X86_XSTATE, &all);
    memcpy(&number, area + 160 + 5 * 16, 8);
    printf("xmm5 %g, x87 and SSE %lx\n", number, *(unsigned long *)(area + 464) & 3);
    TRACE(PTRACE_SETREGSET, pid, NT_X86_XSTATE, &all);
    area[512 + 8] = 1;
    TRACE(PTRACE_SETREGSET, pid, NT_X86_XSTATE, &all);
    area[512 + 8] = 0, area[512 + 7] = 0x40;
    TRACE(PTRACE_SETREGSET, pid, NT_X86_XSTATE, &all);
    go_on(pid, PTRACE_CONT, 0);
}

static void handler(int number) {
    (void)number;
}

static void handles(void) {
    signal(SIGUSR1, handler);
    raise(SIGUSR1);
    _exit(0);
}

static void into_handlers(void) {
    puts("-- a step into a handler");
    pid_t pid = tracee(handles);
    go_on(pid, PTRACE_CONT, 0);
    go_on(pid, PTRACE_SINGLESTEP, SIGUSR1);
    show_siginfo(pid);
    get(pid);
    printf("at the handler: %d, rdi %lld\n", registers.rip == (unsigned long)handler, registers.rdi);
    go_on(pid, PTRACE_SINGLESTEP, 0);
    go_on(pid, PTRACE_CONT, 0);
}

int main(void) {
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    at_traps();
    user_area();
    break_points();
    changed_calls();
    restarts();
    restarts_between_calls();
    bad_addresses();
    floating_point();
    into_handlers();
    return 0;
}
