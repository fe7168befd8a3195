/* What a process writes over its arguments and environment is what /proc shows of it (setproctitle(3)). */
#include "report.h"

#include <sys/wait.h>

extern char **environ;

static void show(const char *pid, const char *name) {
    char path[64], found[8192];
    snprintf(path, sizeof path, "/proc/%s/%s", pid, name);
    int fd = open(path, O_RDONLY);
    ssize_t length = read(fd, found, sizeof found);
    close(fd);
    printf("%s (%zd):", name, length);
    for (ssize_t i = 0; i < length && i < 64; i++) {
        putchar(found[i] ? found[i] : '|');
    }
    printf("\n");
}

static void show_both(const char *pid) {
    show(pid, "cmdline");
    show(pid, "environ");
}

static void as_a_child_sees_it(void) {
    char pid[16];
    snprintf(pid, sizeof pid, "%d", getpid());
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        show(pid, "cmdline");
        show("self", "cmdline");
        strcpy(environ[0], "OWN");
        show("self", "environ");
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    if (argc < 2 || strcmp(argv[1], "second")) {
        char *arguments[] = {"program", "second", "", "last", NULL}, *variables[] = {"HOME=/nowhere", "N=1", NULL};
        execve("/proc/self/exe", arguments, variables);
        perror("execve");
        return 1;
    }
    show_both("self");
    argv[0][0] = 'P', argv[3][1] = 0, environ[1][2] = '2';
    show_both("self");
    as_a_child_sees_it();
    memset(argv[0], 'x', environ[0] - argv[0]); /* goes on into the environment */
    show_both("self");
    memset(environ[0], 'y', 4);
    environ[0][4] = 0;
    show_both("self");
    as_a_child_sees_it();
    memset(argv[0], 'z', environ[1] + 4 - argv[0]); /* over both, to their very end */
    show_both("self");
    memset(argv[0], 0, environ[1] + 4 - argv[0]);
    show("self", "cmdline");
    return 0;
}
