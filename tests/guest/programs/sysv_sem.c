/* System V semaphores: groups of operations, waiting, undoing, removal. */
#include "report.h"

#include <pthread.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/wait.h>
#include <time.h>

#ifndef SEM_STAT_ANY
#define SEM_STAT_ANY 20
#endif

static key_t KEY; /* of this run only */

union semun {
    int val;
    struct semid_ds *buf;
    unsigned short *array;
    void *pointer;
};

static int operate(int id, int number, int change, int flags) {
    struct sembuf one = {number, change, flags};
    return semop(id, &one, 1);
}

static void values(int id) {
    unsigned short all[3];
    union semun arg = {.array = all};
    if (semctl(id, 0, GETALL, arg) < 0) {
        printf("values: %s\n", error_name(errno));
    } else {
        printf("values: %d %d %d\n", all[0], all[1], all[2]);
    }
}

static void show(int id) {
    struct semid_ds ds;
    union semun arg = {.buf = &ds};
    if (CALL(semctl(id, 0, IPC_STAT, arg)) == 0) {
        printf("count %lu, mode %o, times %d%d, key %d\n", (unsigned long)ds.sem_nsems, ds.sem_perm.mode,
               ds.sem_otime != 0, ds.sem_ctime != 0, ds.sem_perm.__key == KEY);
    }
}

static void until_waiting(int id, int number, int command, int count) {
    while (semctl(id, number, command) != count) {
        sched_yield();
    }
}

static int reap(pid_t pid) {
    int status = -1;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* A child that makes one group and tells by its status how that went. */
static pid_t child(int id, struct sembuf *group, int count) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        _exit(semop(id, group, count) == 0 ? 0 : errno);
    }
    return pid;
}

static void getting(void) {
    CALL(semget(KEY, 3, 0600));
    CALL(semget(KEY, 0, IPC_CREAT | 0600));
    CALL(semget(KEY, -1, IPC_CREAT | 0600));
    CALL(semget(KEY, 32001, IPC_CREAT | 0600));
    int id = semget(KEY, 3, IPC_CREAT | IPC_EXCL | 0640);
    CALL(semget(KEY, 3, IPC_CREAT | IPC_EXCL | 0600));
    CALL(semget(KEY, 4, 0600));
    CALL(semget(KEY, 0, 0600) == id);
    show(id);
    values(id);
    CALL(semctl(id, 0, IPC_RMID));
    CALL(semctl(id, 0, IPC_RMID));
    CALL(semctl(-1, 0, GETVAL));
    CALL(semctl(id, 0, GETVAL));
    CALL(operate(id, 0, 1, 0));
    CALL(operate(-1, 0, 1, 0));
}

static void controlling(int id) {
    unsigned short all[3] = {1, 2, 40000};
    union semun arg = {.array = all}, wild = {.pointer = WILD};
    CALL(semctl(id, 0, SETALL, arg));
    all[2] = 32767;
    CALL(semctl(id, 7, SETALL, arg));
    values(id);
    CALL(semctl(id, 0, SETALL, wild));
    CALL(semctl(id, 0, GETALL, wild));
    CALL(semctl(id, 0, IPC_STAT, wild));
    CALL(semctl(id, 0, IPC_SET, wild));
    CALL(semctl(id, 0, 99, wild));
    CALL(semctl(id, 0, SETVAL, (union semun){.val = -1}));
    CALL(semctl(id, 0, SETVAL, (union semun){.val = 32768}));
    CALL(semctl(id, 3, SETVAL, (union semun){.val = 1}));
    CALL(semctl(id, -1, SETVAL, (union semun){.val = 1}));
    CALL(semctl(id, 1, SETVAL, (union semun){.val = 9}));
    CALL(semctl(id, 1, GETVAL));
    CALL(semctl(id, 3, GETVAL));
    CALL(semctl(id, 1, GETPID) == getpid());
    CALL(semctl(id, 1, GETNCNT));
    CALL(semctl(id, 1, GETZCNT));
}

static void operating(int id) {
    struct sembuf group[3] = {{0, 1, 0}, {1, -10, IPC_NOWAIT}, {2, 0, 0}}, many[501] = {{0}};
    struct timespec soon = {0, 20000000}, bad = {0, 1000000000}, negative = {-1, 0};
    CALL(semop(id, group, 3));
    values(id);
    CALL(semop(id, group, 0));
    CALL(semop(id, many, 501));
    CALL(semop(id, WILD, 1));
    CALL(semop(id, WILD, 501));
    CALL(operate(id, 3, 1, 0));
    CALL(operate(id, 2, 1, 0));
    CALL(operate(id, 2, 0, IPC_NOWAIT));
    group[1].sem_op = -9;
    group[2] = (struct sembuf){1, 0, IPC_NOWAIT};
    CALL(semop(id, group, 3));
    values(id);
    CALL(semtimedop(id, group + 1, 1, &soon));
    CALL(semtimedop(id, &(struct sembuf){1, -1, 0}, 1, &soon));
    CALL(semtimedop(id, &(struct sembuf){1, -1, 0}, 1, &bad));
    CALL(semtimedop(id, &(struct sembuf){1, -1, 0}, 1, &negative));
    CALL(semtimedop(id, &(struct sembuf){1, -1, 0}, 1, WILD));
    CALL(semtimedop(id, &(struct sembuf){1, 1, 0}, 1, &soon));
    CALL(semtimedop(id, &(struct sembuf){1, -1, 0}, 1, NULL));
}

static void waiting(int id) {
    unsigned short zeros[3] = {0};
    semctl(id, 0, SETALL, (union semun){.array = zeros});
    struct sembuf both[2] = {{0, -1, 0}, {1, -1, 0}}, two = {0, -2, 0}, zero[2] = {{2, 0, 0}, {2, 5, 0}};
    pid_t first = child(id, both, 2);
    until_waiting(id, 0, GETNCNT, 1);
    CALL(operate(id, 0, 1, 0)); /* still waits, now for the other one */
    until_waiting(id, 1, GETNCNT, 1);
    CALL(semctl(id, 0, GETNCNT));
    pid_t second = child(id, &two, 1);
    until_waiting(id, 0, GETNCNT, 1);
    CALL(operate(id, 0, 1, 0)); /* the second one, as the first cannot */
    printf("second %d\n", reap(second));
    values(id);
    CALL(operate(id, 1, 1, 0));
    CALL(operate(id, 0, 1, 0));
    printf("first %d\n", reap(first));
    values(id);
    CALL(semctl(id, 2, SETVAL, (union semun){.val = 2}));
    first = child(id, zero, 2);
    until_waiting(id, 2, GETZCNT, 1);
    CALL(semctl(id, 2, GETNCNT));
    CALL(operate(id, 2, -2, 0));
    printf("zero %d\n", reap(first));
    values(id);
    CALL(semctl(id, 2, GETPID) == first);
    /* An operation of which it turns out only later that it is not to wait. */
    struct sembuf late[2] = {{0, -1, 0}, {1, -1, IPC_NOWAIT}};
    first = child(id, late, 2);
    until_waiting(id, 0, GETNCNT, 1);
    CALL(operate(id, 0, 1, 0));
    printf("late: %s\n", error_name(reap(first)));
    values(id);
    first = child(id, &two, 1);
    until_waiting(id, 0, GETNCNT, 1);
    kill(first, SIGKILL);
    printf("killed %d\n", reap(first));
    CALL(semctl(id, 0, GETNCNT));
    CALL(operate(id, 0, 1, 0));
    values(id);
}

static void nothing(int signal) {
    (void)signal;
}

static void interrupting(int id) {
    struct sembuf much = {0, -9, 0};
    struct sigaction action = {.sa_handler = nothing, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    pid_t first = child(id, &much, 1);
    until_waiting(id, 0, GETNCNT, 1);
    kill(first, SIGUSR1);
    printf("interrupted: %s\n", error_name(reap(first)));
    first = child(id, &much, 1);
    until_waiting(id, 0, GETNCNT, 1);
    kill(first, SIGWINCH); /* ignored: nothing happens */
    kill(first, SIGUSR1);
    printf("interrupted: %s\n", error_name(reap(first)));
}

static void undoes(int id, int how) {
    operate(id, 0, 5, SEM_UNDO);
    operate(id, 1, -1, SEM_UNDO);
    operate(id, 1, -2, SEM_UNDO | IPC_NOWAIT);
    if (how == 1) {
        raise(SIGKILL);
    } else if (how == 2) {
        execl("/proc/self/exe", "self", "-", NULL);
    }
    _exit(0);
}

static void *in_thread(void *argument) {
    operate(*(int *)argument, 0, 7, SEM_UNDO);
    return NULL;
}

static void undoing(int id) {
    unsigned short some[3] = {2, 4, 32767};
    for (int how = 0; how < 3; how++) {
        semctl(id, 0, SETALL, (union semun){.array = some});
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            undoes(id, how);
        }
        reap(pid);
        values(id);
        CALL(semctl(id, 0, GETPID) == pid);
    }
    /* Waiters are woken by it. */
    struct sembuf take = {1, -5, 0}, zero = {0, 0, 0};
    semctl(id, 1, SETVAL, (union semun){.val = 4});
    pid_t waits = child(id, &take, 1), pid = fork();
    if (pid == 0) {
        until_waiting(id, 1, GETNCNT, 1);
        operate(id, 1, -2, 0);
        operate(id, 1, 1, 0);
        operate(id, 1, -2, SEM_UNDO);
        operate(id, 1, 2, 0);
        _exit(0);
    }
    reap(pid);
    printf("woken %d\n", reap(waits));
    values(id);
    /* What is set anew is not undone; and nothing gets below 0. */
    for (int how = 0; how < 2; how++) {
        semctl(id, 0, SETALL, (union semun){.array = some});
        pid = fork();
        if (pid == 0) {
            operate(id, 0, 3, SEM_UNDO);
            if (how == 0) {
                semctl(id, 0, SETVAL, (union semun){.val = 9});
            } else {
                operate(id, 0, -4, 0);
            }
            _exit(0);
        }
        reap(pid);
        values(id);
    }
    CALL(operate(id, 2, 1, 0));
    CALL(operate(id, 2, -32767, SEM_UNDO));
    CALL(operate(id, 2, 0, 0));
    CALL(operate(id, 2, 32767, 0));
    CALL(operate(id, 2, -2, SEM_UNDO));
    values(id);
    /* A thread's are undone with the process. */
    pid = fork();
    if (pid == 0) {
        pthread_t thread;
        pthread_create(&thread, NULL, in_thread, &id);
        pthread_join(thread, NULL);
        values(id);
        fflush(stdout);
        _exit(0);
    }
    reap(pid);
    values(id);
    (void)zero;
}

static void other_user(int id) {
    if (setgid(54321) || setuid(54321)) {
        printf("not root\n");
        return;
    }
    CALL(operate(id, 0, 0, IPC_NOWAIT));
    CALL(operate(id, 0, 1, 0));
    CALL(semctl(id, 0, GETVAL));
    CALL(semctl(id, 0, SETVAL, (union semun){.val = 1}));
    CALL(semctl(id, 0, IPC_RMID));
    CALL(semget(KEY, 0, 0400) == id);
    CALL(semget(KEY, 0, 0200));
    fflush(stdout);
}

static void rights(void) {
    struct semid_ds ds;
    union semun arg = {.buf = &ds};
    int id = semget(KEY, 2, IPC_CREAT | 0604);
    pid_t pid;
    fflush(stdout);
    if ((pid = fork()) == 0) {
        other_user(id);
        _exit(0);
    }
    reap(pid);
    semctl(id, 0, IPC_STAT, arg);
    ds.sem_perm.mode = 07123;
    CALL(semctl(id, 0, IPC_SET, arg));
    show(id);
    ds.sem_perm.gid = -1;
    CALL(semctl(id, 0, IPC_SET, arg));
    OK(semctl(id & 32767, 0, SEM_STAT, arg));
    OK(semctl(id & 32767, 0, SEM_STAT_ANY, arg));
    struct sembuf take = {0, -1, 0};
    pid_t first = child(id, &take, 1), second = child(id, &take, 1);
    until_waiting(id, 0, GETNCNT, 2);
    CALL(semctl(id, 0, IPC_RMID));
    printf("removed: %d %d\n", reap(first) == EIDRM, reap(second) == EIDRM);
    struct seminfo info;
    OK(semctl(0, 0, IPC_INFO, (union semun){.pointer = &info}));
    printf("%d %d %d %d %d %d %d %d %d %d\n", info.semmap, info.semmni, info.semmns, info.semmnu, info.semmsl,
           info.semopm, info.semume, info.semusz, info.semvmx, info.semaem);
    OK(semctl(0, 0, SEM_INFO, (union semun){.pointer = &info}));
}

int main(int argc, char **argv) {
    if (argc > 1 && argv[1][0] == '-') {
        return 0; /* what a child of this very program becomes */
    }
    enter_scratch(argc, argv);
    KEY = 0x5c000000 | getpid();
    getting();
    int id = semget(IPC_PRIVATE, 3, 0600);
    controlling(id);
    operating(id);
    waiting(id);
    interrupting(id);
    undoing(id);
    CALL(semctl(id, 0, IPC_RMID));
    rights();
    return leave_scratch();
}
