/* ptrace(2) on x86_64: debug registers stop a program before an instruction, and behind one that writes to a place. */
#include "../trace.h"

#include <stddef.h>
#include <sys/user.h>

#define REGISTER(n) (offsetof(struct user, u_debugreg) + (n) * 8)
#define POKE(n, value) TRACE(PTRACE_POKEUSER, pid, REGISTER(n), value)
#define ENABLE(n, type, length) (1ul << ((n) * 2) | ((type) | ((length) == 8 ? 2ul : (length) - 1ul) << 2) << (16 + (n) * 4))
enum { EXECUTE, WRITE };

static volatile long counted, wide[2] __attribute__((aligned(16)));
extern char at_nop[];

static void works(void) {
    for (long i = 1; i < 4; i++) {
        counted += i;
        __asm__ volatile(".globl at_nop\nat_nop: nop");
        *((volatile char *)wide + 3 + i) = (char)i;
    }
    syscall(SYS_getppid);
    counted = 77;
    _exit(4);
}

static unsigned long peek(pid_t pid, int n) {
    unsigned long word = 0;
    trace(PTRACE_PEEKUSER, pid, (void *)REGISTER(n), &word);
    return word;
}

static void show_registers(pid_t pid) {
    for (int n = 0; n < 8; n++) {
        unsigned long word = peek(pid, n);
        printf(word == (unsigned long)&counted ? "counted " : word == (unsigned long)at_nop ? "nop " : "%lx ", word);
    }
    puts("");
}

static pid_t begin(const char *what) {
    printf("-- %s\n", what);
    return tracee(works);
}

static void end(pid_t pid) {
    kill(pid, SIGKILL);
    show_wait(pid, 0);
}

static void errors(void) {
    pid_t pid = begin("what may be written");
    show_registers(pid);
    POKE(0, &counted);
    POKE(0, -1L);
    POKE(0, 1L << 47);
    POKE(1, at_nop);
    POKE(4, 0);
    POKE(5, 1);
    POKE(6, 0x4001);
    POKE(7, ENABLE(0, WRITE, 8));
    show_registers(pid);
    POKE(7, ENABLE(0, WRITE, 8) | ENABLE(1, EXECUTE, 1));
    POKE(7, ENABLE(0, 2, 1));
    POKE(7, ENABLE(0, EXECUTE, 4));
    POKE(7, ENABLE(2, WRITE, 4));
    show_registers(pid);
    POKE(7, 0);
    POKE(0, (long)&counted + 1);
    POKE(7, ENABLE(0, WRITE, 2));
    POKE(7, ENABLE(0, WRITE, 1));
    POKE(7, 0);
    POKE(6, 0);
    show_registers(pid);
    end(pid);
}

/* On to the next stop, which should be one. */
static void stop(pid_t pid, int request) {
    siginfo_t info;
    struct user_regs_struct registers;
    trace(request, pid, NULL, NULL);
    int status = show_wait(pid, 0);
    if (!WIFSTOPPED(status)) return;
    trace(PTRACE_GETSIGINFO, pid, NULL, &info);
    trace(PTRACE_GETREGS, pid, NULL, &registers);
    long value = 0;
    trace(PTRACE_PEEKDATA, pid, (void *)&counted, &value);
    printf("  code %d, at the address %d, at the nop %d, counted %ld, DR6 %lx\n", info.si_code, info.si_addr == (void *)registers.rip,
           registers.rip == (unsigned long)at_nop, value, peek(pid, 6));
    POKE(6, 0);
}

static void writes(void) {
    pid_t pid = begin("writes");
    POKE(0, &counted);
    POKE(7, ENABLE(0, WRITE, 8));
    for (int i = 0; i < 3; i++) stop(pid, PTRACE_CONT);
    stop(pid, PTRACE_SYSCALL);
    stop(pid, PTRACE_SYSCALL);
    stop(pid, PTRACE_CONT);
    stop(pid, PTRACE_CONT);
}

static void instructions(void) {
    pid_t pid = begin("instructions, and parts of words");
    POKE(1, at_nop);
    POKE(2, (long)wide + 4);
    POKE(7, ENABLE(1, EXECUTE, 1) | ENABLE(2, WRITE, 2));
    for (int i = 0; i < 5; i++) stop(pid, PTRACE_CONT);
    POKE(7, 0);
    stop(pid, PTRACE_CONT);
}

static void steps(void) {
    pid_t pid = begin("steps");
    POKE(3, at_nop);
    POKE(7, ENABLE(3, EXECUTE, 1));
    stop(pid, PTRACE_CONT);
    stop(pid, PTRACE_SINGLESTEP);
    stop(pid, PTRACE_CONT);
    POKE(7, 0);
    TRACE(PTRACE_DETACH, pid, 0, 0);
    show_wait(pid, 0);
}

int main(void) {
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    errors();
    writes();
    instructions();
    steps();
    return 0;
}
