/* files CASE COUNT FILE [SIZE]: the time of one of COUNT operations, of SIZE bytes each where they have a size. */
#define _GNU_SOURCE
#include "timing.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void must(int is_true) {
    if (!is_true)
        _exit(1);
}

static void stat_it(const char *path) {
    struct stat found;
    must(!stat(path, &found));
}

static void open_it(const char *path) {
    static char page[4096];
    struct stat found;
    int fd = open(path, O_RDONLY);
    must(fd >= 0 && !fstat(fd, &found) && read(fd, page, sizeof page) == sizeof page && !close(fd));
}

static void list_it(const char *path) {
    static char entries[32768];
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    must(fd >= 0);
    long count;
    while ((count = syscall(SYS_getdents64, fd, entries, sizeof entries)) > 0)
        ;
    must(!count && !close(fd));
}

/* Makes so many files in a new directory, looks at each, lists them and removes them. */
static uint64_t crowd(unsigned count, const char *path) {
    char name[32];
    struct stat found;
    must(!mkdir(path, 0700) && !chdir(path));
    uint64_t start = now_ns();
    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof name, "file%u", i);
        int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
        must(fd >= 0 && !close(fd));
    }
    list_it(".");
    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof name, "file%u", i);
        must(!stat(name, &found) && !unlink(name));
    }
    uint64_t time = now_ns() - start;
    must(!chdir("..") && !rmdir(path));
    return time;
}

static uint64_t each(unsigned count, const char *path, void (*operation)(const char *)) {
    operation(path);
    uint64_t start = now_ns();
    for (unsigned i = 0; i < count; i++)
        operation(path);
    return now_ns() - start;
}

/* The second of two passes, the first of which has made or read the file. */
static uint64_t stream(unsigned count, const char *path, size_t size, int is_write) {
    char *data = malloc(size);
    memset(data, 'x', size);
    uint64_t start = 0;
    for (int pass = 0; pass < 2; pass++) {
        int fd = open(path, O_CREAT | (is_write ? O_WRONLY : O_RDONLY), 0600);
        must(fd >= 0);
        start = now_ns();
        for (unsigned i = 0; i < count; i++)
            must((is_write ? write(fd, data, size) : read(fd, data, size)) == (ssize_t)size);
        uint64_t time = now_ns() - start;
        close(fd);
        if (pass)
            return time;
    }
    return 0;
}

static uint64_t sum(const uint64_t *words, size_t size) {
    uint64_t result = 0;
    for (size_t i = 0; i < size / 8; i++)
        result += words[i];
    return result;
}

static uint64_t mapped(unsigned count, const char *path, int is_first) {
    struct stat found;
    int fd = open(path, O_RDONLY);
    must(fd >= 0 && !fstat(fd, &found));
    volatile uint64_t result;
    uint64_t start = now_ns();
    const uint64_t *words = mmap(NULL, (size_t)found.st_size, PROT_READ, MAP_SHARED, fd, 0);
    must(words != MAP_FAILED);
    result = sum(words, (size_t)found.st_size);
    if (is_first)
        return now_ns() - start;
    start = now_ns();
    for (unsigned i = 0; i < count; i++)
        result = sum(words, (size_t)found.st_size);
    (void)result;
    return now_ns() - start;
}

int main(int argc, char **argv) {
    must(argc > 3);
    unsigned count = (unsigned)atoi(argv[2]);
    size_t size = argc > 4 ? strtoul(argv[4], NULL, 0) : 0;
    uint64_t time = !strcmp(argv[1], "stat") ? each(count, argv[3], stat_it)
                    : !strcmp(argv[1], "open") ? each(count, argv[3], open_it)
                    : !strcmp(argv[1], "list") ? each(count, argv[3], list_it)
                    : !strcmp(argv[1], "crowd") ? crowd(count, argv[3])
                    : !strcmp(argv[1], "read") ? stream(count, argv[3], size, 0)
                    : !strcmp(argv[1], "write") ? stream(count, argv[3], size, 1)
                                                : mapped(count, argv[3], !strcmp(argv[1], "first"));
    return report(time / count, count);
}
