/* What a host that runs out does to a guest. "tasks": as many children and then threads as there may be, each with
 * its error; the first words are said once everything has been loaded that they need. "copies": after a fork, a child
 * writes to more memory than there is, itself or by a system call. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_attr_t small;

static void *sleep_on(void *unused) {
    pause();
    return unused;
}

static int another_thread(void) {
    pthread_t thread;
    return pthread_create(&thread, &small, sleep_on, NULL);
}

static int another_child(void) {
    pid_t pid = fork();
    if (!pid) pause();
    return pid < 0 ? errno : 0;
}

static void until_it_fails(const char *what, int (*another)(void)) {
    int error;
    while (!(error = another())) {}
    printf("%s: %s\n", what, error == EAGAIN ? "EAGAIN" : error == ENOMEM ? "ENOMEM" : strerror(error));
}

static void tasks(void) {
    char c;
    pthread_t thread;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    pthread_create(&thread, &small, sleep_on, NULL);
    pid_t pid = fork();
    if (!pid) _exit(0);
    waitpid(pid, NULL, 0);
    printf("ready\n");
    if (read(0, &c, 1) != 1) exit(1);
    until_it_fails("thread", another_thread);
    until_it_fails("fork", another_child);
    printf("alive\n");
    signal(SIGTERM, SIG_IGN);
    kill(0, SIGTERM);
}

static void copies(void) {
    size_t size = 60 << 20;
    char *memory = malloc(size);
    memset(memory, 1, size);
    for (int by_kernel = 0; by_kernel < 2; by_kernel++) {
        int status, zero = open("/dev/zero", O_RDONLY);
        pid_t pid = fork();
        if (!pid && !by_kernel) memset(memory, 2, size);
        for (size_t i = 0; !pid && by_kernel && i < size; i += 1 << 20)
            if (read(zero, memory + i, 1 << 20) < 0) _exit(1);
        if (!pid) _exit(0);
        waitpid(pid, &status, 0);
        printf("signal %d, status %d, still %d\n", WTERMSIG(status), WEXITSTATUS(status), memory[size - 1]);
    }
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1 && !strcmp(argv[1], "copies")) copies();
    else tasks();
    return 0;
}
