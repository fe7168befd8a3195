/* The link count of /proc/PID/task tells how many threads there are: programs look whether they are alone. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_barrier_t started;

static long links(const char *path) {
    struct stat found;
    if (stat(path, &found) < 0) return -1;
    return (long)found.st_nlink;
}

static void *stay(void *unused) {
    pthread_barrier_wait(&started);
    for (;;) pause();
    return unused;
}

int main(void) {
    char path[64];
    int status;
    setvbuf(stdout, NULL, _IONBF, 0);
    printf("alone: %ld\n", links("/proc/self/task"));
    pthread_barrier_init(&started, NULL, 3);
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, stay, NULL);
    }
    pthread_barrier_wait(&started);
    printf("three: %ld\n", links("/proc/self/task"));
    printf("seen from a thread: %ld\n", links("/proc/thread-self/../../task"));

    pid_t child = fork();
    if (child == 0) {
        printf("a child has one: %ld\n", links("/proc/self/task"));
        _exit(0);
    }
    siginfo_t info;
    waitid(P_PID, child, &info, WEXITED | WNOWAIT);
    snprintf(path, sizeof path, "/proc/%d/task", child);
    printf("a zombie, too: %ld\n", links(path));
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    waitpid(child, &status, 0);
    printf("gone: %ld\n", links(path));
    close(fd);
    return 0;
}
