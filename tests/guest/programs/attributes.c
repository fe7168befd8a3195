/* What a process asks of the scheduler and of prctl(2), at its corners. */
#include "report.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define CLASS(number, data) ((number) << 13 | (data))

/* As in linux/sched/types.h of newer systems. */
struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

static void set_with(uint64_t flags, int policy, int nice, int priority) {
    struct attributes wanted = {.size = 48, .policy = policy, .flags = flags, .nice = nice, .priority = priority};
    errno = 0;
    long result = syscall(SYS_sched_setattr, 0, &wanted, 0);
    printf("setattr(%d, %d, %d) = %ld %s; ", policy, nice, priority, result, result ? error_name(errno) : "");
    printf("policy %d nice %d\n", sched_getscheduler(0), getpriority(PRIO_PROCESS, 0));
}

static void set(int policy, int nice, int priority) {
    set_with(0, policy, nice, priority);
}

/* What is kept is not looked at. */
static void keeping(void) {
    enum { RESET_ON_FORK = 1, KEEP_POLICY = 8, KEEP_PARAMS = 16 };
    set(SCHED_BATCH, 5, 0);
    set_with(KEEP_POLICY, 99, 6, 0);
    set_with(KEEP_POLICY, -1, 6, 0);
    set_with(KEEP_POLICY, 0, 7, 1);
    set_with(KEEP_PARAMS, SCHED_OTHER, 0, 9);
    set_with(KEEP_PARAMS, SCHED_FIFO, 0, 9);
    set_with(KEEP_PARAMS | KEEP_POLICY, 99, 99, 99);
    set_with(KEEP_POLICY | RESET_ON_FORK, 0, 7, 0);
    set_with(KEEP_PARAMS | RESET_ON_FORK, SCHED_BATCH, 0, 0);
    set_with(KEEP_PARAMS | KEEP_POLICY, 0, 0, 0);
    set_with(1 << 20, SCHED_OTHER, 8, 0);
    set_with(1 << 20, 99, 8, 0);
}

static void scheduler(void) {
    set(SCHED_BATCH, 3, 0);
    set(SCHED_IDLE, 7, 0); /* has no use for a nice value */
    set(SCHED_OTHER, 5, 0);
    set(SCHED_OTHER, 1, 0); /* better than now: EPERM, not EACCES */
    set(SCHED_IDLE, 1, 0);
    set(SCHED_OTHER, 50, 0);
    set(SCHED_OTHER, 19, 1);
    set(SCHED_FIFO, 0, 1);
    set(9, 0, 0);
    CALL(setpriority(PRIO_PROCESS, 0, 18));
}

static void input_output(void) {
    CALL(syscall(SYS_ioprio_set, 1, 0, CLASS(2, 3)));
    CALL(syscall(SYS_ioprio_get, 1, 0));
    CALL(syscall(SYS_ioprio_set, 1, 0, 0x10000 | CLASS(2, 5))); /* only three bits are the class */
    CALL(syscall(SYS_ioprio_get, 1, 0));
    CALL(syscall(SYS_ioprio_set, 1, 0, CLASS(0, 8))); /* a hint */
    CALL(syscall(SYS_ioprio_get, 1, 0));
    CALL(syscall(SYS_ioprio_set, 1, 0, CLASS(0, 1)));
    CALL(syscall(SYS_ioprio_set, 1, 0, CLASS(7, 0)));
    CALL(syscall(SYS_ioprio_set, 1, 0, -1));
}

static void huge_pages(void) {
    CALL(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
    CALL(prctl(PR_GET_THP_DISABLE, 1, 0, 0, 0));
    CALL(prctl(PR_SET_THP_DISABLE, 2, 0, 0, 1));
    CALL(prctl(PR_SET_THP_DISABLE, 2, 0, 0, 0));
    CALL(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
    fflush(stdout);
    if (fork() == 0) {
        CALL(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
        CALL(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0));
        exit(0);
    }
    wait(NULL);
    CALL(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
}

int main(void) {
    sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){0}); /* whoever starts it may be nice */
    setpriority(PRIO_PROCESS, 0, 0);
    if (getuid() == 0 && (setresgid(1234, 1234, 1234) || setresuid(1234, 1234, 1234))) {
        return 1;
    }
    fflush(stdout);
    if (fork() == 0) {
        keeping();
        exit(0);
    }
    wait(NULL);
    scheduler();
    input_output();
    huge_pages();
    int mode = 0;
    CALL(prctl(PR_GET_TSC, &mode));
    CALL(prctl(PR_GET_TSC, WILD));
    CALL(prctl(PR_SET_TSC, PR_TSC_ENABLE));
    CALL(prctl(PR_SET_TSC, 3));
    printf("%d\n", mode);
}
