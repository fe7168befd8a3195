/* Handlers that bring no trampoline of their own return all the same, where the kernel has one for them (aarch64). */
#include "../report.h"

#include <signal.h>
#include <ucontext.h>

static volatile int calls;

static void handler(int signal) {
    calls++;
    if (signal == SIGUSR1) raise(SIGUSR2); /* nested */
}

static void with_info(int signal, siginfo_t *info, void *context) {
    calls += info->si_signo == signal && ((ucontext_t *)context)->uc_link == NULL;
}

/* The system call itself: C libraries differ in whether they add SA_RESTORER. */
static void set_handler(int signal, void *function, unsigned long flags) {
    struct {
        void *handler;
        unsigned long flags;
#if defined __x86_64__
        void *restorer;
#endif
        unsigned long mask;
    } action = {.handler = function, .flags = flags};
    CALL(syscall(SYS_rt_sigaction, signal, &action, NULL, 8));
}

int main(void) {
    set_handler(SIGUSR1, handler, 0);
    set_handler(SIGUSR2, with_info, SA_SIGINFO);
    for (int i = 0; i < 3; i++) raise(SIGUSR1);
    printf("%d calls\n", calls);
    return 0;
}
