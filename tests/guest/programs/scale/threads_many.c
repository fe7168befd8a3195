/* More threads than any hypervisor has virtual CPUs: most of them sleep, and all go on afterwards. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS = 2000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t arrived = PTHREAD_COND_INITIALIZER, opened = PTHREAD_COND_INITIALIZER;
static int waiting, is_open;
static long sum;

static void *wait_for_all(void *argument) {
    double own = (double)(long)argument / 8; /* kept in an FPU register or on the stack, across the sleep */
    pthread_mutex_lock(&lock);
    if (++waiting == THREADS) pthread_cond_signal(&arrived);
    while (!is_open) pthread_cond_wait(&opened, &lock);
    sum += (long)(own * 8);
    pthread_mutex_unlock(&lock);
    return argument;
}

int main(void) {
    static pthread_t threads[THREADS];
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    for (long i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], &small, wait_for_all, (void *)i)) {
            printf("thread %ld cannot be made\n", i);
            return 1;
        }
    pthread_mutex_lock(&lock);
    while (waiting < THREADS) pthread_cond_wait(&arrived, &lock);
    printf("%d wait\n", waiting);
    is_open = 1;
    pthread_cond_broadcast(&opened);
    pthread_mutex_unlock(&lock);
    long results = 0;
    for (long i = 0; i < THREADS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        results += (long)result;
    }
    printf("%ld %ld\n", sum, results);
    return 0;
}
