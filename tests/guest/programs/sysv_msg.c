/* System V message queues: choosing, cutting, waiting for room and for messages, removal. */
#include "report.h"

#include "asleep.h"

#include <signal.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/wait.h>
#include <time.h>

#ifndef MSG_COPY
#define MSG_COPY 040000
#endif
#ifndef MSG_STAT_ANY
#define MSG_STAT_ANY 13
#endif

static key_t KEY; /* of this run only */

static struct message {
    long type;
    char text[9000];
} m;

static long sends(int id, long type, const char *text, int flags) {
    m.type = type;
    strcpy(m.text, text);
    return msgsnd(id, &m, strlen(text) + 1, flags);
}

static long receives(int id, size_t size, long type, int flags) {
    memset(&m, 0, sizeof m);
    long count = msgrcv(id, &m, size, type, flags);
    int error = errno;
    if (count >= 0) {
        printf("[type %ld: %.*s] ", m.type, (int)count, m.text);
    }
    errno = error;
    return count;
}

static void show(int id) {
    struct msqid_ds ds;
    if (CALL(msgctl(id, IPC_STAT, &ds)) == 0) {
        printf("bytes %lu, messages %lu, most %lu, mode %o, times %d%d%d, pids %d%d, key %d\n",
               (unsigned long)ds.__msg_cbytes, (unsigned long)ds.msg_qnum, (unsigned long)ds.msg_qbytes,
               ds.msg_perm.mode, ds.msg_stime != 0, ds.msg_rtime != 0, ds.msg_ctime != 0,
               ds.msg_lspid == getpid(), ds.msg_lrpid == getpid(), ds.msg_perm.__key == KEY);
    }
}

static int reap(pid_t pid) {
    int status = -1;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void getting(void) {
    CALL(msgget(KEY, 0600));
    int id = msgget(KEY, IPC_CREAT | IPC_EXCL | 0640);
    CALL(msgget(KEY, IPC_CREAT | IPC_EXCL | 0600));
    CALL(msgget(KEY, 0600) == id);
    show(id);
    CALL(msgctl(id, IPC_RMID, NULL));
    CALL(msgctl(id, IPC_RMID, NULL));
    CALL(msgctl(-1, IPC_STAT, NULL));
    CALL(msgctl(id, 99, NULL));
    CALL(sends(id, 1, "gone", 0));
    CALL(receives(id, 10, 0, 0));
}

static void choosing(int id) {
    CALL(receives(id, 10, 0, IPC_NOWAIT));
    CALL(sends(id, 0, "none", 0));
    CALL(sends(id, -1, "none", 0));
    CALL(msgsnd(id, &m, 8193, 0));
    CALL(msgsnd(id, &m, -1, 0));
    CALL(msgsnd(id, WILD, 1, 0));
    CALL(msgsnd(-1, &m, 1, 0));
    for (int i = 0; i < 8; i++) {
        char text[2] = {'a' + i, 0};
        sends(id, (long[]){3, 5, 2, 4, 2, 9, 1, 3}[i], text, 0);
    }
    show(id);
    CALL(receives(id, 10, 0, 0));
    CALL(receives(id, 10, 4, 0));
    CALL(receives(id, 10, 7, IPC_NOWAIT));
    CALL(receives(id, 10, -4, 0));
    CALL(receives(id, 10, -4, 0));
    CALL(receives(id, 10, 5, MSG_EXCEPT));
    CALL(receives(id, 1, 5, 0));
    CALL(receives(id, -1, 5, 0));
    CALL(receives(id, 10, 2, MSG_COPY | IPC_NOWAIT));
    CALL(receives(id, 10, 0, MSG_COPY | IPC_NOWAIT));
    CALL(receives(id, 10, 3, MSG_COPY | IPC_NOWAIT));
    CALL(receives(id, 10, -1, MSG_COPY | IPC_NOWAIT));
    CALL(receives(id, 10, 0, MSG_COPY));
    CALL(receives(id, 10, 0, MSG_COPY | IPC_NOWAIT | MSG_EXCEPT));
    CALL(receives(id, 1, 0, MSG_COPY | IPC_NOWAIT));
    CALL(receives(id, 1, 0, MSG_COPY | IPC_NOWAIT | MSG_NOERROR));
    CALL(msgrcv(id, WILD, 10, 0, MSG_COPY | IPC_NOWAIT));
    CALL(receives(id, 1, 5, MSG_NOERROR));
    CALL(receives(id, 10, (long)1 << 63, 0));
    CALL(msgrcv(id, WILD, 10, 0, 0));
    show(id);
    CALL(receives(id, 0, 0, MSG_NOERROR | IPC_NOWAIT));
    CALL(msgsnd(id, &(long){4}, 0, 0));
    CALL(receives(id, 0, 0, 0));
}

static void filling(int id) {
    struct msqid_ds ds;
    m.type = 1;
    CALL(msgsnd(id, &m, 8192, 0));
    CALL(msgsnd(id, &m, 8192, IPC_NOWAIT));
    CALL(msgsnd(id, &m, 1, IPC_NOWAIT));
    CALL(msgsnd(id, &m, 0, IPC_NOWAIT));
    show(id);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        m.type = 2;
        _exit(msgsnd(id, &m, 100, 0) == 0 ? 0 : errno);
    }
    until_asleep(pid);
    CALL(msgrcv(id, &m, 8192, 0, 0));
    printf("sender %d\n", reap(pid));
    while (msgrcv(id, &m, 8192, 0, IPC_NOWAIT) >= 0) {
    }
    msgctl(id, IPC_STAT, &ds);
    ds.msg_qbytes = 3;
    CALL(msgctl(id, IPC_SET, &ds));
    int count = 0;
    while (msgsnd(id, &m, 0, IPC_NOWAIT) == 0) {
        count++;
    }
    printf("empty ones: %d %s\n", count, error_name(errno));
    fflush(stdout);
    if ((pid = fork()) == 0) {
        _exit(msgsnd(id, &m, 0, 0) == 0 ? 0 : errno);
    }
    until_asleep(pid);
    ds.msg_qbytes = 16384;
    CALL(msgctl(id, IPC_SET, &ds));
    printf("sender %d\n", reap(pid));
    ds.msg_qbytes = 16383;
    CALL(msgctl(id, IPC_SET, &ds));
    show(id);
    CALL(msgctl(id, IPC_SET, WILD));
    CALL(msgctl(id, IPC_STAT, WILD));
    while (msgrcv(id, &m, 8192, 0, IPC_NOWAIT) >= 0) {
    }
}

static pid_t receiver(int id, size_t size, long type, int flags) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        long count = receives(id, size, type, flags);
        fflush(stdout);
        _exit(count < 0 ? errno : 0);
    }
    until_asleep(pid);
    return pid;
}

static void nothing(int signal) {
    (void)signal;
}

static void waiting(int id) {
    pid_t small = receiver(id, 2, 0, 0), five = receiver(id, 10, 5, 0), any = receiver(id, 10, -9, 0);
    CALL(sends(id, 9, "long", 0));
    printf("small %s\n", error_name(reap(small)));
    printf("any %d\n", reap(any));
    CALL(sends(id, 4, "stays", 0));
    CALL(sends(id, 5, "five", 0));
    printf("five %d\n", reap(five));
    CALL(receives(id, 10, 0, 0));
    struct sigaction action = {.sa_handler = nothing, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    pid_t pid = receiver(id, 10, 0, 0);
    kill(pid, SIGWINCH);
    until_asleep(pid);
    kill(pid, SIGUSR1);
    printf("interrupted %s\n", error_name(reap(pid)));
    pid = receiver(id, 10, 0, 0);
    kill(pid, SIGSTOP);
    until_asleep(pid);
    kill(pid, SIGCONT);
    until_asleep(pid);
    CALL(sends(id, 1, "again", 0));
    printf("stopped %d\n", reap(pid));
    pid = receiver(id, 10, 0, 0);
    kill(pid, SIGKILL);
    printf("killed %d\n", reap(pid));
    CALL(sends(id, 1, "after", 0));
    CALL(receives(id, 10, 0, IPC_NOWAIT));
    pid_t one = receiver(id, 10, 0, 0), two = receiver(id, 10, 0, 0);
    CALL(msgctl(id, IPC_RMID, NULL));
    printf("removed %d", reap(one) == EIDRM);
    printf(" %d\n", reap(two) == EIDRM);
}

static void rights(void) {
    struct msqid_ds ds;
    int id = msgget(KEY, IPC_CREAT | 0604);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (setgid(54321) || setuid(54321)) {
            printf("not root\n");
        }
        CALL(sends(id, 1, "no", 0));
        CALL(receives(id, 10, 0, IPC_NOWAIT));
        CALL(msgctl(id, IPC_RMID, NULL));
        CALL(msgctl(id, IPC_STAT, &ds));
        CALL(msgctl(id, IPC_SET, &ds));
        CALL(msgget(KEY, 0200));
        int mine = msgget(IPC_PRIVATE, 0600);
        msgctl(mine, IPC_STAT, &ds);
        ds.msg_qbytes = 16385;
        CALL(msgctl(mine, IPC_SET, &ds));
        ds.msg_qbytes = 16384;
        CALL(msgctl(mine, IPC_SET, &ds));
        CALL(msgctl(mine, IPC_RMID, &ds));
        fflush(stdout);
        _exit(0);
    }
    reap(pid);
    OK(msgctl(id & 32767, MSG_STAT, &ds));
    OK(msgctl(id & 32767, MSG_STAT_ANY, &ds));
    CALL(msgctl(id, IPC_RMID, NULL));
    struct msginfo info;
    OK(msgctl(0, IPC_INFO, (void *)&info));
    printf("%d %d %d %d %d %d %d %d\n", info.msgpool, info.msgmap, info.msgmax, info.msgmnb, info.msgmni, info.msgssz,
           info.msgtql, info.msgseg);
    OK(msgctl(0, MSG_INFO, (void *)&info));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    KEY = 0x5c000000 | getpid();
    getting();
    int id = msgget(IPC_PRIVATE, 0600);
    choosing(id);
    filling(id);
    waiting(id);
    rights();
    return leave_scratch();
}
