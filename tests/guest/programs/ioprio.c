/* ioprio_set(2) and ioprio_get(2). */
#include "report.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define PRIORITY(class, level) ((class) << 13 | (level))

static long set(int which, int who, int priority) {
    return syscall(SYS_ioprio_set, which, who, priority);
}

static long get(int which, int who) {
    return syscall(SYS_ioprio_get, which, who);
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){0}); /* whoever starts it may be nice */
    setpriority(PRIO_PROCESS, 0, 0);
    CALL(get(1, 0));
    CALL(set(1, 0, PRIORITY(2, 3)));
    CALL(get(1, 0));
    CALL(get(1, getpid()));
    CALL(set(1, 0, PRIORITY(3, 0)));
    CALL(get(1, 0));
    CALL(set(1, 0, PRIORITY(0, 1)));
    CALL(set(1, 0, PRIORITY(4, 0)));
    CALL(set(0, 0, PRIORITY(2, 0)));
    CALL(set(4, 0, PRIORITY(2, 0)));
    CALL(get(4, 0));
    CALL(set(1, 999999, PRIORITY(2, 0)));
    CALL(get(1, 999999));
    CALL(get(2, 999999));
    CALL(set(1, 0, PRIORITY(2, 6)));
    pid_t child = fork();
    if (child == 0) {
        CALL(get(1, 0));
        setpgid(0, 0);
        CALL(get(2, 0));
        CALL(set(1, 0, PRIORITY(0, 0)));
        CALL(get(1, 0));
        CALL(get(2, 0));
        setpriority(PRIO_PROCESS, 0, 10);
        CALL(get(2, 0));
        return 0;
    }
    waitpid(child, NULL, 0);
    CALL(set(1, 0, PRIORITY(0, 0)));
    CALL(get(1, 0));
    return 0;
}
