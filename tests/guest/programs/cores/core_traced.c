/* A process whose threads are traced dumps its core, and only then shows its tracer that they end. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int never[2], go[2];

static void *sleeper(void *_) {
    char letter;
    return read(never[0], &letter, 1) ? _ : NULL;
}

static void child(void) {
    pthread_t thread;
    char letter;
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_CORE, &all);
    if (read(go[0], &letter, 1) != 1) _exit(1);
    for (int i = 0; i < 3; i++) pthread_create(&thread, NULL, sleeper, NULL);
    *(volatile int *)16 = 1;
}

int main(void) {
    int exits = 0, signals = 0, ends = 0, status, has_core_at_exit = 0;
    char place[] = "traced-XXXXXX";
    struct stat st;
    if (!mkdtemp(place) || chdir(place) || pipe(never) || pipe(go)) perror(place);
    pid_t leader = fork();
    if (!leader) {
        child();
        _exit(2);
    }
    if (ptrace(PTRACE_SEIZE, leader, NULL, PTRACE_O_TRACEEXIT | PTRACE_O_TRACECLONE)) perror("seize");
    if (write(go[1], "x", 1) != 1) perror("write");
    pid_t who;
    while ((who = waitpid(-1, &status, __WALL)) > 0) {
        if (WIFSIGNALED(status)) {
            if (who == leader) printf("leader: %#x\n", status);
            ends += status == (SIGSEGV | 0x80);
            continue;
        }
        int event = status >> 16, signal = 0;
        if (event == PTRACE_EVENT_EXIT) {
            unsigned long message = 0;
            ptrace(PTRACE_GETEVENTMSG, who, NULL, &message);
            exits += message == (who == leader ? SIGSEGV | 0x80 : SIGSEGV);
            has_core_at_exit += !stat("core", &st) && st.st_size > 4096;
        } else if (!event) {
            signal = WSTOPSIG(status);
            signals += signal == SIGSEGV;
        }
        ptrace(PTRACE_CONT, who, NULL, signal);
    }
    printf("segmentation faults %d, exits %d with a core there %d, ends %d\n", signals, exits, has_core_at_exit, ends);
    unlink("core");
    if (chdir("..") || rmdir(place)) perror("at the end");
}
