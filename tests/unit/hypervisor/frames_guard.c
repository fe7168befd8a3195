/* When frames.c takes rights away from a frame that the host writes to, it keeps the host from writing. */
#include "frames.h"

#include <stdio.h>

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static int guarded, unguarded;

/* Instead of the C library's. */
int mprotect(void *at, size_t length, int prot) {
    (void)at, (void)length, (void)prot;
    if (pthread_mutex_trylock(&guard)) {
        guarded++;
    } else {
        unguarded++;
        pthread_mutex_unlock(&guard);
    }
    return 0;
}

static void invalidate(struct frames *f, const char *what, uint64_t first, uint64_t count) {
    guarded = unguarded = 0;
    frames_invalidate(f, first, count);
    printf("%s: %d guarded, %d not\n", what, guarded, unguarded);
}

int main(void) {
    struct frames *f = frames_open(1 << 10, 1 << 10);
    uint64_t first = frames_allocate(f, 4);
    frames_guard(f, first + 1, &guard);
    invalidate(f, "before", first, 1);
    invalidate(f, "it", first + 1, 1);
    invalidate(f, "around", first, 4);
    invalidate(f, "behind", first + 2, 2);
    frames_guard(f, 0, NULL);
    invalidate(f, "no more", first, 4);
    frames_close(f);
    return 0;
}
