/* Words in shared memory: the same at any address and in any process, until their owner's death. */
#include "futex.h"

#include <signal.h>

struct shared {
    word_t word, other, lock, stage;
    pthread_mutex_t mutex, pi_mutex;
    pthread_cond_t changed;
    pthread_barrier_t barrier;
    long value;
};

static void *map(int fd, int flags, int prot) {
    void *at = mmap(NULL, sizeof(struct shared), prot, flags, fd, 0);
    if (at == MAP_FAILED) {
        perror("mmap");
        exit(2);
    }
    return at;
}

/* In a child: wait for the word, then say so by the exit status. */
static pid_t fork_waiter(struct shared *s, word_t *waits_for) {
    pid_t pid = fork();
    if (pid == 0) {
        long result = futex(waits_for, FUTEX_WAIT, 0, NULL, NULL, 0);
        _exit(result == 0 ? 7 : errno);
    }
    return pid;
}

static void reap(pid_t pid) {
    int status = 0;
    pid_t found = waitpid(pid, &status, 0);
    printf("child: %d, ", found == pid);
    printf(WIFEXITED(status) ? "exited %d\n" : "killed %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

static void across_processes(const char *name, struct shared *parents, struct shared *childs) {
    printf("%s\n", name);
    pid_t one = fork_waiter(childs, &childs->word), two = fork_waiter(childs, &childs->word);
    until_waiting(&parents->word, 0, 2);
    CALL(futex(&parents->other, FUTEX_WAKE, 9, NULL, NULL, 0));
    CALL(futex(&parents->word, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0));
    CALL(futex(&parents->word, FUTEX_REQUEUE, 1, (void *)1, &parents->other, 0));
    CALL(futex(&parents->other, FUTEX_WAKE, 9, NULL, NULL, 0));
    reap(one);
    reap(two);
}

/* Private memory is not shared after fork, whatever the operation says. */
static void private_memory(struct shared *s) {
    static word_t word;
    pid_t child = fork();
    if (child == 0) {
        struct timespec soon = {0, 100 * MSEC};
        s->stage = 1;
        long result = futex(&word, FUTEX_WAIT, 0, &soon, NULL, 0);
        _exit(result == 0 ? 7 : errno);
    }
    while (s->stage != 1) {
        sched_yield();
    }
    pause_ms(30);
    CALL(futex(&word, FUTEX_WAKE, 9, NULL, NULL, 0));
    CALL(waiters(&word, 0));
    reap(child);
    s->stage = 0;
}

/* Two mappings of a file that may only be read can be waited for. */
static void read_only(int fd, struct shared *writable) {
    struct shared *shared = map(fd, MAP_SHARED, PROT_READ), *private = map(fd, MAP_PRIVATE, PROT_READ);
    struct shared *copy = map(fd, MAP_PRIVATE, PROT_READ | PROT_WRITE);
    pid_t one = fork_waiter(writable, &shared->word), two = fork_waiter(writable, &private->word);
    until_waiting(&writable->word, 0, 2);
    CALL(waiters(&shared->word, 0));
    CALL(waiters(&private->word, 0));
    CALL(waiters(&copy->word, 0));
    CALL(futex(&writable->word, FUTEX_WAKE, 9, NULL, NULL, 0));
    reap(one);
    reap(two);
    CALL(futex(&shared->lock, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    munmap(copy, sizeof *copy);
    munmap(private, sizeof *private);
    munmap(shared, sizeof *shared);
    CALL(futex(&shared->word, FUTEX_WAKE, 9, NULL, NULL, 0));
}

static void prepare(struct shared *s) {
    pthread_mutexattr_t m;
    pthread_condattr_t c;
    pthread_barrierattr_t b;
    pthread_mutexattr_init(&m);
    pthread_mutexattr_setpshared(&m, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&m, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&s->mutex, &m);
    pthread_mutexattr_setprotocol(&m, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(&s->pi_mutex, &m);
    pthread_condattr_init(&c);
    pthread_condattr_setpshared(&c, PTHREAD_PROCESS_SHARED);
    pthread_cond_init(&s->changed, &c);
    pthread_barrierattr_init(&b);
    pthread_barrierattr_setpshared(&b, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&s->barrier, &b, 3);
}

/* A process that dies with a robust mutex, by exit or by a signal. */
static void robust(struct shared *s, pthread_mutex_t *mutex, int by_signal) {
    pid_t child = fork();
    if (child == 0) {
        pthread_mutex_lock(mutex);
        s->stage = 1;
        pause_ms(60);
        if (by_signal) {
            raise(SIGKILL);
        }
        _exit(0);
    }
    while (s->stage != 1) {
        sched_yield();
    }
    s->stage = 0;
    int error = pthread_mutex_lock(mutex);
    printf("%s\n", error == EOWNERDEAD ? "EOWNERDEAD" : error_name(error));
    printf("consistent: %d\n", pthread_mutex_consistent(mutex));
    printf("unlock: %d\n", pthread_mutex_unlock(mutex));
    printf("lock: %d\n", pthread_mutex_lock(mutex));
    printf("unlock: %d\n", pthread_mutex_unlock(mutex));
    reap(child);
}

/* A thread that dies with one, while the process lives on; left inconsistent, the mutex is lost. */
static void *dying(void *argument) {
    pthread_mutex_lock(argument);
    return NULL;
}

static void robust_thread(pthread_mutex_t *mutex) {
    join(start(dying, mutex));
    printf("%d\n", pthread_mutex_trylock(mutex) == EOWNERDEAD);
    printf("%d\n", pthread_mutex_unlock(mutex));
    printf("%d\n", pthread_mutex_lock(mutex) == ENOTRECOVERABLE);
}

/* Three processes count together. */
static void together(struct shared *s) {
    pid_t children[2];
    s->value = 0;
    for (int i = 0; i < 3; i++) {
        if (i < 2 && (children[i] = fork()) != 0) {
            continue;
        }
        pthread_barrier_wait(&s->barrier);
        for (int j = 0; j < 200; j++) {
            pthread_mutex_lock(&s->pi_mutex);
            s->value++;
            pthread_mutex_unlock(&s->pi_mutex);
        }
        pthread_barrier_wait(&s->barrier);
        if (i < 2) {
            _exit(0);
        }
    }
    printf("together: %ld\n", s->value);
    reap(children[0]);
    reap(children[1]);
}

static void conversation(struct shared *s) {
    s->value = 0;
    pid_t child = fork();
    for (int turn = child == 0; turn < 200; turn += 2) {
        pthread_mutex_lock(&s->mutex);
        while (s->value != turn) {
            pthread_cond_wait(&s->changed, &s->mutex);
        }
        s->value++;
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->mutex);
    }
    if (child == 0) {
        _exit(0);
    }
    reap(child);
    printf("turns: %ld\n", s->value);
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    setvbuf(stdout, NULL, _IONBF, 0);
    int fd = open("file", O_RDWR | O_CREAT, 0600), again = open("file", O_RDWR);
    if (ftruncate(fd, sizeof(struct shared)) < 0) {
        return 2;
    }
    struct shared *anonymous = map(-1, MAP_SHARED | MAP_ANONYMOUS, PROT_READ | PROT_WRITE);
    struct shared *file = map(fd, MAP_SHARED, PROT_READ | PROT_WRITE);
    struct shared *elsewhere = map(again, MAP_SHARED, PROT_READ | PROT_WRITE);
    across_processes("anonymous", anonymous, anonymous);
    across_processes("file", file, file);
    across_processes("file opened twice", file, elsewhere);
    int memory = syscall(SYS_memfd_create, "words", 0);
    if (ftruncate(memory, sizeof(struct shared)) < 0) {
        return 2;
    }
    across_processes("memfd", map(memory, MAP_SHARED, PROT_READ | PROT_WRITE), map(memory, MAP_SHARED, PROT_READ | PROT_WRITE));
    private_memory(anonymous);
    read_only(fd, file);
    prepare(anonymous);
    for (int by_signal = 0; by_signal < 2; by_signal++) {
        robust(anonymous, &anonymous->mutex, by_signal);
        robust(anonymous, &anonymous->pi_mutex, by_signal);
    }
    together(anonymous);
    conversation(anonymous);
    robust_thread(&anonymous->mutex);
    robust_thread(&anonymous->pi_mutex);
    unlink("file");
    return leave_scratch();
}
