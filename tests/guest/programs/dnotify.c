/* F_NOTIFY of fcntl(2), and the owner and signal that it tells. */
#include "report.h"

#include <signal.h>

static volatile sig_atomic_t told, from, band, code;

static void note(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    told++;
    code = info->si_code;
    if (info->si_code == POLL_MSG) {
        from = info->si_fd;
        band = info->si_band;
    }
}

static void make(const char *path) {
    close(open(path, O_CREAT | O_WRONLY, 0600));
}

static void show(const char *what) {
    printf("%s: %d\n", what, (int)told);
    told = 0;
}

int main(void) {
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_RESTART};
    setvbuf(stdout, NULL, _IOLBF, 0);
    sigaction(SIGIO, &action, NULL);
    sigaction(SIGRTMIN + 1, &action, NULL);
    mkdir("d", 0755);
    int fd = CALL(open("d", O_RDONLY)), file = CALL(open("plain", O_CREAT | O_RDWR, 0600));
    CALL(fcntl(file, F_NOTIFY, DN_CREATE));
    CALL(fcntl(fd, F_GETOWN));
    CALL(fcntl(fd, F_NOTIFY, DN_CREATE));
    CALL(fcntl(fd, F_GETOWN) == getpid());
    make("d/1");
    show("once");
    printf("%x\n", (int)code);
    make("d/2");
    show("no more");
    CALL(fcntl(fd, F_SETSIG, SIGRTMIN + 1));
    CALL(fcntl(fd, F_GETSIG) == SIGRTMIN + 1);
    CALL(fcntl(fd, F_SETSIG, 65));
    CALL(fcntl(fd, F_NOTIFY, DN_CREATE | DN_DELETE | DN_MULTISHOT));
    make("d/3");
    unlink("d/3");
    show("twice");
    printf("%d %x %d\n", from == fd, (int)band, (int)code);
    CALL(fcntl(fd, F_NOTIFY, DN_RENAME | DN_ATTRIB | DN_MODIFY | DN_ACCESS));
    rename("d/1", "d/4");
    show("rename");
    CALL(fcntl(fd, F_NOTIFY, 0));
    make("d/5");
    show("none");
    CALL(fcntl(fd, F_SETOWN, 0));
    CALL(fcntl(fd, F_GETOWN));
    CALL(fcntl(fd, F_SETOWN, 999999));
    CALL(fcntl(fd, F_SETOWN, -getpgrp()));
    CALL(fcntl(fd, F_GETOWN) == -getpgrp());
    struct f_owner_ex owner = {F_OWNER_TID, getpid()};
    CALL(fcntl(fd, F_SETOWN_EX, &owner));
    memset(&owner, 1, sizeof owner);
    CALL(fcntl(fd, F_GETOWN_EX, &owner));
    printf("%d %d\n", owner.type, owner.pid == getpid());
    owner.type = 7;
    CALL(fcntl(fd, F_SETOWN_EX, &owner));
    CALL(fcntl(file, F_GETLEASE));
    CALL(fcntl(file, F_SETLEASE, F_UNLCK));
    CALL(fcntl(file, F_SETLEASE, 9));
    CALL(fcntl(fd, F_SETLEASE, F_RDLCK));
    CALL(close(fd));
    return 0;
}
