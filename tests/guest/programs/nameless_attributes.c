// Mode, owner and times of files that have no name: pipes and sockets keep what is set, the shared anonymous inode refuses.
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static void show(const char *what, int result) {
    printf(" %s %s", what, result < 0 ? strerror(errno) : "ok");
}

static void change(const char *name, int fd) {
    struct timespec times[2] = {{5, 0}, {6, 7}};
    struct stat found;

    printf("%s:", name);
    show("fchmod", fchmod(fd, 0240));
    show("fchown", fchown(fd, getuid(), getgid()));
    show("futimens", futimens(fd, times));
    fstat(fd, &found);
    if (found.st_mtime == 6) {
        printf(" mode %o atime %ld mtime %ld.%ld ctime %s", found.st_mode, found.st_atime, found.st_mtime,
               found.st_mtim.tv_nsec, time(NULL) - found.st_ctime < 60 ? "now" : "old");
        times[0].tv_nsec = UTIME_OMIT, times[1].tv_nsec = UTIME_NOW;
        show("futimens", futimens(fd, times));
        fstat(fd, &found);
        printf(" atime %ld mtime %s", found.st_atime, time(NULL) - found.st_mtime < 60 ? "now" : "old");
    }
    putchar('\n');
    close(fd);
}

int main(void) {
    int fds[2];

    pipe(fds);
    change("reading end", fds[0]);
    change("writing end", fds[1]);
    socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
    change("socket", fds[0]);
    change("its peer", fds[1]);
    change("internet", socket(AF_INET, SOCK_DGRAM, 0));
    change("epoll", epoll_create1(0));
    change("eventfd", eventfd(0, 0));
    change("timerfd", timerfd_create(CLOCK_MONOTONIC, 0));
    return 0;
}
