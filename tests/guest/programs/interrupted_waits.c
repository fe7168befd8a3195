// What has happened counts before the signal that came with it: calls end with their result, not with EINTR.
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "asleep.h"

static volatile sig_atomic_t signals;

static void count(int signal) {
    (void)signal;
    signals++;
}

static void handle(int signal, int flags) {
    struct sigaction action = {.sa_handler = count, .sa_flags = flags};
    sigaction(signal, &action, NULL);
}

static void wait_for_ends(void) {
    int right = 0, status;

    handle(SIGCHLD, 0);
    for (int i = 0; i < 50; i++) {
        pid_t child = fork();
        if (!child) _exit(i);
        right += wait(&status) == child && WEXITSTATUS(status) == i;
    }
    printf("ends of children: %d of 50, signals: %s\n", right, signals ? "some" : "none");
    handle(SIGCHLD, SA_NOCLDWAIT);
    right = 0;
    for (int i = 0; i < 50; i++) {
        if (!fork()) _exit(0);
        right += wait(NULL) == -1 && errno == ECHILD;
    }
    printf("children that nobody waits for: %d of 50\n", right);
    signal(SIGCHLD, SIG_DFL);
}

static void read_and_poll(void) {
    int fds[2], right = 0, polled = 0;
    char byte;

    handle(SIGUSR1, 0);
    for (int i = 0; i < 50; i++) {
        pipe(fds);
        pid_t child = fork();
        if (!child) {
            sigset_t all;
            sigfillset(&all);
            sigprocmask(SIG_BLOCK, &all, NULL);
            until_asleep(getppid()); /* a signal between its look and its sleep is no case of this */
            write(fds[1], "x", 1);
            kill(getppid(), SIGUSR1);
            _exit(0);
        }
        if (i % 2) {
            right += read(fds[0], &byte, 1) == 1;
        } else {
            struct pollfd one = {fds[0], POLLIN, 0};
            polled += poll(&one, 1, -1) == 1;
        }
        waitpid(child, NULL, 0);
        close(fds[0]), close(fds[1]);
    }
    printf("read %d of 25, polled %d of 25\n", right, polled);
}

int main(void) {
    wait_for_ends();
    read_and_poll();
    return 0;
}
