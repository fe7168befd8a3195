/* What the file programs share: each call is printed with its result and errno, so that the output of
 * two kernels can be compared line by line. Nothing printed may depend on time, inode numbers, the
 * order of a directory or the name of the working directory. */
#ifndef REPORT_H
#define REPORT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* Evaluate, print and return a call: `CALL(close(99))` prints "close(99) = -1 EBADF". */
#define CALL(expression) (errno = 0, report(#expression, (long)(expression)))

/* The same for a result whose value is not the kernel's promise, only its success. */
#define OK(expression) (errno = 0, report(#expression, (long)(expression) < 0 ? -1 : 0))

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* A pointer to nothing; volatile so that the compiler can't know. */
static void *volatile const WILD = (void *)8;

static const char *error_name(int number) {
    static const struct {
        int number;
        const char *name;
    } names[] = {
        {EPERM, "EPERM"}, {ENOENT, "ENOENT"}, {EINTR, "EINTR"}, {EIO, "EIO"}, {ENXIO, "ENXIO"},
        {E2BIG, "E2BIG"}, {EBADF, "EBADF"}, {EAGAIN, "EAGAIN"}, {ENOMEM, "ENOMEM"}, {EACCES, "EACCES"},
        {EFAULT, "EFAULT"}, {EBUSY, "EBUSY"}, {EEXIST, "EEXIST"}, {EXDEV, "EXDEV"}, {ENODEV, "ENODEV"},
        {ENOTDIR, "ENOTDIR"}, {EISDIR, "EISDIR"}, {EINVAL, "EINVAL"}, {EMFILE, "EMFILE"},
        {ENOTTY, "ENOTTY"}, {ETXTBSY, "ETXTBSY"}, {EFBIG, "EFBIG"}, {ENOSPC, "ENOSPC"},
        {ESPIPE, "ESPIPE"}, {EROFS, "EROFS"}, {EMLINK, "EMLINK"}, {EPIPE, "EPIPE"}, {ERANGE, "ERANGE"},
        {EDEADLK, "EDEADLK"}, {ENAMETOOLONG, "ENAMETOOLONG"}, {ENOSYS, "ENOSYS"},
        {ENOTEMPTY, "ENOTEMPTY"}, {ELOOP, "ELOOP"}, {ENODATA, "ENODATA"}, {EOVERFLOW, "EOVERFLOW"},
        {EOPNOTSUPP, "EOPNOTSUPP"}, {ENOTSOCK, "ENOTSOCK"},
    };
    static char digits[16];
    for (size_t i = 0; i < LENGTH(names); i++) {
        if (names[i].number == number) {
            return names[i].name;
        }
    }
    snprintf(digits, sizeof digits, "errno %d", number);
    return digits;
}

static long report(const char *what, long result) {
    if (result == -1) {
        printf("%s = -1 %s\n", what, error_name(errno));
    } else {
        printf("%s = %ld\n", what, result);
    }
    return result;
}

static char scratch[PATH_MAX];

/* Go to a fresh directory below argv[1] or /tmp, with standard descriptors only and umask 022. */
static inline void enter_scratch(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    for (int fd = 3; fd < 64; fd++) {
        close(fd);
    }
    umask(022);
    snprintf(scratch, sizeof scratch, "%s/guest-XXXXXX", argc > 1 ? argv[1] : "/tmp");
    if (mkdtemp(scratch) == NULL || chdir(scratch) < 0) {
        perror(scratch);
        exit(2);
    }
}

/* Remove the fresh directory; the program must have emptied it, and this prints whether it has. */
static inline int leave_scratch(void) {
    if (chdir("/") < 0) {
        perror("/");
    }
    errno = 0;
    report("rmdir(scratch)", rmdir(scratch));
    return fflush(stdout) != 0;
}

/* Make a file with this text. */
static inline void make_file(const char *name, const char *text) {
    int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
        perror(name);
        exit(2);
    }
    close(fd);
}

/* Print a file's contents from the start, as they are. */
static inline void show_file(const char *name) {
    char text[4096];
    int fd = open(name, O_RDONLY);
    ssize_t count = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (count < 0) {
        printf("%s: %s\n", name, error_name(errno));
    } else {
        printf("%s: %zd bytes [", name, count);
        for (ssize_t i = 0; i < count; i++) {
            printf(text[i] >= ' ' && text[i] < 127 ? "%c" : "\\%03o", (unsigned char)text[i]);
        }
        printf("]\n");
    }
    if (fd >= 0) {
        close(fd);
    }
}

#endif
