/* Threads as the C library makes them: join, detach, cancel, keys, once, timeouts, stacks, names. */
#include "futex.h"

#include <semaphore.h>
#include <signal.h>

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Atomic int initialised, destroyed, released;
static _Thread_local long own = 5;

static void initialise(void) { initialised++; }

static void destroy(void *value) { destroyed += (int)(intptr_t)value; }

static void *local(void *argument) {
    pthread_once(&once, initialise);
    pthread_setspecific(key, argument);
    own += (long)argument;
    sched_yield();
    return (void *)(own + (long)pthread_getspecific(key));
}

static void locals(void) {
    pthread_t threads[8];
    long sum = 0;
    pthread_key_create(&key, destroy);
    for (long i = 0; i < 8; i++) {
        threads[i] = start(local, (void *)i);
    }
    for (int i = 0; i < 8; i++) {
        sum += (long)join(threads[i]);
    }
    printf("locals %ld, main's %ld, initialised %d, destroyed %d\n", sum, own, initialised, destroyed);
    pthread_key_delete(key);
}

/* -- ends -- */

static sem_t finished;

static void *detached(void *argument) {
    released++;
    sem_post(&finished);
    return argument;
}

static void *exiting(void *argument) {
    pthread_exit(argument);
}

static void cleanup(void *argument) { released += (int)(intptr_t)argument; }

static void *cancelled(void *argument) {
    pthread_cleanup_push(cleanup, (void *)10);
    sem_post(&finished);
    for (;;) {
        pause();
    }
    pthread_cleanup_pop(0);
    return argument;
}

static void *joined_by_itself(void *argument) {
    return (void *)(intptr_t)pthread_join(pthread_self(), NULL);
}

static void ends(void) {
    pthread_t thread;
    void *result;
    sem_init(&finished, 0, 0);
    for (int i = 0; i < 10; i++) {
        pthread_create(&thread, NULL, detached, NULL);
        pthread_detach(thread);
    }
    for (int i = 0; i < 10; i++) {
        sem_wait(&finished);
    }
    printf("detached: %d\n", released);
    pthread_create(&thread, NULL, exiting, (void *)77);
    pthread_join(thread, &result);
    printf("exited: %ld\n", (long)result);
    pthread_create(&thread, NULL, cancelled, NULL);
    sem_wait(&finished);
    printf("cancel: %d, ", pthread_cancel(thread));
    pthread_join(thread, &result);
    printf("%d, released %d\n", result == PTHREAD_CANCELED, released);
    pthread_create(&thread, NULL, joined_by_itself, NULL);
    pthread_join(thread, &result);
    printf("join itself: %s\n", error_name((int)(intptr_t)result));
}

/* -- timeouts -- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;

static const char *timed(int error) { return error == ETIMEDOUT ? "ETIMEDOUT" : error_name(error); }

static void *waiting_too_long(void *argument) {
    struct timespec t = after(CLOCK_REALTIME, 20 * MSEC), m = after(CLOCK_MONOTONIC, 30 * MSEC);
    printf("mutex: %s\n", timed(pthread_mutex_timedlock(&mutex, &t)));
    printf("mutex, other clock: %s\n", timed(pthread_mutex_clocklock(&mutex, CLOCK_MONOTONIC, &m)));
    printf("reader: %s\n", timed(pthread_rwlock_timedrdlock(&rwlock, &t)));
    printf("writer: %s\n", timed(pthread_rwlock_timedwrlock(&rwlock, &t)));
    return argument;
}

static void timeouts(void) {
    struct timespec t;
    pthread_mutex_lock(&mutex);
    pthread_rwlock_wrlock(&rwlock);
    join(start(waiting_too_long, NULL));
    t = after(CLOCK_REALTIME, 20 * MSEC);
    printf("condition: %s\n", timed(pthread_cond_timedwait(&condition, &mutex, &t)));
    t = after(CLOCK_MONOTONIC, 20 * MSEC);
    printf("condition, other clock: %s\n", timed(pthread_cond_clockwait(&condition, &mutex, CLOCK_MONOTONIC, &t)));
    pthread_mutex_unlock(&mutex);
    pthread_rwlock_unlock(&rwlock);
    t = after(CLOCK_REALTIME, 10 * MSEC);
    errno = 0;
    int result = sem_timedwait(&finished, &t);
    printf("semaphore: %d %s\n", result, timed(errno));
}

/* -- kinds of mutexes -- */

static void mutexes(void) {
    static const int kinds[] = {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_ERRORCHECK};
    for (size_t i = 0; i < LENGTH(kinds); i++) {
        for (int protocol = PTHREAD_PRIO_NONE; protocol <= PTHREAD_PRIO_INHERIT; protocol++) {
            pthread_mutexattr_t attributes;
            pthread_mutex_t made;
            pthread_mutexattr_init(&attributes);
            pthread_mutexattr_settype(&attributes, kinds[i]);
            pthread_mutexattr_setprotocol(&attributes, protocol);
            pthread_mutex_init(&made, &attributes);
            printf("kind %zu, protocol %d:", i, protocol);
            printf(" %s", error_name(pthread_mutex_lock(&made)));
            printf(" %s", error_name(pthread_mutex_trylock(&made)));
            if (kinds[i] != PTHREAD_MUTEX_NORMAL) {
                printf(" %s", error_name(pthread_mutex_lock(&made)));
            }
            for (int j = 0; j < 4 && kinds[i] != PTHREAD_MUTEX_NORMAL; j++) {
                printf(" %s", error_name(pthread_mutex_unlock(&made)));
            }
            printf("\n");
        }
    }
}

/* -- attributes, names, many threads -- */

static void *named(void *argument) {
    char name[16];
    pthread_setname_np(pthread_self(), "fifteen letters");
    pthread_getname_np(pthread_self(), name, sizeof name);
    printf("%s, %s\n", name, error_name(pthread_setname_np(pthread_self(), "sixteen letters.")));
    return argument;
}

static void *deep(void *argument) {
    volatile char page[32768];
    long depth = (long)argument;
    page[0] = page[sizeof page - 1] = 1;
    return depth == 0 ? (void *)(long)page[0] : deep((void *)(depth - 1));
}

static void *quiet(void *argument) { return argument; }

static void attributes(void) {
    pthread_attr_t a;
    pthread_t threads[64], thread;
    size_t size;
    long sum = 0;
    void *result;
    pthread_attr_init(&a);
    pthread_attr_getstacksize(&a, &size);
    printf("stack: %zu\n", size);
    pthread_attr_setstacksize(&a, 1 << 20);
    pthread_create(&thread, &a, deep, (void *)24L);
    pthread_join(thread, &result);
    printf("deep: %ld\n", (long)result);
    join(start(named, NULL));
    for (long i = 0; i < 64; i++) {
        if (pthread_create(&threads[i], &a, quiet, (void *)i)) {
            printf("no thread %ld\n", i);
            return;
        }
    }
    for (int i = 0; i < 64; i++) {
        pthread_join(threads[i], &result);
        sum += (long)result;
    }
    printf("many: %ld\n", sum);
}

/* A whole process ends while its threads sleep in every way. */
static void *asleep(void *argument) {
    static word_t word;
    pthread_mutex_lock(&mutex);
    wait_for(&word, 0);
    return argument;
}

static void process_ends(void) {
    for (int way = 0; way < 3; way++) {
        pid_t child = fork();
        if (child == 0) {
            for (int i = 0; i < 4; i++) {
                start(asleep, NULL);
            }
            pause_ms(20);
            if (way == 0) {
                _exit(9);
            }
            if (way == 1) {
                raise(SIGTERM);
            }
            pthread_exit(NULL);  /* the others stay, until somebody ends them */
        }
        if (way == 2) {
            pause_ms(60);
            kill(child, SIGKILL);
        }
        int status = 0;
        waitpid(child, &status, 0);
        printf("way %d: %x\n", way, status);
    }
}

int main(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    locals();
    ends();
    timeouts();
    mutexes();
    attributes();
    process_ends();
    return 0;
}
