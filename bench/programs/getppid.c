/* The time of one system call that does nothing, over 5000 of them. */
#include "timing.h"

#include <sys/syscall.h>
#include <unistd.h>

#define CALLS 5000

int main(void) {
    for (int i = 0; i < 100; i++)
        syscall(SYS_getppid);
    uint64_t start = now_ns();
    for (int i = 0; i < CALLS; i++)
        syscall(SYS_getppid);
    return report((now_ns() - start) / CALLS, CALLS);
}
