/* utimensat and its elders, and which calls change the times of a file. */
#include "report.h"

#include <sys/time.h>
#include <time.h>
#include <utime.h>

static const struct timespec OLD[2] = {{1000, 1}, {2000, 2}};

static void show(const char *name) {
    struct stat st;
    if (lstat(name, &st) < 0) {
        printf("  %s: %s\n", name, error_name(errno));
        return;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const struct timespec *times[] = {&st.st_atim, &st.st_mtim};
    printf("  %s:", name);
    for (size_t i = 0; i < 2; i++) {
        if (labs(now.tv_sec - times[i]->tv_sec) < 100) {
            printf(" now");
        } else {
            printf(" %ld.%09ld", (long)times[i]->tv_sec, times[i]->tv_nsec);
        }
    }
    printf("\n");
}

static void make_old(const char *name) {
    if (utimensat(AT_FDCWD, name, OLD, AT_SYMLINK_NOFOLLOW) < 0) {
        perror(name);
    }
}

static void setting(void) {
    struct timespec times[2] = {{100, 123456789}, {200, 987654321}};
    struct timespec omit[2] = {{5, UTIME_OMIT}, {300, 3}}, now[2] = {{5, UTIME_NOW}, {5, UTIME_OMIT}};
    struct timespec nothing[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
    struct timespec bad[2] = {{0, 1000000000}, {0, 0}}, negative[2] = {{-1, 0}, {-100, 999999999}};
    int fd = CALL(open("file", O_RDONLY)), path = CALL(open("file", O_PATH));
    CALL(utimensat(AT_FDCWD, "file", times, 0));
    show("file");
    CALL(utimensat(AT_FDCWD, "file", omit, 0));
    show("file");
    CALL(utimensat(AT_FDCWD, "file", now, 0));
    show("file");
    CALL(futimens(fd, times));
    show("file");
    CALL(utimensat(fd, "", omit, AT_EMPTY_PATH));
    show("file");
    CALL(utimensat(AT_FDCWD, "file", negative, 0));
    show("file");
    CALL(utimensat(AT_FDCWD, "file", NULL, 0));
    show("file");
    CALL(utimensat(AT_FDCWD, "link", times, AT_SYMLINK_NOFOLLOW));
    show("link"), show("file");
    CALL(utimensat(AT_FDCWD, "link", times, 0));
    show("file");
    CALL(utimensat(AT_FDCWD, "file", bad, 0));
    CALL(utimensat(AT_FDCWD, "missing", bad, 0));
    CALL(utimensat(AT_FDCWD, "missing", nothing, 0));
    CALL(utimensat(AT_FDCWD, "file", times, 1));
    CALL(utimensat(99, "file", times, 0));
    CALL(utimensat(AT_FDCWD, "", times, 0));
    CALL(syscall(SYS_utimensat, fd, NULL, times, 0));
    CALL(syscall(SYS_utimensat, fd, NULL, times, AT_SYMLINK_NOFOLLOW));
    CALL(syscall(SYS_utimensat, path, NULL, times, 0));
    CALL(syscall(SYS_utimensat, 99, NULL, times, 0));
    CALL(syscall(SYS_utimensat, AT_FDCWD, NULL, times, 0));
    CALL(close(fd)), CALL(close(path));
}

static void elders(void) {
    struct utimbuf seconds = {11, 22};
    struct timeval micro[2] = {{33, 44}, {55, 999999}}, bad[2] = {{0, 1000000}, {0, 0}};
    CALL(utime("file", &seconds));
    show("file");
    CALL(utimes("file", micro));
    show("file");
    CALL(utimes("file", bad));
    CALL(utimes("missing", micro));
    CALL(utime("file", NULL));
    show("file");
    CALL(lutimes("link", micro));
    show("link");
}

/* What is done to a file that was last touched long ago. */
static void touching(void) {
    char text[8];
    struct stat before, after;
    make_old("file");
    int fd = CALL(open("file", O_RDWR));
    show("file");
    CALL(write(fd, "x", 1));
    show("file");
    make_old("file");
    CALL(write(fd, "x", 0));
    show("file");
    CALL(pread(fd, text, 1, 0));
    show("file");
    make_old("file");
    CALL(ftruncate(fd, 10));
    show("file");
    make_old("file");
    CALL(fchmod(fd, 0600));
    show("file");
    CALL(close(fd));
    CALL(close(open("file", O_RDONLY | O_CREAT, 0644)));
    show("file");
    CALL(close(open("file", O_WRONLY | O_TRUNC)));
    show("file");
    CALL(mkdir("dir", 0755));
    make_old("dir");
    make_file("dir/entry", "");
    show("dir");
    make_old("dir");
    CALL(rename("dir/entry", "dir/other"));
    show("dir");
    make_old("dir");
    CALL(unlink("dir/other"));
    show("dir");
    make_old("dir");
    CALL(unlink("dir/other"));
    show("dir");
    CALL(rmdir("dir"));
    CALL(stat("file", &before));
    CALL(chmod("file", 0640));
    CALL(stat("file", &after));
    printf("change time does not go back: %d\n", after.st_ctime >= before.st_ctime);
}

/* Reading a directory in memory is an access, unless O_NOATIME says otherwise. */
static void reading_directories(void) {
    char name[] = "/dev/shm/times-XXXXXX", entries[256];
    static const int flags[] = {O_RDONLY | O_NOATIME, O_RDONLY};
    if (mkdtemp(name) == NULL) {
        perror(name);
        return;
    }
    for (size_t i = 0; i < LENGTH(flags); i++) {
        make_old(name);
        int fd = open(name, flags[i]);
        OK(syscall(SYS_getdents64, fd, entries, sizeof entries));
        close(fd);
        struct stat st;
        stat(name, &st);
        printf("accessed: %d\n", st.st_atim.tv_sec != OLD[0].tv_sec);
    }
    rmdir(name);
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    make_file("file", "twelve bytes");
    CALL(symlink("file", "link"));
    setting();
    elders();
    touching();
    reading_directories();
    unlink("file"), unlink("link");
    return leave_scratch();
}
