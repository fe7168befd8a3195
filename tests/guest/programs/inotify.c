/* inotify(7): which events which operation makes, in which order, on the disk and in memory. */
#include "report.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

static int fd;

static void events(const char *what) {
    char data[8192] __attribute__((aligned(8)));
    ssize_t length = read(fd, data, sizeof data);
    printf("-- %s\n", what);
    for (char *at = data; at < data + length;) {
        struct inotify_event *event = (void *)at;
        printf("  %d: %x%s %u %s\n", event->wd, event->mask, event->cookie ? " joined" : "", event->len,
               event->len ? event->name : "");
        at += sizeof *event + event->len;
    }
}

static void make(const char *path) {
    close(open(path, O_CREAT | O_WRONLY, 0600));
}

static void contents(void) {
    char data[16];
    int file = open("d/f", O_CREAT | O_RDWR, 0644);
    events("create");
    write(file, "hello", 5);
    write(file, "again", 5);
    write(file, "", 0);
    events("write");
    pread(file, data, 3, 0);
    events("read");
    ftruncate(file, 2);
    events("ftruncate");
    fchmod(file, 0600);
    fchown(file, -1, -1);
    events("fchmod");
    fallocate(file, 0, 0, 100);
    events("fallocate");
    close(file);
    events("close");
    file = open("d/f", O_WRONLY | O_TRUNC);
    close(file);
    events("O_TRUNC");
    truncate("d/f", 10);
    events("truncate");
    file = open("d/f", O_PATH);
    close(file);
    file = open("d/f", O_RDONLY);
    read(file, data, 3);
    lseek(file, 0, SEEK_END);
    read(file, data, 3);
    close(file);
    events("O_RDONLY");
    struct timespec times[2] = {{1, 0}, {2, 0}};
    utimensat(AT_FDCWD, "d/f", times, 0);
    times[0].tv_nsec = UTIME_OMIT;
    utimensat(AT_FDCWD, "d/f", times, 0);
    times[0].tv_nsec = 0;
    times[1].tv_nsec = UTIME_OMIT;
    utimensat(AT_FDCWD, "d/f", times, 0);
    events("times");
    setxattr("d/f", "user.a", "1", 1, 0);
    removexattr("d/f", "user.a");
    events("xattr");
}

static void names(void) {
    char data[4096];
    link("d/f", "d/g");
    rename("d/g", "d/h");
    inotify_add_watch(fd, "d/h", IN_ALL_EVENTS);
    rename("d/h", "d/f");
    events("links");
    unlink("d/h");
    events("unlink one of two");
    int file = open("d/f", O_RDONLY);
    unlink("d/f");
    events("unlink while open");
    pread(file, data, 1, 0);
    close(file);
    events("close the last");
    mkdir("d/s", 0755);
    inotify_add_watch(fd, "d/s", IN_ALL_EVENTS);
    make("d/s/x");
    events("directory");
    file = open("d/s", O_RDONLY);
    syscall(SYS_getdents64, file, data, sizeof data);
    syscall(SYS_getdents64, file, data, sizeof data);
    close(file);
    events("getdents");
    unlink("d/s/x");
    rmdir("d/s");
    events("rmdir");
    symlink("q", "d/l");
    mkfifo("d/p", 0600);
    events("others");
}

static void moves(void) {
    make("d/a");
    make("d/b");
    events("two");
    inotify_add_watch(fd, "d/b", IN_ALL_EVENTS);
    inotify_add_watch(fd, "d/a", IN_ALL_EVENTS);
    rename("d/a", "d/b");
    events("rename over");
    mkdir("d/m", 0700);
    syscall(SYS_renameat2, AT_FDCWD, "d/m", AT_FDCWD, "d/b", 2);
    events("exchange");
    rename("d/b", "d/mm");
    rename("d", "e");
    events("rename directories");
    rename("e", "d");
    events("and back");
}

static void ways(void) {
    int watch = CALL(inotify_add_watch(fd, "d", IN_CREATE | IN_ONESHOT));
    make("d/once");
    make("d/twice");
    events("IN_ONESHOT");
    CALL(inotify_rm_watch(fd, watch));
    watch = CALL(inotify_add_watch(fd, "d", IN_CREATE));
    CALL(inotify_add_watch(fd, "d", IN_DELETE | IN_MASK_ADD));
    CALL(inotify_add_watch(fd, "d", IN_DELETE | IN_MASK_CREATE));
    make("d/1");
    unlink("d/1");
    events("IN_MASK_ADD");
    CALL(inotify_add_watch(fd, "d", IN_ACCESS | IN_MODIFY | IN_EXCL_UNLINK));
    int file = open("d/2", O_CREAT | O_RDWR, 0600);
    write(file, "1", 1);
    unlink("d/2");
    write(file, "2", 1);
    close(file);
    events("IN_EXCL_UNLINK");
    CALL(inotify_rm_watch(fd, watch));
    events("IN_IGNORED");
    CALL(inotify_add_watch(fd, "d/once", IN_ALL_EVENTS | IN_ONLYDIR));
    CALL(inotify_add_watch(fd, "d/l", IN_ALL_EVENTS));
    watch = CALL(inotify_add_watch(fd, "d/l", IN_ALL_EVENTS | IN_DONT_FOLLOW));
    unlink("d/l");
    events("IN_DONT_FOLLOW");
}

static void corners(void) {
    char data[64];
    int waiting = 0, watch = CALL(inotify_add_watch(fd, "d", IN_CREATE) > 0);
    struct pollfd entry = {fd, POLLIN | POLLOUT, 0};
    CALL(poll(&entry, 1, 0));
    CALL(read(fd, data, sizeof data));
    make("d/a-name-of-22-characters");
    CALL(poll(&entry, 1, 0));
    printf("%x\n", entry.revents);
    CALL(ioctl(fd, FIONREAD, &waiting));
    printf("%d\n", waiting);
    CALL(read(fd, data, 47));
    CALL(read(fd, data, 48));
    CALL(write(fd, data, 1));
    CALL(lseek(fd, 0, SEEK_SET));
    CALL(inotify_rm_watch(fd, 0));
    CALL(inotify_rm_watch(0, watch));
    CALL(inotify_rm_watch(99, watch));
    CALL(inotify_add_watch(fd, "d", 0));
    CALL(inotify_add_watch(fd, "d", IN_CREATE | IN_MASK_ADD | IN_MASK_CREATE));
    CALL(inotify_add_watch(0, "d", IN_CREATE));
    CALL(inotify_add_watch(99, "d", IN_CREATE));
    CALL(inotify_add_watch(fd, "nothing", IN_CREATE));
    CALL(inotify_add_watch(fd, WILD, IN_CREATE));
    CALL(inotify_init1(1));
    CALL(close(fd));
}

static void all(const char *directory) {
    printf("== a directory\n");
    CALL(chdir(directory));
    fd = CALL(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    mkdir("d", 0755);
    CALL(inotify_add_watch(fd, "d", IN_ALL_EVENTS));
    contents();
    names();
    moves();
    ways();
    corners();
}

int main(void) {
    char memory[] = "/dev/shm/inotify-XXXXXX";
    setvbuf(stdout, NULL, _IOLBF, 0);
    all(".");
    all(mkdtemp(memory));
    chdir("/");
    return 0;
}
