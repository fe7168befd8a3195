/* Two processes on two kernels read one clock in turns, by a page of a file that both have mapped.
 *
 *   pair asker FILE CLOCK TURNS     reads, lets the answerer read, reads again; prints how far its reading lay outside
 *   pair answerer FILE CLOCK TURNS
 */
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct shared {
    atomic_long turn; /* odd: the answerer's */
    int64_t answer;
};

static int64_t now_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000 + t.tv_nsec;
}

static void wait_for(struct shared *s, long turn) {
    for (long spins = 1; atomic_load(&s->turn) != turn; spins++)
        if (spins % 10000 == 0) sched_yield();
}

static void ask(struct shared *s, clockid_t clock, long turns) {
    int64_t early = INT64_MIN, late = INT64_MIN, shortest = INT64_MAX;
    for (long i = 0; i < turns; i++) {
        int64_t before = now_ns(clock);
        atomic_store(&s->turn, 2 * i + 1);
        wait_for(s, 2 * i + 2);
        int64_t after = now_ns(clock);
        if (before - s->answer > early) early = before - s->answer;
        if (s->answer - after > late) late = s->answer - after;
        if (after - before < shortest) shortest = after - before;
    }
    printf("%ld %ld %ld\n", (long)early, (long)late, (long)shortest);
}

static void answer(struct shared *s, clockid_t clock, long turns) {
    for (long i = 0; i < turns; i++) {
        wait_for(s, 2 * i + 1);
        s->answer = now_ns(clock);
        atomic_store(&s->turn, 2 * i + 2);
    }
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    int fd = open(argv[2], O_RDWR);
    struct shared *s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (s == MAP_FAILED) return 3;
    (strcmp(argv[1], "asker") ? answer : ask)(s, (clockid_t)atol(argv[3]), atol(argv[4]));
    return 0;
}
