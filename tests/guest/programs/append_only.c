/* A file that may only be appended to (chattr +a): FS_IOC_SETFLAGS(2const), open(2), fallocate(2). */
#include "report.h"

#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>

#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif

static long set_flags(int fd, int wanted) {
    int flags;
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0) {
        return -1;
    }
    flags = (flags & ~FS_APPEND_FL) | wanted;
    return ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

static void show_opening(void) {
    static const int accesses[] = {O_RDONLY, O_WRONLY, O_RDWR};
    static const int others[] = {0, O_APPEND, O_TRUNC, O_APPEND | O_TRUNC, O_CREAT | O_APPEND};
    for (size_t i = 0; i < LENGTH(accesses); i++) {
        for (size_t j = 0; j < LENGTH(others); j++) {
            int fd = open("log", accesses[i] | others[j], 0600);
            printf("open %o: %s\n", accesses[i] | others[j], fd < 0 ? error_name(errno) : "open");
            close(fd);
        }
    }
}

static void show_writing(int fd, int before) {
    struct iovec vector = {"seven\n", 6};
    CALL(write(fd, "one\n", 4));
    CALL(pwrite(fd, "two\n", 4, 0));
    CALL(pwritev2(fd, &vector, 1, 0, RWF_APPEND));
    CALL(lseek(fd, 0, SEEK_SET));
    CALL(write(fd, "three\n", 6));
    CALL(pwritev2(fd, &vector, 1, 0, RWF_NOAPPEND));
    CALL(fcntl(fd, F_SETFL, O_NONBLOCK));
    CALL(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK));
    CALL(write(before, "over", 4));
    CALL(ftruncate(fd, 0));
    CALL(truncate("log", 0));
    CALL(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 9000));
    CALL(fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 4096));
    CALL(fallocate(fd, 0, 0, 10));
    CALL(fchmod(fd, 0600));
    CALL(utimensat(AT_FDCWD, "log", NULL, 0));
    CALL(unlink("log"));
    CALL(rename("log", "old"));
    CALL(link("log", "other"));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    make_file("log", "zero\n");
    int before = open("log", O_RDWR);
    if (set_flags(before, FS_APPEND_FL) < 0) {
        printf("not marked: %s\n", error_name(errno));
    } else {
        show_opening();
        show_writing(open("log", O_RDWR | O_APPEND), before);
        show_file("log");
        CALL(set_flags(before, 0));
    }
    CALL(unlink("log"));
    return leave_scratch();
}
