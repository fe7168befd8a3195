/* 64 MiB copied sixteen times between pages that are there. */
#include "timing.h"

#include <stdlib.h>
#include <string.h>

#define LENGTH (64u << 20)

int main(void) {
    uint8_t *from = malloc(LENGTH), *to = malloc(LENGTH);
    if (!from || !to)
        return 1;
    memset(from, 1, LENGTH);
    memset(to, 2, LENGTH);
    uint64_t start = now_ns();
    for (int round = 0; round < 16; round++) {
        from[round] = (uint8_t)(round + 3);
        memcpy(to, from, LENGTH);
        __asm__ volatile("" : : "r"(to) : "memory");
    }
    uint64_t spent = now_ns() - start;
    return report(spent, to[0] + to[7] + to[LENGTH - 1]);
}
