/* processes CASE COUNT [PROGRAM]: the time from the birth of a child to its end, of COUNT children one by one. The
 * parent has touched 2 MiB. */
#define _GNU_SOURCE
#include "timing.h"

#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t forked(char **argv) {
    pid_t child = fork();
    if (child == 0) {
        if (argv)
            execv(argv[0], argv);
        _exit(argv ? 127 : 0);
    }
    return child;
}

static pid_t spawned(char **argv) {
    pid_t child;
    return posix_spawn(&child, argv[0], NULL, NULL, argv, NULL) ? -1 : child;
}

static pid_t vforked(void) {
    pid_t child = vfork();
    if (child == 0)
        _exit(0);
    return child;
}

static pid_t start(const char *name, char **program) {
    if (!strcmp(name, "spawn"))
        return spawned(program);
    return strcmp(name, "vfork") ? forked(*program ? program : NULL) : vforked();
}

int main(int argc, char **argv) {
    unsigned count = argc < 3 ? 0 : (unsigned)atoi(argv[2]);
    memset(malloc(2 << 20), 1, 2 << 20);
    uint64_t begin = 0;
    for (unsigned i = 0; i < count + 1; i++) {
        int status;
        pid_t child = start(argv[1], argv + 3);
        if (child < 0 || waitpid(child, &status, 0) != child || status)
            return 1;
        if (i == 0)
            begin = now_ns(); /* the first has warmed up what can be */
    }
    return report((now_ns() - begin) / count, count);
}
