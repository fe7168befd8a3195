/* System V shared memory: keys and rights, attaching and counting, removal while it is attached. */
#include "report.h"

#include <pthread.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>

#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif

#define SIZE 10000

static key_t KEY; /* of this run only */
static int mine;

static int child(void (*body)(int), int id) {
    int status = 0;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        body(id);
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return status;
}

static void show(int id) {
    struct shmid_ds ds;
    if (CALL(shmctl(id, IPC_STAT, &ds)) == 0) {
        printf("size %zu, mode %o, attached %lu, times %d%d%d, creator %d, last %d, key %d\n", ds.shm_segsz,
               ds.shm_perm.mode, (unsigned long)ds.shm_nattch, ds.shm_atime != 0, ds.shm_dtime != 0,
               ds.shm_ctime != 0, ds.shm_cpid == getpid(), ds.shm_lpid == getpid(), ds.shm_perm.__key == KEY);
    }
}

static void getting(void) {
    CALL(shmget(KEY, SIZE, 0600));
    CALL(shmget(KEY, 0, IPC_CREAT | 0600));
    CALL(shmget(KEY, (size_t)-1, IPC_CREAT | 0600));
    CALL(shmget(KEY, (size_t)1 << 62, IPC_CREAT | 0600));
    int id = shmget(KEY, SIZE, IPC_CREAT | IPC_EXCL | 0640);
    CALL(shmget(KEY, SIZE, IPC_CREAT | 0600) == id);
    CALL(shmget(KEY, 0, 0) == id);
    CALL(shmget(KEY, SIZE, IPC_CREAT | IPC_EXCL | 0600));
    CALL(shmget(KEY, SIZE + 1, 0600));
    CALL(shmget(KEY, SIZE - 1, 0600) == id);
    show(id);
    CALL(shmctl(id, IPC_RMID, NULL));
    CALL(shmctl(id, IPC_RMID, NULL));
    CALL(shmctl(-1, IPC_STAT, WILD));
    CALL(shmctl(id, IPC_STAT, WILD));
    CALL(shmctl(0x7fffffff, IPC_STAT, WILD));
    CALL(shmctl(id, 99, NULL));
}

static void attaching(void) {
    int id = shmget(IPC_PRIVATE, SIZE, 0600), page = 4096;
    char *one = shmat(id, NULL, 0), *two = shmat(id, NULL, SHM_RDONLY);
    show(id);
    strcpy(one + 5000, "shared");
    printf("%s %d\n", two + 5000, one != two);
    printf("beyond the size: %d\n", one[SIZE + 100]);
    CALL(mprotect(two, page, PROT_READ | PROT_WRITE));
    CALL(shmdt(one + 1));
    CALL(shmdt(one + page));
    CALL(shmdt((void *)0x10000));
    OK(shmat(id, one, 0));
    OK(shmat(id, one + 1, 0));
    OK(shmat(id, NULL, SHM_REMAP));
    OK(shmat(id, (void *)1, SHM_RND | SHM_REMAP));
    OK(shmat(id, (void *)(-4096L), 0));
    OK(shmat(-1, NULL, 0));
    OK(shmat(0x7ffffffe, NULL, 0));
    char *place = mmap(NULL, 8 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CALL(shmat(id, place + page + 7, SHM_RND) == place + page);
    CALL((long)shmat(id, place + page + 7, SHM_RND | SHM_REMAP) == (long)place + page);
    printf("%s\n", place + page + 5000);
    show(id);
    /* A hole makes two areas of one attachment, which go together. */
    CALL(munmap(place + 2 * page, page));
    show(id);
    CALL(shmdt(place + page));
    show(id);
    CALL(shmdt(place + page));
    CALL(shmdt(two));
    show(id);
    CALL(shmctl(id, IPC_RMID, NULL));
    show(id);
    printf("still %s\n", one + 5000);
    char *late = shmat(id, NULL, 0);
    printf("late %s\n", late == (void *)-1 ? error_name(errno) : late + 5000);
    CALL(shmdt(late));
    CALL(shmdt(one));
    show(id);
}

static void inherits(int id) {
    show(id);
    char *again = shmat(id, NULL, 0);
    strcpy(again, "from the child");
    show(id);
}

static void attaches(int id) {
    shmat(id, NULL, 0);
}

static void detaches(int id) {
    char *again = shmat(id, NULL, 0);
    shmdt(again);
    raise(SIGKILL);
}

static void becomes(int id) {
    shmat(id, NULL, 0);
    execl("/bin/true", "true", NULL);
}

static void processes(void) {
    int id = shmget(IPC_PRIVATE, SIZE, 0600);
    char *here = shmat(id, NULL, 0);
    for (int i = 0; i < 20; i++) {
        child(i == 0 ? inherits : attaches, id);
        struct shmid_ds ds;
        shmctl(id, IPC_STAT, &ds);
        if (i == 0 || ds.shm_nattch != 1) {
            printf("%s, attached %lu\n", here, (unsigned long)ds.shm_nattch);
        }
    }
    printf("killed: %d\n", WIFSIGNALED(child(detaches, id)));
    show(id);
    child(becomes, id);
    show(id);
    shmctl(id, IPC_RMID, NULL);
    child(inherits, id);
    CALL(shmdt(here));
    show(id);
}

static void other_user(int id) {
    struct shmid_ds ds;
    if (setgid(54321) || setuid(54321)) {
        printf("not root\n");
        return;
    }
    OK(shmat(id, NULL, SHM_RDONLY));
    OK(shmat(id, NULL, 0));
    CALL(shmget(KEY, 0, 0400) == id);
    CALL(shmget(KEY, 0, 0600));
    CALL(shmctl(id, IPC_STAT, &ds));
    CALL(shmctl(id, IPC_RMID, NULL));
    CALL(shmctl(id, IPC_SET, &ds));
    CALL(shmctl(id, IPC_SET, WILD));
    CALL(shmctl(id, SHM_LOCK, NULL));
    OK(shmat(mine, NULL, SHM_RDONLY));
    CALL(shmctl(mine, IPC_STAT, &ds));
    OK(shmctl(mine & 32767, SHM_STAT, &ds));
    OK(shmctl(mine & 32767, SHM_STAT_ANY, &ds));
}

static void rights(void) {
    struct shmid_ds ds;
    int id = shmget(KEY, SIZE, IPC_CREAT | 0604);
    mine = shmget(IPC_PRIVATE, 1, 0200);
    child(other_user, id);
    CALL(shmctl(mine, IPC_RMID, NULL));
    shmctl(id, IPC_STAT, &ds);
    ds.shm_perm.mode = 07123;
    CALL(shmctl(id, IPC_SET, &ds));
    show(id);
    ds.shm_perm.uid = -1;
    CALL(shmctl(id, IPC_SET, &ds));
    CALL(shmctl(id, IPC_SET, WILD));
    CALL(shmctl(id, SHM_LOCK, NULL));
    show(id);
    CALL(shmctl(id, SHM_UNLOCK, NULL));
    show(id);
    CALL(shmctl(id, IPC_RMID, NULL));
}

struct shared {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int turn;
};

/* A mutex and a condition in the segment, which each process sees elsewhere. */
static void together(int id) {
    struct shared *s = shmat(id, NULL, 0);
    for (int i = 0; i < 50; i++) {
        pthread_mutex_lock(&s->mutex);
        while (s->turn % 2 == 0) {
            pthread_cond_wait(&s->changed, &s->mutex);
        }
        s->turn++;
        pthread_cond_signal(&s->changed);
        pthread_mutex_unlock(&s->mutex);
    }
}

static void futexes(void) {
    int id = shmget(IPC_PRIVATE, sizeof(struct shared), 0600);
    pthread_mutexattr_t m;
    pthread_condattr_t c;
    pid_t pid = fork();
    struct shared *s = shmat(id, NULL, 0);
    if (pid == 0) {
        while (__atomic_load_n(&s->turn, __ATOMIC_ACQUIRE) == 0) {
            sched_yield();
        }
        together(id);
        _exit(0);
    }
    pthread_mutexattr_init(&m);
    pthread_mutexattr_setpshared(&m, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&s->mutex, &m);
    pthread_condattr_init(&c);
    pthread_condattr_setpshared(&c, PTHREAD_PROCESS_SHARED);
    pthread_cond_init(&s->changed, &c);
    __atomic_store_n(&s->turn, 2, __ATOMIC_RELEASE);
    for (int i = 0; i < 50; i++) {
        pthread_mutex_lock(&s->mutex);
        while (s->turn % 2 == 1) {
            pthread_cond_wait(&s->changed, &s->mutex);
        }
        s->turn++;
        pthread_cond_signal(&s->changed);
        pthread_mutex_unlock(&s->mutex);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    printf("turns %d, status %d\n", s->turn, status);
    shmctl(id, IPC_RMID, NULL);
}

static void information(void) {
    struct shminfo limits;
    struct shm_info used;
    OK(shmctl(0, IPC_INFO, (void *)&limits));
    printf("%lu %lu %lu %d\n", limits.shmmin, limits.shmmni, limits.shmseg, limits.shmmax == limits.shmall);
    OK(shmctl(0, SHM_INFO, (void *)&used));
    CALL(shmctl(0, IPC_INFO, WILD));
    CALL(shmctl(0, SHM_INFO, WILD));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    KEY = 0x5c000000 | getpid();
    getting();
    attaching();
    processes();
    rights();
    futexes();
    information();
    return leave_scratch();
}
