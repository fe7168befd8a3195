/* Name spaces of host names and of IPC: clone(2), unshare(2), setns(2), /proc/PID/ns; and who may have them. */
#include "report.h"

#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/utsname.h>
#include <sys/wait.h>

static char before[65];

static const char *host(void) {
    static struct utsname names;
    uname(&names);
    return strcmp(names.nodename, before) == 0 ? "the first" : names.nodename;
}

static const char *host_file(void) {
    static char line[80];
    FILE *file = fopen("/proc/sys/kernel/hostname", "r");
    if (fgets(line, sizeof line, file) == NULL) {
        line[0] = 0;
    }
    fclose(file);
    line[strcspn(line, "\n")] = 0;
    return strcmp(line, before) == 0 ? "the first" : line;
}

static ino_t number(const char *path) {
    struct stat facts;
    return stat(path, &facts) < 0 ? 0 : facts.st_ino;
}

/* Whether two links of name spaces lead to the same. */
static void compare(const char *what, const char *one, const char *other) {
    char first[64] = "", second[64] = "", expected[64];
    ssize_t length = readlink(one, first, sizeof first - 1);
    if (readlink(other, second, sizeof second - 1) < 0 || length < 0) {
        printf("%s: %s\n", what, error_name(errno));
        return;
    }
    snprintf(expected, sizeof expected, "%s:[%lu]", what, (unsigned long)number(one));
    printf("%s: %s, %s\n", what, strcmp(first, second) ? "another" : "the same", strcmp(first, expected) ? first : "numbered");
}

/* Names are changed only where a new name space has really been entered. */
static void rename_host(const char *name) {
    CALL(sethostname(name, strlen(name)));
    CALL(setdomainname("d", 1));
}

static void finish(void) {
    fflush(stdout);
    _exit(0);
}

static void in_child(void (*act)(void)) {
    fflush(stdout);
    if (fork() == 0) {
        act();
        finish();
    }
    wait(NULL);
}

static void names(void) {
    if (CALL(unshare(CLONE_NEWUTS)) < 0) {
        return;
    }
    printf("host %s\n", host());
    rename_host("elsewhere");
    printf("host %s, by file %s\n", host(), host_file());
    fflush(stdout);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/uts", getppid());
    compare("uts", "/proc/self/ns/uts", path);
    compare("mnt", "/proc/self/ns/mnt", "/proc/thread-self/ns/mnt");
    if (fork() == 0) {
        printf("its child: host %s\n", host());
        compare("uts", "/proc/self/ns/uts", "/proc/self/ns/uts");
        finish();
    }
    wait(NULL);
    int fd = open(path, O_RDONLY);
    CALL(setns(fd, CLONE_NEWIPC));
    CALL(setns(fd, CLONE_NEWUTS));
    printf("host %s\n", host());
    close(fd);
}

/* Of this run only: the first name spaces are everybody's. */
static int key;
static char queue_name[32];

static void objects(void) {
    int id = shmget(key, 4096, IPC_CREAT | 0600);
    char *area = shmat(id, NULL, 0);
    strcpy(area, "kept");
    int set = semget(key, 1, IPC_CREAT | 0600);
    struct sembuf up = {0, 2, SEM_UNDO};
    CALL(semop(set, &up, 1));
    int first = open("/proc/self/ns/ipc", O_RDONLY);
    if (CALL(unshare(CLONE_NEWIPC)) == 0) {
        CALL(shmget(key, 4096, 0600));
        CALL(semget(key, 1, 0600));
        CALL(msgget(key, 0600));
        printf("%s\n", area);
        OK(shmget(key, 8192, IPC_CREAT | 0600));
        OK(msgget(key, IPC_CREAT | 0600));
        CALL(semctl(set, 0, GETVAL));
        char *own = shmat(shmget(key, 0, 0600), NULL, 0);
        printf("%d\n", own[0]);
        CALL(setns(first, 0));
        CALL(semctl(set, 0, GETVAL)); /* what was to be undone has been */
        struct shmid_ds facts;
        shmctl(id, IPC_STAT, &facts);
        printf("%ld attached, %zu bytes\n", (long)facts.shm_nattch, facts.shm_segsz);
        strcpy(own, "gone with the last one to use it");
        shmdt(own);
    }
    close(first);
    shmctl(id, IPC_RMID, NULL);
    semctl(set, 0, IPC_RMID);
}

static void queues(void) {
    struct mq_attr size = {.mq_maxmsg = 2, .mq_msgsize = 8};
    mqd_t queue = mq_open(queue_name, O_CREAT | O_RDWR, 0600, &size);
    if (CALL(unshare(CLONE_NEWIPC)) == 0) {
        CALL(mq_open(queue_name, O_RDWR));
        CALL(mq_send(queue, "x", 1, 0)); /* what is open stays */
        OK(mq_open(queue_name, O_CREAT | O_RDWR, 0600, &size));
        CALL(mq_unlink(queue_name));
        CALL(mq_unlink(queue_name));
        CALL(setns(syscall(434, getppid(), 0), CLONE_NEWIPC | CLONE_NEWUTS));
    }
    CALL(mq_unlink(queue_name));
}

static long raw_clone(unsigned long flags) {
    fflush(stdout);
    return syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
}

static void clones(void) {
    long pid = raw_clone(CLONE_NEWUTS | CLONE_NEWIPC);
    if (pid == 0) {
        rename_host("of-a-clone");
        printf("host %s\n", host());
        finish();
    }
    CALL(pid < 0 ? pid : 0);
    wait(NULL);
    printf("host %s\n", host());
    CALL(raw_clone(CLONE_NEWIPC | CLONE_SYSVSEM));
    CALL(raw_clone(CLONE_NEWNS | CLONE_FS));
}

static void refusals(void) {
    int null = open("/dev/null", O_RDONLY), own = open("/proc/self/ns/uts", O_RDONLY), user = open("/proc/self/ns/user", O_RDONLY);
    int self = syscall(434, getpid(), 0);
    CALL(setns(null, 0));
    CALL(setns(99, 0));
    CALL(setns(own, CLONE_NEWNET));
    CALL(setns(own, 1));
    CALL(setns(user, 0));
    CALL(setns(self, 0));
    CALL(setns(self, CLONE_NEWUTS | 1));
    CALL(setns(self, CLONE_NEWUSER));
    CALL(setns(self, CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP | CLONE_NEWPID));
    CALL(setns(own, 0));
    CALL(setns(own, CLONE_NEWUTS));
    CALL(unshare(CLONE_NEWUTS | 1));
}

static void of_nobody(void) {
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0) {
        _exit(1);
    }
    CALL(unshare(CLONE_NEWUTS));
    CALL(unshare(CLONE_NEWIPC));
    CALL(unshare(CLONE_NEWNS));
    CALL(unshare(CLONE_NEWPID));
    CALL(unshare(CLONE_NEWNET));
    CALL(raw_clone(CLONE_NEWUTS));
    CALL(raw_clone(CLONE_NEWIPC | CLONE_SYSVSEM));
    CALL(setns(open("/proc/self/ns/uts", O_RDONLY), 0));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    struct utsname first;
    uname(&first);
    strcpy(before, first.nodename);
    key = 0x7e000000 | getpid();
    snprintf(queue_name, sizeof queue_name, "/of-namespaces-%d", getpid());
    in_child(names);
    in_child(objects);
    in_child(queues);
    in_child(clones);
    in_child(refusals);
    in_child(of_nobody);
    printf("host %s\n", host());
    return leave_scratch();
}
