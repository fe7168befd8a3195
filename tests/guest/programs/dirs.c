/* Directories: mkdir, rmdir, readdir in pieces, seeking in them, fchdir, relative calls. */
#include "report.h"

#include <dirent.h>

struct dirent_on_wire {
    uint64_t ino;
    int64_t off;
    uint16_t reclen;
    uint8_t type;
    char name[];
};

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All entries of a directory, sorted, with their types, read through a buffer of `size` bytes. */
static void list(const char *path, size_t size) {
    char buffer[4096] __attribute__((aligned(8)));
    char *names[600];
    size_t count = 0, pieces = 0, odd = 0;
    long got;
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    while ((got = syscall(SYS_getdents64, fd, buffer, size)) > 0) {
        pieces++;
        for (long at = 0; at < got && count < LENGTH(names);) {
            struct dirent_on_wire *entry = (void *)(buffer + at);
            char line[300];
            snprintf(line, sizeof line, "%s (%d)", entry->name, entry->type);
            names[count++] = strdup(line);
            odd += entry->ino == 0 || entry->reclen % 8 != 0;
            at += entry->reclen;
        }
    }
    qsort(names, count, sizeof *names, by_name);
    printf("%s: %zu entries, %zu odd, several pieces: %d, end: %ld\n", path, count, odd, pieces > 1, got);
    for (size_t i = 0; i < count; i++) {
        if (count < 20) {
            printf("  %s\n", names[i]);
        }
        free(names[i]);
    }
    close(fd);
}

static void making(void) {
    struct stat st;
    CALL(mkdir("a", 0777));
    CALL(stat("a", &st));
    printf("mode %o\n", st.st_mode);
    CALL(mkdir("a/b/", 0700));
    CALL(mkdir("a/b/c", 01777));
    CALL(stat("a/b/c", &st));
    printf("mode %o\n", st.st_mode);
    CALL(stat("a", &st));
    printf("links %lu\n", (unsigned long)st.st_nlink);
    CALL(rmdir("a"));
    CALL(rmdir("a/b/c/"));
    CALL(stat("a/b/../../a/./b", &st));
    CALL(stat("a//b///", &st));
}

static void listing(void) {
    char name[32];
    make_file("a/file", "");
    CALL(symlink("nowhere", "a/link"));
    CALL(mkfifo("a/fifo", 0644));
    list("a", 4096);
    list("a", 64);
    list("a/b", 4096);
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "a/b/entry-%d", i);
        make_file(name, "");
    }
    list("a/b", 4096);
    list("a/b", 1000);
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "a/b/entry-%d", i);
        unlink(name);
    }
    list("a/b", 4096);
}

static void corners(void) {
    char buffer[256];
    int fd = CALL(open("a", O_RDONLY));
    int file = CALL(open("a/file", O_RDONLY));
    CALL(syscall(SYS_getdents64, fd, buffer, 8));
    CALL(syscall(SYS_getdents64, fd, buffer, 0));
    CALL(syscall(SYS_getdents64, file, buffer, sizeof buffer));
    CALL(syscall(SYS_getdents64, 99, buffer, sizeof buffer));
    CALL(syscall(SYS_getdents64, fd, WILD, 4096));
    OK(syscall(SYS_getdents64, fd, buffer, sizeof buffer));
    CALL(close(file));
    CALL(close(fd));
    fd = CALL(open("a/b", O_RDONLY));
    CALL(rmdir("a/b"));
    CALL(syscall(SYS_getdents64, fd, buffer, sizeof buffer));
    CALL(openat(fd, "x", O_CREAT | O_RDWR, 0644));
    CALL(mkdirat(fd, "x", 0755));
    CALL(close(fd));
}

static void rewinding(void) {
    DIR *directory = opendir("a");
    struct dirent *entry = readdir(directory);
    char first[NAME_MAX + 1], second[NAME_MAX + 1];
    strcpy(first, entry->d_name);
    long position = telldir(directory);
    strcpy(second, readdir(directory)->d_name);
    rewinddir(directory);
    printf("rewound: %d\n", strcmp(readdir(directory)->d_name, first) == 0);
    seekdir(directory, position);
    printf("back at the second: %d\n", strcmp(readdir(directory)->d_name, second) == 0);
    closedir(directory);
    int fd = open("a", O_RDONLY);
    CALL(lseek(fd, 0, SEEK_SET));
    CALL(lseek(fd, -1, SEEK_SET));
    CALL(lseek(fd, 0, SEEK_CUR));
    close(fd);
}

static void relative(void) {
    struct stat st;
    int a = CALL(open("a", O_RDONLY | O_DIRECTORY));
    int path = CALL(open("a", O_PATH));
    CALL(mkdirat(a, "sub", 0755));
    CALL(close(openat(a, "sub/new", O_CREAT | O_WRONLY, 0644)));
    CALL(fstatat(path, "sub/new", &st, 0));
    CALL(faccessat(a, "../a/sub", R_OK | X_OK, 0));
    CALL(unlinkat(path, "sub/new", 0));
    CALL(unlinkat(a, "sub", 0));
    CALL(unlinkat(a, "sub", AT_REMOVEDIR));
    CALL(fchdir(path));
    CALL(access("file", F_OK));
    CALL(fchdir(a));
    CALL(chdir(".."));
    CALL(access("a/file", F_OK));
    CALL(close(a));
    CALL(close(path));
}

static void removed_working_directory(void) {
    char path[PATH_MAX];
    CALL(mkdir("doomed", 0755));
    CALL(chdir("doomed"));
    CALL(rmdir("../doomed"));
    CALL(syscall(SYS_getcwd, path, sizeof path));
    CALL(open("new", O_CREAT | O_RDWR, 0644));
    CALL(access(".", F_OK));
    CALL(chdir(scratch));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    making();
    listing();
    corners();
    rewinding();
    relative();
    removed_working_directory();
    unlink("a/file"), unlink("a/link"), unlink("a/fifo"), rmdir("a");
    return leave_scratch();
}
