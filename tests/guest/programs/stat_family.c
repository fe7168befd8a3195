/* stat, lstat, fstat, fstatat, statx, access, chmod, chown, statfs. */
#include "report.h"

#include <sys/statfs.h>
#include <sys/sysmacros.h>

static void print(const char *name, const struct stat *st) {
    printf("%s: mode %o, links %lu, uid is ours: %d, gid is ours: %d, size %ld, block size > 0: %d, rdev %u:%u\n",
           name, st->st_mode, S_ISDIR(st->st_mode) ? 0ul : (unsigned long)st->st_nlink, st->st_uid == geteuid(),
           st->st_gid == getegid(), S_ISDIR(st->st_mode) ? 0l : (long)st->st_size, st->st_blksize > 0,
           major(st->st_rdev), minor(st->st_rdev));
}

static int same(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_mode == b->st_mode &&
           a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void ways_to_the_same_inode(void) {
    struct stat st, other;
    int fd = CALL(open("file", O_RDONLY)), path = CALL(open("file", O_PATH));
    int link_itself = CALL(open("link", O_PATH | O_NOFOLLOW));
    CALL(stat("file", &st));
    print("file", &st);
    CALL(stat("link", &other));
    printf("same: %d\n", same(&st, &other));
    CALL(fstat(fd, &other));
    printf("same: %d\n", same(&st, &other));
    CALL(fstat(path, &other));
    printf("same: %d\n", same(&st, &other));
    CALL(fstatat(fd, "", &other, AT_EMPTY_PATH));
    printf("same: %d\n", same(&st, &other));
    CALL(fstatat(99, scratch, &other, 0)); /* the descriptor does not matter */
    print("scratch", &other);
    CALL(fstatat(AT_FDCWD, "", &other, AT_EMPTY_PATH));
    print("working directory", &other);
    CALL(lstat("link", &st));
    print("link", &st);
    CALL(fstatat(AT_FDCWD, "link", &other, AT_SYMLINK_NOFOLLOW));
    printf("same: %d\n", same(&st, &other));
    CALL(fstat(link_itself, &other));
    printf("same: %d\n", same(&st, &other));
    CALL(lstat("link/", &st));
    CALL(close(fd)), CALL(close(path)), CALL(close(link_itself));
}

static void kinds(void) {
    struct stat st;
    int fds[2];
    CALL(stat("dir", &st));
    print("dir", &st);
    CALL(mkfifo("fifo", 0640));
    CALL(stat("fifo", &st));
    print("fifo", &st);
    CALL(mknod("node", S_IFREG | 0600, 0));
    CALL(stat("node", &st));
    print("node", &st);
    CALL(stat("/dev/null", &st));
    printf("mode %o, rdev %u:%u\n", st.st_mode, major(st.st_rdev), minor(st.st_rdev));
    CALL(stat("/dev/zero", &st));
    printf("mode %o, rdev %u:%u\n", st.st_mode, major(st.st_rdev), minor(st.st_rdev));
    CALL(pipe(fds));
    CALL(fstat(fds[0], &st));
    print("pipe", &st);
    CALL(close(fds[0])), CALL(close(fds[1]));
    CALL(unlink("fifo")), CALL(unlink("node"));
}

static void extended(void) {
    struct statx stx;
    struct stat st;
    memset(&stx, 0xff, sizeof stx);
    CALL(statx(AT_FDCWD, "file", 0, STATX_BASIC_STATS, &stx));
    CALL(stat("file", &st));
    printf("basic: %d, mode %o, size %llu, same ino %d, same time %d, same dev %d\n",
           (stx.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS, stx.stx_mode,
           (unsigned long long)stx.stx_size, stx.stx_ino == st.st_ino,
           stx.stx_mtime.tv_sec == st.st_mtim.tv_sec && stx.stx_mtime.tv_nsec == (unsigned)st.st_mtim.tv_nsec,
           makedev(stx.stx_dev_major, stx.stx_dev_minor) == st.st_dev);
    CALL(statx(AT_FDCWD, "link", AT_SYMLINK_NOFOLLOW, STATX_TYPE, &stx));
    printf("type %o\n", stx.stx_mode & S_IFMT);
    CALL(statx(AT_FDCWD, "", AT_EMPTY_PATH, STATX_TYPE, &stx));
    printf("type %o\n", stx.stx_mode & S_IFMT);
    CALL(statx(AT_FDCWD, "file", AT_STATX_SYNC_TYPE, STATX_TYPE, &stx));
    CALL(statx(AT_FDCWD, "file", 1, STATX_TYPE, &stx));
    CALL(statx(AT_FDCWD, "file", 0, STATX__RESERVED, &stx));
    CALL(statx(AT_FDCWD, "file", AT_STATX_FORCE_SYNC | AT_NO_AUTOMOUNT, STATX_ALL, &stx));
    CALL(statx(99, "file", 0, STATX_TYPE, &stx));
    CALL(statx(99, "", AT_EMPTY_PATH, STATX_TYPE, &stx));
    for (int link = 0; link < 2; link++) {
        CALL(statx(AT_FDCWD, "link", link ? AT_SYMLINK_NOFOLLOW : 0, STATX_BASIC_STATS | STATX_BTIME, &stx));
        printf("mask %x, born before its change: %d\n", stx.stx_mask & 0x1fff,
               stx.stx_btime.tv_sec > 0 && stx.stx_btime.tv_sec <= stx.stx_ctime.tv_sec);
    }
    CALL(statx(AT_FDCWD, "/proc/self/status", 0, STATX_BASIC_STATS | STATX_BTIME, &stx));
    printf("mask %x, attributes %llx\n", stx.stx_mask & 0x1fff, (unsigned long long)stx.stx_attributes);
    CALL(statx(AT_FDCWD, "", 0, STATX_TYPE, &stx));
    CALL(statx(AT_FDCWD, "missing", 0, STATX_TYPE, &stx));
}

static unsigned mode_of(const char *name) {
    struct stat st;
    return lstat(name, &st) < 0 ? 0 : st.st_mode;
}

static void changing_modes(void) {
    int fd = CALL(open("file", O_RDONLY));
    CALL(chmod("file", 0600));
    printf("%o\n", mode_of("file"));
    CALL(fchmod(fd, 04755));
    printf("%o\n", mode_of("file"));
    CALL(chmod("link", 0177644));
    printf("%o\n", mode_of("file"));
    CALL(fchmodat(AT_FDCWD, "file", 0, 0));
    printf("%o\n", mode_of("file"));
    CALL(chmod("dir", 01777));
    printf("%o\n", mode_of("dir"));
#ifdef SYS_fchmodat2
    CALL(syscall(SYS_fchmodat2, fd, "", 0640, AT_EMPTY_PATH));
    printf("%o\n", mode_of("file"));
#endif
    CALL(close(fd));
    CALL(chmod("file", 0644));
}

static void changing_owners(void) {
    struct stat st;
    int fd = CALL(open("file", O_RDONLY));
    CALL(chown("file", geteuid(), getegid()));
    CALL(fchown(fd, -1, getegid()));
    CALL(lchown("link", geteuid(), -1));
    CALL(fchownat(fd, "", geteuid(), -1, AT_EMPTY_PATH));
    CALL(fchownat(AT_FDCWD, "link", -1, -1, AT_SYMLINK_NOFOLLOW));
    CALL(stat("file", &st));
    print("file", &st);
    CALL(chmod("file", 06755));
    CALL(chown("file", geteuid(), getegid())); /* takes the set-id bits away */
    printf("%o\n", mode_of("file"));
    CALL(close(fd));
}

static void accessing(void) {
    CALL(chmod("file", 0644));
    CALL(access("file", R_OK));
    CALL(access("file", R_OK | W_OK));
    CALL(access("file", X_OK)); /* refused even to root */
    CALL(chmod("file", 0100));
    CALL(access("file", X_OK));
    CALL(access("dir", X_OK));
    CALL(access("link", F_OK));
    CALL(faccessat(AT_FDCWD, "file", F_OK, AT_EACCESS));
    CALL(chmod("file", 0644));
}

static void file_systems(void) {
    struct statfs fs, other;
    int fd = CALL(open("file", O_RDONLY));
    CALL(statfs("file", &fs));
    CALL(fstatfs(fd, &other));
    printf("same: %d %d %d\n", fs.f_type == other.f_type, fs.f_bsize == other.f_bsize,
           fs.f_blocks == other.f_blocks);
    printf("sane: %d %d %d\n", fs.f_bsize > 0, fs.f_bfree <= fs.f_blocks, fs.f_namelen == 255);
    CALL(statfs("/proc/self", &fs));
    printf("%lx\n", (unsigned long)fs.f_type);
    CALL(close(fd));
    for (fd = 0; fd <= 2; fd++) { /* standard streams come from elsewhere */
        CALL(fstatfs(fd, &fs));
        printf("%d: %d\n", fd, fs.f_bsize > 0);
    }
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    make_file("file", "twelve bytes");
    CALL(symlink("file", "link"));
    CALL(mkdir("dir", 0750));
    ways_to_the_same_inode();
    kinds();
    extended();
    changing_modes();
    changing_owners();
    accessing();
    file_systems();
    unlink("file"), unlink("link"), rmdir("dir");
    return leave_scratch();
}
