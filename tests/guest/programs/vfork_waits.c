/* What ends the wait of one who has called vfork: a signal that kills, and the end of a child that is a thread. */
#include "report.h"

#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static char stack[1 << 14] __attribute__((aligned(16)));
static int pids[2];

static int sleep_for_ever(void *argument) {
    (void)argument;
    int pid = (int)syscall(SYS_getpid);
    if (write(pids[1], &pid, sizeof pid) != sizeof pid) {
        _exit(1);
    }
    for (;;) {
        pause();
    }
}

static int end_at_once(void *argument) {
    (void)argument;
    syscall(SYS_exit, 0);
    return 0;
}

static void handle(int signal) {
    (void)signal;
}

static void killed_by(int signal, const char *name) {
    int status = 0, child;
    if (pipe(pids) != 0) {
        printf("no pipe\n");
    }
    pid_t mother = fork();
    if (mother == 0) {
        sigaction(SIGUSR1, &(struct sigaction){.sa_handler = handle}, NULL);
        clone(sleep_for_ever, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
        _exit(3);
    }
    if (read(pids[0], &child, sizeof child) != sizeof child) {
        printf("no child\n");
    }
    if (signal == SIGKILL) {
        kill(mother, SIGUSR1); /* interrupts nothing */
    }
    kill(mother, signal);
    waitpid(mother, &status, 0);
    printf("%s: the mother has status %#x\n", name, status & 0x7f);
    kill(child, SIGKILL);
    close(pids[0]);
    close(pids[1]);
}

int main(void) {
    killed_by(SIGKILL, "SIGKILL");
    killed_by(SIGTERM, "SIGTERM");
    int flags = CLONE_VM | CLONE_VFORK | CLONE_THREAD | CLONE_SIGHAND | CLONE_FS | CLONE_FILES;
    int tid = clone(end_at_once, stack + sizeof stack, flags, NULL);
    printf("a thread: %s\n", tid > 0 ? "has ended" : "failed");
    return 0;
}
