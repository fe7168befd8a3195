/* A clock that one thread has read is never earlier in another thread that knows of it.
 *
 *   clock_threads [directory [readings]]
 */
#include "report.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

static _Atomic int64_t latest[2]; /* by clock */
static atomic_long backwards;
static long readings = 5000;

static void read_one(int clock, int index) {
    int64_t known = atomic_load(&latest[index]);
    struct timespec t;
    clock_gettime(clock, &t);
    int64_t now = t.tv_sec * 1000000000 + t.tv_nsec;
    if (now < known) backwards++;
    while (known < now && !atomic_compare_exchange_weak(&latest[index], &known, now)) {}
}

static void *reader(void *unused) {
    for (long i = 0; i < readings; i++) {
        read_one(CLOCK_MONOTONIC, 0);
        read_one(CLOCK_MONOTONIC_RAW, 1);
    }
    return unused;
}

int main(int argc, char **argv) {
    pthread_t other;
    if (argc > 2) readings = atol(argv[2]);
    if (pthread_create(&other, NULL, reader, NULL)) return 2;
    reader(NULL);
    pthread_join(other, NULL);
    printf("time went back %ld times\n", (long)backwards);
    return 0;
}
