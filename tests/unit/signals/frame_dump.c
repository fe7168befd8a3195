/* Shows the signal frames that the real kernel builds: one on the stack, one on an alternate stack.

   For each: the address of the frame, the end of what the kernel wrote, and the bytes between, as
   hexadecimal. Only for x86_64, where on entry of a handler the stack pointer is the frame's address. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>
#include <sys/syscall.h>

static char alternate[65536];

__attribute__((noinline)) static void dump(int sig, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    uint8_t *frame = (uint8_t *)uc - 8;
    uint8_t *fp = (uint8_t *)uc->uc_mcontext.fpregs;
    uint32_t extended = *(uint32_t *)(fp + 464 + 4);
    uint8_t *end = fp + extended;
    printf("%d %p %p %p\n", sig, (void *)frame, (void *)fp, (void *)end);
    for (uint8_t *p = frame; p < frame + 440; p++) printf("%02x", *p);
    printf("\n");
    for (uint8_t *p = fp; p < end; p++) printf("%02x", *p);
    printf("\n");
    (void)info;
}

int main(void) {
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    struct sigaction action = {.sa_sigaction = dump, .sa_flags = SA_SIGINFO};
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGHUP);
    sigaddset(&blocked, SIGRTMIN + 3);
    sigprocmask(SIG_SETMASK, &blocked, 0);
    sigaltstack(&stack, 0);
    sigaction(SIGUSR1, &action, 0);
    action.sa_flags |= SA_ONSTACK;
    sigaction(SIGUSR2, &action, 0);
    syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1);
    syscall(SYS_tgkill, getpid(), getpid(), SIGUSR2);
    return 0;
}
