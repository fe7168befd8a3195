/* /proc/PID/numa_maps: policies and places of memory, on a machine with one node. */
#define _GNU_SOURCE
#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096 };
static const unsigned long node = 1;
static char *places[6];

static void bind_to(char *place, int mode) {
    int has_nodes = (mode & 0xff) != MPOL_LOCAL;
    printf("mbind %x: %ld\n", mode, syscall(SYS_mbind, place, 3 * PAGE, mode, has_nodes ? &node : NULL, has_nodes ? 65 : 0, 0));
}

/* What is said of our mappings, but for which pages were used lately. */
static void show(void) {
    char line[1000];
    FILE *file = fopen("/proc/self/numa_maps", "r");
    while (fgets(line, sizeof line, file)) {
        char *rest, *active;
        char *start = (char *)strtoul(line, &rest, 16);
        for (int i = 0; i < 6; i++) {
            if (start != places[i]) continue;
            if ((active = strstr(rest, " active="))) memmove(active, active + 9, strlen(active + 9) + 1);
            printf("%d:%s", i, rest);
        }
        if (strstr(rest, " heap") || strstr(rest, " stack")) printf("%.*s there\n", 6, strstr(rest, " heap") ? " heap" : " stack");
    }
    fclose(file);
}

int main(void) {
    struct stat st;
    for (int i = 0; i < 6; i++) {
        places[i] = mmap(NULL, 16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) + 4 * PAGE;
        mprotect(places[i], 3 * PAGE, PROT_READ | PROT_WRITE);
        if (i != 5) memset(places[i], 1, 3 * PAGE);
    }
    mprotect(places[5], 3 * PAGE, PROT_NONE);
    free(malloc(100));
    show();
    bind_to(places[0], MPOL_BIND);
    bind_to(places[1], MPOL_PREFERRED);
    bind_to(places[2], MPOL_INTERLEAVE | MPOL_F_STATIC_NODES);
    bind_to(places[3], MPOL_LOCAL);
    show();
    printf("set: %ld\n", syscall(SYS_set_mempolicy, MPOL_BIND | MPOL_F_RELATIVE_NODES, &node, 65));
    show();
    stat("/proc/thread-self/numa_maps", &st);
    printf("mode %o\n", st.st_mode);
}
