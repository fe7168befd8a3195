/* O_ASYNC: signals that tell of input and room (fcntl(2), signal(7)). */
#include "report.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

static volatile sig_atomic_t told, from, band, code;

static void note(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    told++;
    code = info->si_code;
    from = info->si_code == SI_KERNEL ? -1 : info->si_fd;
    band = info->si_code == SI_KERNEL ? -1 : info->si_band;
}

/* Signals of our own calls are there when the call returns. */
static void show(const char *what, int fd) {
    if (told) {
        printf("%s: %s code %x fd %d band %x\n", what, told ? "told" : "nothing", (int)code, from == fd, (int)band);
    } else {
        printf("%s: nothing\n", what);
    }
    told = 0;
}

static void begin(int fd) {
    CALL(fcntl(fd, F_SETOWN, getpid()));
    CALL(fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK));
    CALL(fcntl(fd, F_GETFL) & (O_ASYNC | O_NONBLOCK));
}

static void try_pair(int reading, int writing) {
    char bytes[4096] = {0};
    begin(reading);
    CALL(write(writing, "x", 1));
    show("one byte", reading);
    CALL(write(writing, "y", 1));
    show("another", reading);
    CALL(fcntl(reading, F_SETSIG, SIGRTMIN + 2));
    CALL(write(writing, "z", 1));
    show("real-time", reading);
    CALL(read(reading, bytes, sizeof bytes));
    show("read", reading);
    CALL(fcntl(reading, F_SETFL, O_NONBLOCK));
    CALL(write(writing, "x", 1));
    show("no more", reading);
    CALL(read(reading, bytes, sizeof bytes));
}

int main(void) {
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_RESTART};
    setvbuf(stdout, NULL, _IOLBF, 0);
    setpgid(0, 0);
    sigaction(SIGIO, &action, NULL);
    sigaction(SIGRTMIN + 2, &action, NULL);
    int pipes[2], pair[2], on = 1, who = 0;
    CALL(pipe(pipes));
    try_pair(pipes[0], pipes[1]);
    CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    try_pair(pair[0], pair[1]);
    CALL(ioctl(pair[0], FIOASYNC, &on));
    CALL(fcntl(pair[0], F_GETFL) & O_ASYNC);
    CALL(ioctl(pair[0], FIOGETOWN, &who));
    printf("%d\n", who == getpid());
    who = -getpgrp();
    CALL(ioctl(pair[0], SIOCSPGRP, &who));
    CALL(fcntl(pair[0], F_GETOWN) == -getpgrp());
    CALL(write(pair[1], "g", 1));
    show("group", pair[0]);
    who = 0;
    CALL(ioctl(pair[0], SIOCSPGRP, &who));
    CALL(write(pair[1], "g", 1));
    show("nobody", pair[0]);
    CALL(ioctl(pair[0], FIOASYNC, WILD));
    CALL(ioctl(pipes[0], FIOSETOWN, &who));
    int plain = open("/dev/null", O_RDWR);
    CALL(ioctl(plain, FIOASYNC, &on));
    CALL(fcntl(plain, F_SETFL, O_ASYNC));
    CALL(fcntl(plain, F_GETFL) & O_ASYNC);
    on = 0;
    CALL(ioctl(plain, FIOASYNC, &on));
    /* A child of somebody else's shares the file, and its owner is told. */
    CALL(fcntl(pipes[0], F_SETSIG, 0));
    CALL(fcntl(pipes[0], F_SETFL, O_ASYNC));
    pid_t child = fork();
    if (child == 0) {
        return write(pipes[1], "c", 1) != 1;
    }
    waitpid(child, NULL, 0);
    show("child", pipes[0]);
    CALL(close(pipes[0]));
    return 0;
}
