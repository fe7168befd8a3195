/* Random calls on a small tree of files, with wild flags, lengths, positions and names among the sensible ones:
 * `wild_files DIRECTORY SEED`. The same seed makes the same calls wherever the same compiler has been. All names are relative
 * and stay within the tree. */
#include "../report.h"

#include <ftw.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/uio.h>

#define CALLS 1500
#define AGAIN 50 /* calls after which the tree is completed again */
#define ANY(...)                                         \
    ({                                                   \
        static const uint64_t choices[] = {__VA_ARGS__}; \
        choices[dice(LENGTH(choices))];                  \
    })

static uint64_t state;
static char buffer[8192], longest[300];

static uint64_t dice(uint64_t sides) { /* xorshift* */
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state * 2685821657736338717ull % sides;
}

static const char *path(void) {
    static const char *names[] = {"f",     "g",    "d",     "d/f",  "d/d2", "l",     "dangling", "loop",   "d/l",
                                  "dl",    "dl/f", "hard",  "d/x",  "nope", "nope/x", "f/x",      "",       "f/",
                                  "d/",    "dl/",  "./f",   "d/./f", "d//f", "fifo",  "d/d2/x",   "\xff\x01", longest};
    return names[dice(LENGTH(names))];
}

static long own(void) { return dice(5) ? (long)ANY(9, 10, 11, 12) : (long)ANY(-1, 1000, 0x7fffffff, 0x80000000); }
static long from(void) { return dice(4) ? AT_FDCWD : (long)ANY(9, 10, 13, -1, 1000); }
static long to(void) { return dice(2) ? AT_FDCWD : 10; }
static int64_t place(void) { return dice(3) ? dice(9000) : ANY(0, -1, -4096, 1ull << 63, 4095, 4096); }
static uint64_t length(void) { return dice(3) ? dice(5000) : ANY(0, 1, 4096, 8192); }
static mode_t mode(void) { return dice(010000) | 0700; }

static void put(int wanted, int fd) {
    if (fd >= 0 && fd != wanted) {
        dup2(fd, wanted);
        close(fd);
    }
}

/* What is missing of the tree, and the descriptors: 9 to read and write, 10 and 13 a directory, 11 to read, 12 to append. */
static void complete(void) {
    mkdir("d", 0755), mkdir("d/d2", 0755), mkfifo("fifo", 0644);
    for (int i = 0; i < 3; i++) {
        close(open((const char *[]){"f", "g", "d/f"}[i], O_CREAT | O_WRONLY | O_NONBLOCK, 0644));
    }
    (void)!symlink("f", "l"), (void)!symlink("nowhere", "dangling"), (void)!symlink("loop", "loop");
    (void)!symlink("d", "dl"), (void)!link("f", "hard");
    put(9, open("g", O_RDWR | O_NONBLOCK)), put(10, open("d", O_RDONLY | O_DIRECTORY));
    put(11, open("d/f", O_RDONLY | O_NONBLOCK)), put(12, open("g", O_WRONLY | O_APPEND | O_NONBLOCK));
    put(13, open("d", O_PATH));
}

static void tell(const char *call, const char *name, const char *other, long result) {
    printf("%s %.12s %.12s: %ld %s\n", call, name, other, result, result < 0 ? error_name(errno) : "");
}

static void opening(const char *name) {
    uint64_t flags = ANY(0, 1, 2, 3) | ANY(0, 0, O_CREAT, O_CREAT | O_EXCL) | O_NONBLOCK;
    flags |= dice(3) ? 0 : ANY(O_TRUNC, O_DIRECTORY, O_NOFOLLOW, O_PATH, O_APPEND, O_TMPFILE, O_NOATIME, O_CLOEXEC);
    struct open_how how = {.flags = flags, .mode = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? mode() : 0};
    how.resolve = dice(2) ? 0 : ANY(1, 2, 4, 8, 16, 24, 64, 1ull << 40);
    how.flags |= dice(12) ? 0 : ANY(1ull << 30, 1ull << 40);
    long at = to(), size = dice(6) ? 24 : (long)ANY(0, 8, 23, 4097);
    errno = 0;
    long fd = dice(2) ? syscall(SYS_openat, at, name, flags, how.mode) : syscall(SYS_openat2, at, name, &how, size);
    tell("open", name, "", fd < 0 ? -1 : 0);
    if (fd >= 0) {
        close(fd);
    }
}

static long naming(const char *name, const char *other) {
    long at = from();
    switch (dice(7)) {
    case 0: return syscall(SYS_mkdirat, at, name, mode());
    case 1: return syscall(SYS_mknodat, at, name, ANY(0, S_IFREG, S_IFIFO, S_IFSOCK, S_IFLNK, S_IFDIR, S_IFMT) | mode(), 0);
    case 2: return syscall(SYS_unlinkat, at, name, dice(3) ? 0 : ANY(AT_REMOVEDIR, 1, -1));
    case 3: return syscall(SYS_renameat2, at, name, to(), other, dice(2) ? 0 : ANY(1, 2, 3, 8, -1));
    case 4: return syscall(SYS_linkat, at, name, to(), other, dice(2) ? 0 : ANY(AT_SYMLINK_FOLLOW, AT_EMPTY_PATH, 1));
    case 5: return syscall(SYS_symlinkat, other, at, name);
    default: return syscall(SYS_readlinkat, at, name, buffer, dice(2) ? 100 : ANY(0, 1, -1, 1ull << 31));
    }
}

static long changing(const char *name) {
    struct timespec times[2] = {{dice(1 << 30), ANY(0, UTIME_NOW, UTIME_OMIT)}, {5, ANY(7, UTIME_OMIT, 1000000000, -1)}};
    long at = from();
    switch (dice(6)) {
    case 0: return syscall(SYS_fchmodat, at, name, mode());
    case 1: return syscall(SYS_fchownat, at, name, -1, -1, ANY(0, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, 1));
    case 2: return syscall(SYS_utimensat, at, dice(9) ? name : NULL, dice(4) ? times : NULL, ANY(0, AT_SYMLINK_NOFOLLOW, 1));
    case 3: return syscall(SYS_truncate, name, dice(3) ? dice(9000) : ANY(-1, 1ull << 63));
    case 4: return syscall(SYS_ftruncate, own(), dice(3) ? dice(9000) : ANY(-1, 1ull << 63));
    default: return syscall(SYS_fchmod, own(), mode());
    }
}

static long moving_data(void) {
    struct iovec parts[3] = {{buffer, length()}, {buffer, dice(9) ? length() : 1ull << 63}, {buffer, length()}};
    long fd = own();
    switch (dice(6)) {
    case 0: return syscall(SYS_pread64, fd, buffer, length(), place());
    case 1: return syscall(SYS_pwrite64, fd, buffer, length(), place());
    case 2: return syscall(SYS_preadv, fd, parts, dice(6) ? dice(4) : ANY(-1, 1025), place(), 0);
    case 3: return syscall(SYS_pwritev, fd, parts, dice(6) ? dice(4) : ANY(-1, 1025), place(), 0);
    case 4: return syscall(SYS_write, fd, buffer, length());
    default: return fd == 10 || fd == 13 ? 0 : syscall(SYS_lseek, fd, place(), ANY(0, 1, 2, 5, -1));
    }
}

static long locking(void) {
    struct flock lock = {.l_type = dice(4), .l_whence = dice(4), .l_start = place(), .l_len = place()};
    long fd = own();
    return dice(2) ? syscall(SYS_flock, fd, LOCK_NB | ANY(1, 2, 8, 0, 3)) : syscall(SYS_fcntl, fd, ANY(F_SETLK, F_GETLK), &lock);
}

static void looking(const char *name) {
    struct stat found = {0};
    long at = from(), flags = ANY(0, 0, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_NO_AUTOMOUNT, 1);
    errno = 0;
    long result = fstatat(at, name, &found, flags);
    tell("stat", name, "", result);
    printf("  %o %ld %ld\n", found.st_mode, S_ISREG(found.st_mode) ? (long)found.st_size : 0,
           S_ISDIR(found.st_mode) ? 0 : (long)found.st_nlink);
    tell("access", name, "", syscall(SYS_faccessat, at, name, dice(3) ? dice(8) : ANY(8, -1)));
}

static void call(void) {
    const char *name = path(), *other = path();
    errno = 0;
    switch (dice(6)) {
    case 0: opening(name); break;
    case 1: tell("name", name, other, naming(name, other)); break;
    case 2: tell("change", name, "", changing(name)); break;
    case 3: tell("data", "", "", moving_data()); break;
    case 4: tell("lock", "", "", locking()); break;
    default: looking(name);
    }
}

static int clear(const char *name, const struct stat *found, int kind, struct FTW *where) {
    (void)found, (void)kind;
    return where->level ? remove(name) : 0;
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    memset(longest, 'n', 256);
    for (int i = 0; i < CALLS; i++) {
        if (i % AGAIN == 0) {
            complete();
        }
        call();
    }
    nftw(".", clear, 8, FTW_DEPTH | FTW_PHYS);
    return leave_scratch();
}
