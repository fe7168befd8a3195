/* VmFlags of /proc/PID/smaps: what madvise has said of memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const int ADVICE[] = {MADV_NORMAL, MADV_SEQUENTIAL, MADV_RANDOM, MADV_DONTFORK, MADV_WIPEONFORK, MADV_DONTDUMP, MADV_NOHUGEPAGE};
enum { PAGE = 4096, COUNT = sizeof ADVICE / sizeof *ADVICE };

int main(void) {
    char *places[COUNT], line[1000];
    for (int i = 0; i < COUNT; i++) {
        places[i] = mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) + PAGE;
        mprotect(places[i], PAGE, PROT_READ | PROT_WRITE);
        madvise(places[i], PAGE, ADVICE[i]);
    }
    FILE *file = fopen("/proc/self/smaps", "r");
    int shown = -1;
    while (fgets(line, sizeof line, file)) {
        char *rest, *start = (char *)strtoul(line, &rest, 16);
        if (*rest == '-') {
            shown = -1;
            for (int i = 0; i < COUNT; i++) shown = start == places[i] ? i : shown;
        } else if (shown >= 0 && !strncmp(line, "VmFlags", 7)) {
            printf("%d %s", ADVICE[shown], line);
        }
    }
}
