/* RLIMIT_NPROC: fork fails at it, and after a change of the user the next execve does (setuid(2), execve(2)). The
 * user is one that nothing else runs as, not even this program at the same time. Without the right to become it nothing is asked. */
#include "report.h"

#include <sys/resource.h>
#include <sys/wait.h>

static uid_t nobody;

static void limit(rlim_t soft) { CALL(setrlimit(RLIMIT_NPROC, &(struct rlimit){soft, soft})); }

/* A child that has become the user and sleeps until the pipe is closed. */
static void occupy(int *fds, int ready) {
    if (fork()) return;
    char c;
    close(fds[1]);
    if (setresuid(nobody, nobody, nobody) || write(ready, "", 1) != 1) _exit(1);
    _exit((int)read(fds[0], &c, 1));
}

static void child(rlim_t most, int *fds) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid) {
        int status;
        waitpid(pid, &status, 0);
        printf("status %d\n", WEXITSTATUS(status));
        return;
    }
    close(fds[1]);
    limit(most);
    CALL(setresuid(nobody, nobody, nobody));
    if (most < 10) CALL(fork());
    fflush(stdout);
    execl("/nowhere", "nowhere", NULL); /* what is checked first shows */
    report("execl", -1);
    fflush(stdout);
    CALL(setrlimit(RLIMIT_NPROC, &(struct rlimit){0, 0}));
    CALL(setresuid(nobody, nobody, nobody));
    execl("/nowhere", "nowhere", NULL);
    report("execl", -1);
    fflush(stdout);
    _exit(9);
}

int main(void) {
    int fds[2], ready[2];
    if (geteuid()) return !printf("not root\n");
    if (pipe(fds) || pipe(ready)) return 1;
    nobody = 61234000 + getpid();
    occupy(fds, ready[1]);
    char c;
    if (read(ready[0], &c, 1) != 1) return 1; /* it is that user's by now */
    child(10, fds);
    child(1, fds);
    child(0, fds);
    close(fds[1]);
    wait(NULL);
    return 0;
}
