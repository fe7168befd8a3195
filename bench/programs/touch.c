/* The first write to each page of 64 MiB. */
#include "timing.h"

#include <stdlib.h>

#define LENGTH (64u << 20)

int main(void) {
    volatile uint8_t *memory = malloc(LENGTH);
    if (!memory)
        return 1;
    uint64_t start = now_ns();
    for (unsigned i = 0; i < LENGTH; i += 4096)
        memory[i] = 1;
    return report(now_ns() - start, memory[LENGTH - 4096]);
}
