/* Every call on files with every pointer wild: EFAULT, and nothing worse. */
#include "report.h"

#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <termios.h>

/* Small, in no mapping, in the kernel's half, not canonical, at the very end, and never to be read. */
static char *wild[] = {(char *)8, (char *)0x123456789000, (char *)(1ul << 63), (char *)0x800000000000,
                       (char *)-1, (char *)-4096, NULL};

/* Print the distinct results that a call has for all wild pointers. */
#define EACH(expression)                                         \
    do {                                                         \
        for (size_t i_ = 0; i_ < LENGTH(wild); i_++) {           \
            char *bad = wild[i_];                                \
            errno = 0;                                           \
            long result_ = (long)(expression);                   \
            remember(result_ == -1 ? -errno : result_);          \
        }                                                        \
        tell(#expression);                                       \
    } while (0)

static long seen[16];
static size_t seen_count;

static void remember(long result) {
    for (size_t i = 0; i < seen_count; i++) {
        if (seen[i] == result) {
            return;
        }
    }
    seen[seen_count++] = result;
}

static void tell(const char *what) {
    printf("%s:", what);
    for (size_t i = 0; i < seen_count; i++) {
        if (seen[i] < 0) {
            printf(" %s", error_name((int)-seen[i]));
        } else {
            printf(" %ld", seen[i]);
        }
    }
    printf("\n");
    seen_count = 0;
}

static void paths(void) {
    char text[64];
    EACH(syscall(SYS_openat, AT_FDCWD, bad, O_RDONLY, 0));
    EACH(syscall(SYS_openat, AT_FDCWD, bad, O_CREAT | O_RDWR, 0644));
    EACH(syscall(SYS_openat2, AT_FDCWD, "file", bad, sizeof(struct open_how)));
    EACH(syscall(SYS_mkdirat, AT_FDCWD, bad, 0755));
    EACH(syscall(SYS_mknodat, AT_FDCWD, bad, S_IFIFO | 0644, 0));
    EACH(syscall(SYS_unlinkat, AT_FDCWD, bad, 0));
    EACH(syscall(SYS_unlinkat, AT_FDCWD, bad, AT_REMOVEDIR));
    EACH(syscall(SYS_renameat2, AT_FDCWD, bad, AT_FDCWD, "x", 0));
    EACH(syscall(SYS_renameat2, AT_FDCWD, "file", AT_FDCWD, bad, 0));
    EACH(syscall(SYS_linkat, AT_FDCWD, bad, AT_FDCWD, "x", 0));
    EACH(syscall(SYS_linkat, AT_FDCWD, "file", AT_FDCWD, bad, 0));
    EACH(syscall(SYS_symlinkat, bad, AT_FDCWD, "x"));
    EACH(syscall(SYS_symlinkat, "x", AT_FDCWD, bad));
    EACH(syscall(SYS_readlinkat, AT_FDCWD, bad, text, sizeof text));
    EACH(syscall(SYS_readlinkat, AT_FDCWD, "link", bad, 64));
    EACH(syscall(SYS_faccessat, AT_FDCWD, bad, F_OK));
    EACH(syscall(SYS_fchmodat, AT_FDCWD, bad, 0644));
    EACH(syscall(SYS_fchownat, AT_FDCWD, bad, -1, -1, 0));
    EACH(syscall(SYS_truncate, bad, 0));
    EACH(syscall(SYS_chdir, bad));
    EACH(syscall(SYS_chroot, bad));
    EACH(syscall(SYS_getcwd, bad, 4096));
    EACH(syscall(SYS_memfd_create, bad, 0));
}

static void attributes(void) {
    char buffer[512];
    int fd = open("file", O_RDONLY);
    EACH(syscall(SYS_newfstatat, AT_FDCWD, bad, buffer, 0));
    EACH(syscall(SYS_newfstatat, AT_FDCWD, "file", bad, 0));
    EACH(syscall(SYS_fstat, fd, bad));
    EACH(syscall(SYS_statx, AT_FDCWD, bad, 0, STATX_BASIC_STATS, buffer));
    EACH(syscall(SYS_statx, AT_FDCWD, "file", 0, STATX_BASIC_STATS, bad));
    EACH(syscall(SYS_statfs, bad, buffer));
    EACH(syscall(SYS_statfs, "file", bad));
    EACH(syscall(SYS_fstatfs, fd, bad));
    for (size_t i = 0; i + 1 < LENGTH(wild); i++) { /* NULL means now */
        remember(syscall(SYS_utimensat, AT_FDCWD, "file", wild[i], 0) == -1 ? -errno : 0);
    }
    tell("utimensat");
    EACH(syscall(SYS_utimensat, AT_FDCWD, bad, NULL, 0));
    EACH(syscall(SYS_setxattr, bad, "user.x", "x", 1, 0));
    EACH(syscall(SYS_setxattr, "file", bad, "x", 1, 0));
    EACH(syscall(SYS_setxattr, "file", "user.x", bad, 1, 0));
    EACH(syscall(SYS_getxattr, "file", bad, buffer, 1));
    EACH(syscall(SYS_listxattr, bad, buffer, 1));
    EACH(syscall(SYS_removexattr, "file", bad));
    close(fd);
}

static void data(void) {
    int fd = open("file", O_RDWR), out = open("out", O_CREAT | O_RDWR, 0644), pair[2];
    struct iovec {
        void *base;
        size_t length;
    } one;
    if (fd < 0 || out < 0 || pipe2(pair, O_NONBLOCK) < 0 || write(pair[1], "pipe", 4) != 4) {
        perror("data");
    }
    EACH(syscall(SYS_pread64, fd, bad, 4, 0));
    EACH(syscall(SYS_pwrite64, out, bad, 4, 0));
    EACH(syscall(SYS_read, fd, bad, 4));
    EACH(syscall(SYS_write, out, bad, 4));
    EACH(syscall(SYS_read, pair[0], bad, 4));
    EACH(syscall(SYS_write, pair[1], bad, 4));
    EACH(syscall(SYS_readv, fd, bad, 1));
    EACH(syscall(SYS_writev, out, bad, 1));
    EACH((one = (struct iovec){bad, 4}, syscall(SYS_readv, fd, &one, 1)));
    EACH((one = (struct iovec){bad, 4}, syscall(SYS_writev, out, &one, 1)));
    EACH(syscall(SYS_preadv2, fd, bad, 1, 0, 0, 0));
    EACH(syscall(SYS_getdents64, open(".", O_RDONLY), bad, 4096));
    for (size_t i = 0; i + 1 < LENGTH(wild); i++) { /* NULL means the file's own position */
        remember(syscall(SYS_sendfile, out, fd, wild[i], 1) == -1 ? -errno : 0);
        remember(syscall(SYS_copy_file_range, fd, wild[i], out, NULL, 1, 0) == -1 ? -errno : 0);
    }
    tell("sendfile and copy_file_range");
    EACH(syscall(SYS_read, open("/dev/zero", O_RDONLY), bad, 4));
    printf("%ld bytes in the file, position %ld\n", (long)lseek(out, 0, SEEK_END), (long)lseek(fd, 0, SEEK_CUR));
    for (int number = 3; number < 64; number++) {
        close(number);
    }
}

static void descriptors(void) {
    int fd = open("file", O_RDWR), pair[2];
    struct timespec none = {0, 0};
    EACH(syscall(SYS_pipe2, bad, 0));
    EACH(syscall(SYS_fcntl, fd, F_SETLK, bad));
    EACH(syscall(SYS_fcntl, fd, F_GETLK, bad));
    EACH(syscall(SYS_ioctl, fd, FIONBIO, bad));
    EACH(syscall(SYS_ioctl, fd, FIONREAD, bad));
    EACH(syscall(SYS_ioctl, fd, TCGETS, bad));
    EACH(syscall(SYS_ppoll, bad, 1, &none, NULL, 8));
    for (size_t i = 0; i + 1 < LENGTH(wild); i++) { /* NULL is no set, no time, no mask */
        remember(syscall(SYS_pselect6, 8, wild[i], NULL, NULL, &none, NULL) == -1 ? -errno : 0);
        remember(syscall(SYS_pselect6, 0, NULL, NULL, NULL, wild[i], NULL) == -1 ? -errno : 0);
        remember(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &none, wild[i]) == -1 ? -errno : 0);
        remember(syscall(SYS_ppoll, NULL, 0, wild[i], NULL, 8) == -1 ? -errno : 0);
        remember(syscall(SYS_ppoll, NULL, 0, &none, wild[i], 8) == -1 ? -errno : 0);
    }
    tell("pselect6 and ppoll");
    close(fd);
    CALL(pipe(pair)); /* no descriptor has been lost */
    printf("%d %d\n", pair[0], pair[1]);
    close(pair[0]), close(pair[1]);
}

/* The calls that aarch64 never had; there their successors answer, and print the same. */
#ifdef SYS_open
#define ELDER(call, successor) syscall call
#else
#define ELDER(call, successor) syscall successor
#endif

static void elders(void) {
    char buffer[512];
    EACH(ELDER((SYS_open, bad, O_RDONLY), (SYS_openat, AT_FDCWD, bad, O_RDONLY)));
    EACH(ELDER((SYS_creat, bad, 0644), (SYS_openat, AT_FDCWD, bad, O_CREAT | O_WRONLY | O_TRUNC, 0644)));
    EACH(ELDER((SYS_stat, bad, buffer), (SYS_newfstatat, AT_FDCWD, bad, buffer, 0)));
    EACH(ELDER((SYS_stat, "file", bad), (SYS_newfstatat, AT_FDCWD, "file", bad, 0)));
    EACH(ELDER((SYS_lstat, "file", bad), (SYS_newfstatat, AT_FDCWD, "file", bad, AT_SYMLINK_NOFOLLOW)));
    EACH(ELDER((SYS_access, bad, F_OK), (SYS_faccessat, AT_FDCWD, bad, F_OK)));
    EACH(ELDER((SYS_mkdir, bad, 0755), (SYS_mkdirat, AT_FDCWD, bad, 0755)));
    EACH(ELDER((SYS_rmdir, bad), (SYS_unlinkat, AT_FDCWD, bad, AT_REMOVEDIR)));
    EACH(ELDER((SYS_unlink, bad), (SYS_unlinkat, AT_FDCWD, bad, 0)));
    EACH(ELDER((SYS_rename, bad, "x"), (SYS_renameat2, AT_FDCWD, bad, AT_FDCWD, "x", 0)));
    EACH(ELDER((SYS_link, "file", bad), (SYS_linkat, AT_FDCWD, "file", AT_FDCWD, bad, 0)));
    EACH(ELDER((SYS_symlink, "x", bad), (SYS_symlinkat, "x", AT_FDCWD, bad)));
    EACH(ELDER((SYS_readlink, "link", bad, 64), (SYS_readlinkat, AT_FDCWD, "link", bad, 64)));
    EACH(ELDER((SYS_chmod, bad, 0644), (SYS_fchmodat, AT_FDCWD, bad, 0644)));
    EACH(ELDER((SYS_chown, bad, -1, -1), (SYS_fchownat, AT_FDCWD, bad, -1, -1, 0)));
    EACH(ELDER((SYS_lchown, bad, -1, -1), (SYS_fchownat, AT_FDCWD, bad, -1, -1, AT_SYMLINK_NOFOLLOW)));
    EACH(ELDER((SYS_utime, bad, NULL), (SYS_utimensat, AT_FDCWD, bad, NULL, 0)));
    EACH(ELDER((SYS_utimes, bad, NULL), (SYS_utimensat, AT_FDCWD, bad, NULL, 0)));
    EACH(ELDER((SYS_pipe, bad), (SYS_pipe2, bad, 0)));
    EACH(ELDER((SYS_poll, bad, 1, 0), (SYS_ppoll, bad, 1, &(struct timespec){0, 0}, NULL, 8)));
    EACH(ELDER((SYS_getdents, open(".", O_RDONLY), bad, 4096), (SYS_getdents64, open(".", O_RDONLY), bad, 4096)));
    for (int number = 3; number < 64; number++) {
        close(number);
    }
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    make_file("file", "contents");
    CALL(symlink("file", "link"));
    paths();
    attributes();
    data();
    descriptors();
    elders();
    show_file("file");
    unlink("file"), unlink("link"), unlink("out");
    return leave_scratch();
}
