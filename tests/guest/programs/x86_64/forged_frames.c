/* rt_sigreturn(2) with frames that a handler has changed: what each does to the program. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static char alternate[65536], other[8192] __attribute__((aligned(64)));
static int how;

static void died(int signal, siginfo_t *info, void *context) {
    (void)context;
    printf("signal %d code %d\n", signal, info->si_code);
    fflush(stdout);
    _exit(1);
}

static void change(ucontext_t *context) {
    greg_t *registers = context->uc_mcontext.gregs;
    char *fpu = (char *)context->uc_mcontext.fpregs;
    uint64_t header;
    switch (how) {
    case 0: registers[REG_CSGSFS] = 0; break;
    case 1: registers[REG_CSGSFS] ^= 3; break; /* less than user mode, which is not taken */
    case 2: registers[REG_CSGSFS] ^= 0x40; break;
    case 3: registers[REG_CSGSFS] ^= 1ull << 52; break; /* SS */
    case 4: registers[REG_CSGSFS] &= 0x0000ffffffffffff; break;
    case 5: registers[REG_CSGSFS] &= 0x0000ffffffffffff, context->uc_flags = 0; break; /* any SS will do */
    case 6: registers[REG_RIP] = 1ull << 63; break;
    case 7: registers[REG_RSP] = 1ull << 63; break;
    case 8: registers[REG_EFL] = -1; break; /* the trap flag too */
    case 9: registers[REG_EFL] |= 0x3000 | 1 << 17 | 1 << 19; break; /* IOPL, VM, VIF */
    case 10: context->uc_mcontext.fpregs = NULL; break;
    case 11: context->uc_mcontext.fpregs = (void *)8; break;
    case 12: context->uc_mcontext.fpregs = (void *)(1ull << 63); break;
    case 13: context->uc_mcontext.fpregs = (void *)(memcpy(other + 8, fpu, 4096)); break;
    case 14: context->uc_mcontext.fpregs = (void *)(memcpy(other + 16, fpu, 4096)); break;
    case 15: context->uc_mcontext.fpregs = (void *)(memcpy(other + 64, fpu, 4096)); break;
    case 16: memset(fpu + 24, 0xff, 4); break; /* MXCSR */
    case 17: memset(fpu + 464, 0, 48); break;  /* no extended state, it says */
    case 18: memset(fpu + 464, 0xff, 48); break;
    case 19: memset(fpu + 464 + 4, 0xff, 4); break;
    case 20: memset(fpu + 464 + 8, 0xff, 8); break;
    case 21: memset(fpu + 464 + 16, 0, 4); break;
    case 22: memcpy(&header, fpu + 512, 8), header |= 1ull << 62, memcpy(fpu + 512, &header, 8); break;
    case 23: memset(fpu + 520, 1, 1); break;
    case 24: memset(fpu + 535, 1, 1); break;
    case 25: memset(fpu + 536, 0xff, 40); break;
    case 26: memset(fpu + 512, 0, 8); break;
    case 27: memset(fpu + 527, 0x80, 1); break; /* compacted */
    case 28: context->uc_stack.ss_flags = 77; break;
    case 29: context->uc_stack.ss_size = 1; break;
    case 30: context->uc_flags = -1; break;
    case 31: memset(&context->uc_sigmask, 0xff, 8); break;
    }
}

static void handler(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info;
    change(context);
}

int main(void) {
    struct sigaction action = {.sa_sigaction = died, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    sigaltstack(&stack, NULL);
    sigaction(SIGSEGV, &action, NULL), sigaction(SIGBUS, &action, NULL), sigaction(SIGTRAP, &action, NULL);
    action.sa_sigaction = handler, action.sa_flags = SA_SIGINFO;
    sigaction(SIGUSR1, &action, NULL);
    for (how = 0; how < 32; how++) {
        int status;
        printf("%d: ", how);
        fflush(stdout);
        if (fork() == 0) {
            uint32_t mxcsr;
            sigset_t mask;
            raise(SIGUSR1);
            asm volatile("stmxcsr %0" : "=m"(mxcsr));
            sigaltstack(NULL, &stack);
            sigprocmask(0, NULL, &mask);
            printf("goes on: MXCSR %x, stack %d, usr2 %d\n", mxcsr, stack.ss_sp == alternate, sigismember(&mask, SIGUSR2));
            fflush(stdout);
            _exit(0);
        }
        wait(&status);
        printf("%x\n", status & ~0x80);
    }
}
