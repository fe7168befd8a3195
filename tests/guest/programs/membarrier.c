/* membarrier(2): commands and their errors, what is inherited, and that it is a barrier for others. */
#include "report.h"

#include <pthread.h>
#include <sys/wait.h>

static long membarrier(int command, unsigned flags, int cpu) { return syscall(SYS_membarrier, command, flags, cpu); }

static void every_command(void) {
    for (int i = 0; i < 12; i++) {
        int c = 1 << i;
        printf("command %x\n", c);
        CALL(membarrier(c, 0, 0));
        CALL(membarrier(c, 1, 0));
        CALL(membarrier(c, 2, 0));
        CALL(membarrier(c, 1, 5000));
        CALL(membarrier(c, 1, -1));
    }
    CALL(membarrier(3, 0, 0));
    CALL(membarrier(-1, 0, 0));
}

/* Each thread writes its own word and reads the other's: only one of them needs a barrier of its own. */
enum { ROUNDS = 300 };
static volatile int x, y, seen_x, seen_y;
static int both_missed;
static pthread_barrier_t barrier;

static void *without(void *unused) {
    for (int i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(&barrier);
        x = 1;
        __asm__ volatile("" ::: "memory");
        seen_y = y;
        pthread_barrier_wait(&barrier);
    }
    return unused;
}

static void together(void) {
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_create(&thread, NULL, without, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        x = y = 0;
        pthread_barrier_wait(&barrier);
        y = 1;
        membarrier(8, 0, 0);
        seen_x = x;
        pthread_barrier_wait(&barrier);
        both_missed += !seen_x && !seen_y;
    }
    pthread_join(thread, NULL);
    printf("both missed the other's: %d\n", both_missed);
}

int main(int argc, char **argv) {
    if (argc > 2) return !printf("after exec: %lx\n", membarrier(1 << 9, 0, 0));
    CALL(membarrier(0, 0, 0));
    CALL(membarrier(0, 1, 0));
    every_command();
    every_command();
    together();
    fflush(stdout);
    if (!fork()) _exit(!printf("of a child: %lx\n", membarrier(1 << 9, 0, 0)) || fflush(stdout));
    wait(NULL);
    execl(argv[0], argv[0], argv[argc - 1], "again", NULL);
    return 1;
}
