/* One thread takes the clock page's rights away and gives them back, while others make calls, before which the kernel
 * writes to that page. */
#include "../report.h"

#include <pthread.h>
#include <sys/mman.h>

enum { TOGGLES = 6000, CALLERS = 3 };

static volatile int is_over;

static void *call(void *nothing) {
    while (!is_over) getppid();
    return nothing;
}

static char *find(const char *name) {
    static char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    char *found = NULL;
    while (!found && fgets(line, sizeof line, maps))
        if (strstr(line, name)) found = (char *)strtoul(line, NULL, 16);
    fclose(maps);
    return found;
}

int main(void) {
    char *vvar = find("[vvar]");
    pthread_t callers[CALLERS];
    int failures = 0;
    for (int i = 0; i < CALLERS; i++) pthread_create(&callers[i], NULL, call, NULL);
    for (int i = 0; i < TOGGLES; i++) {
        failures += mprotect(vvar, 4096, PROT_NONE) != 0;
        failures += mprotect(vvar, 4096, PROT_READ) != 0;
    }
    is_over = 1;
    for (int i = 0; i < CALLERS; i++) pthread_join(callers[i], NULL);
    printf("%d failures\n", failures);
    return 0;
}
