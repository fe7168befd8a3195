/* unshare(2): leaving descriptors, directories and semaphores' undo lists that other tasks share. */
#include "report.h"

#include <linux/kcmp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static int pair[2], set;

static bool is_same(int kind) {
    return syscall(SYS_kcmp, getpid(), gettid(), kind, 0, 0) == 0;
}

static int value(void) {
    return semctl(set, 0, GETVAL);
}

static void alone(void) {
    CALL(unshare(0));
    CALL(unshare(CLONE_FILES | CLONE_FS | CLONE_SYSVSEM));
    CALL(unshare(CLONE_THREAD));
    CALL(unshare(CLONE_SIGHAND));
    CALL(unshare(CLONE_VM));
    CALL(unshare(CLONE_PARENT));
    CALL(unshare(CLONE_SETTLS));
    CALL(unshare(CLONE_VFORK));
    CALL(unshare(CLONE_PTRACE));
    CALL(unshare(CLONE_FILES | CLONE_IO));
}

static void *thread(void *unused) {
    CALL(unshare(CLONE_THREAD));
    CALL(unshare(CLONE_SIGHAND));
    CALL(unshare(CLONE_VM));
    printf("shared: files %d, fs %d\n", is_same(KCMP_FILES), is_same(KCMP_FS));
    CALL(unshare(CLONE_FILES));
    printf("then: files %d, fs %d\n", is_same(KCMP_FILES), is_same(KCMP_FS));
    CALL(close(pair[0]));
    CALL(unshare(CLONE_FS));
    printf("then: files %d, fs %d\n", is_same(KCMP_FILES), is_same(KCMP_FS));
    CALL(chdir("dir"));
    umask(077);
    struct sembuf up = {0, 1, SEM_UNDO};
    CALL(semop(set, &up, 1));
    printf("semaphore: %d\n", value());
    CALL(unshare(CLONE_SYSVSEM));
    printf("semaphore: %d\n", value());
    return unused;
}

static void threads(void) {
    pthread_t id;
    char path[4096];
    CALL(pipe(pair));
    mkdir("dir", 0755);
    umask(022);
    set = semget(IPC_PRIVATE, 1, 0600);
    struct sembuf two = {0, 2, SEM_UNDO};
    semop(set, &two, 1);
    pthread_create(&id, NULL, thread, NULL);
    pthread_join(id, NULL);
    printf("here: %zd, umask %o, %d\n", write(pair[1], "x", 1), umask(022), strstr(getcwd(path, sizeof path), "/dir") != NULL);
    CALL(fcntl(pair[0], F_GETFD));
    printf("semaphore: %d\n", value());
    CALL(unshare(CLONE_SYSVSEM));
    printf("semaphore: %d\n", value());
    semctl(set, 0, IPC_RMID);
}

/* A child that shares the handlers, or the memory, keeps its mother from leaving those. */
static void children(void) {
    static char stack[2][65536];
    const int kinds[] = {CLONE_VM, CLONE_VM | CLONE_SIGHAND};
    for (int kind = 0; kind < 2; kind++) {
        pid_t pid = clone((int (*)(void *))pause, stack[kind] + sizeof stack[0], kinds[kind] | SIGCHLD, NULL);
        CALL(unshare(CLONE_THREAD));
        CALL(unshare(CLONE_SIGHAND));
        CALL(unshare(CLONE_VM));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    alone();
    children();
    threads();
    return leave_scratch();
}
