/* Which thread takes a signal of its process, and what becomes of one that somebody waits for without blocking it. */
#define _GNU_SOURCE
#include "report.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int taken[2], leader;

static void on_usr1(int signal) {
    char who = gettid() == leader ? 'l' : 'o';
    if (write(taken[1], &who, 1) != 1) {
        abort();
    }
}

/* Everything is blocked here, so that whoever shares the process has to take what was meant for this thread. */
static void on_hup(int signal) {
    char who = '?';
    if (read(taken[0], &who, 1) != 1) {
        abort();
    }
    printf("taken by %c\n", who);
}

static void *waits(void *unused) {
    for (;;) {
        pause();
    }
}

static void handle(int signal, void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler};
    sigfillset(&action.sa_mask);
    sigaction(signal, &action, NULL);
}

/* The first thread is chosen while it waits for its child, and then gets another signal first. */
static void chosen_thread_blocks_it(void) {
    pthread_t other;
    CALL(pipe(taken));
    leader = getpid();
    handle(SIGUSR1, on_usr1);
    handle(SIGHUP, on_hup);
    pthread_create(&other, NULL, waits, NULL);
    if (vfork() == 0) {
        kill(leader, SIGUSR1);
        syscall(SYS_tgkill, leader, leader, SIGHUP);
        _exit(0);
    }
    wait(NULL);
}

/* A timer sends the signal while it is waited for, or before. Where it is ignored, nobody gets it: that wait is a short one. */
static void wait_for(int signal, const char *how) {
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = signal};
    struct itimerspec soon = {.it_value.tv_nsec = 30000000};
    int is_lost = how[0] == 'i' || (how[0] == 'd' && signal == SIGCHLD);
    struct timespec limit = {.tv_sec = is_lost ? 0 : 1000, .tv_nsec = 120000000};
    struct sigaction action = {.sa_handler = how[0] == 'i' ? SIG_IGN : SIG_DFL};
    sigset_t set;
    timer_t timer;
    int status;
    fflush(stdout);
    if (fork() == 0) {
        sigemptyset(&set);
        sigaddset(&set, signal);
        sigaction(signal, &action, NULL);
        if (how[0] == 'b') {
            sigprocmask(SIG_BLOCK, &set, NULL);
        }
        timer_create(CLOCK_MONOTONIC, &event, &timer);
        timer_settime(timer, 0, &soon, NULL);
        _exit(sigtimedwait(&set, NULL, &limit) == signal ? 1 : 2);
    }
    wait(&status);
    printf("%s, %s: %x\n", how, strsignal(signal), status & ~0x80);
}

int main(void) {
    chosen_thread_blocks_it();
    wait_for(SIGTERM, "default");
    wait_for(SIGTERM, "ignored");
    wait_for(SIGTERM, "blocked");
    wait_for(SIGCHLD, "default");
    wait_for(SIGCHLD, "blocked");
}
