/* The corners of the calls on files: what fails, with which errno, and which check comes first. */
#include "report.h"

#include <linux/openat2.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>


static void opening(void) {
    char longest[PATH_MAX + 8];
    CALL(open("", O_RDONLY));
    CALL(open("missing", O_RDONLY));
    CALL(open("missing/below", O_CREAT | O_RDWR, 0644));
    CALL(open("file/below", O_RDONLY));
    CALL(open("file/", O_RDONLY));
    CALL(open("file/.", O_RDONLY));
    CALL(open("new/", O_CREAT | O_RDWR, 0644));
    CALL(open("file", O_CREAT | O_EXCL | O_RDWR, 0644));
    CALL(open("link", O_CREAT | O_EXCL | O_RDWR, 0644));
    CALL(open("file", O_RDONLY | O_DIRECTORY));
    CALL(open("dir", O_WRONLY));
    CALL(open("dir", O_RDWR | O_CREAT, 0644));
    CALL(open("dir", O_RDONLY | O_CREAT, 0644));
    CALL(open("dir", O_RDONLY | O_TRUNC));
    CALL(open("link", O_RDONLY | O_NOFOLLOW));
    CALL(open("loop", O_RDONLY));
    CALL(open("loop/x", O_RDONLY));
    CALL(open("dangling", O_RDONLY));
    CALL(open("dangling", O_RDONLY | O_CREAT | O_EXCL, 0644));
    CALL(open("dir", O_RDONLY | O_CREAT | O_DIRECTORY, 0755));
    CALL(open(".", O_TMPFILE | O_RDONLY, 0644));
    CALL(open("file", O_TMPFILE | O_RDWR, 0644));
    memset(longest, 'a', sizeof longest);
    longest[256] = 0;
    CALL(open(longest, O_RDONLY));
    CALL(open(longest, O_RDWR | O_CREAT, 0644));
    longest[256] = 'a';
    longest[sizeof longest - 1] = 0;
    CALL(open(longest, O_RDONLY));
    CALL(openat(99, "file", O_RDONLY));
    CALL(openat(99, "", O_RDONLY));
    int file = open("file", O_RDONLY);
    CALL(openat(file, "x", O_RDONLY));
    CALL(openat(file, "", O_RDONLY));
    CALL(openat(99, "/dev/null/x", O_RDONLY));
    close(file);
}

static long open2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve, size_t size) {
    struct {
        struct open_how how;
        uint64_t more;
    } argument = {{flags, mode, resolve}, size > sizeof(struct open_how)};
    return syscall(SYS_openat2, dirfd, path, &argument, size);
}

static void opening_with_how(void) {
    size_t size = sizeof(struct open_how);
    CALL(close(open2(AT_FDCWD, "file", O_RDONLY, 0, 0, size)));
    CALL(open2(AT_FDCWD, "file", O_RDONLY, 0644, 0, size));
    CALL(open2(AT_FDCWD, "file", 1ull << 40, 0, 0, size));
    CALL(open2(AT_FDCWD, "file", O_RDONLY, 0, 1ull << 40, size));
    CALL(open2(AT_FDCWD, "file", O_RDONLY, 0, 0, 8));
    CALL(open2(AT_FDCWD, "file", O_RDONLY, 0, 0, size + 8));
    CALL(open2(AT_FDCWD, "file", O_RDONLY, 0, 0, 1 << 20));
    CALL(open2(AT_FDCWD, "/etc", O_RDONLY, 0, RESOLVE_BENEATH, size));
    CALL(open2(AT_FDCWD, "dir/../..", O_RDONLY, 0, RESOLVE_BENEATH, size));
    CALL(open2(AT_FDCWD, "link", O_RDONLY, 0, RESOLVE_NO_SYMLINKS, size));
    CALL(open2(AT_FDCWD, "x", O_CREAT | O_RDWR, 0200000, 0, size));
    CALL(close(open2(AT_FDCWD, "/link", O_RDONLY | O_PATH, 0, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS, size)));
}

static void reading_and_writing(void) {
    char text[16];
    int in = open("file", O_RDONLY), out = open("file", O_WRONLY), path = open("file", O_PATH);
    int directory = open("dir", O_RDONLY);
    CALL(read(99, text, 1));
    CALL(read(-1, WILD, 1));
    CALL(read(out, text, 1));
    CALL(read(out, WILD, 0));
    CALL(write(in, text, 1));
    CALL(write(in, WILD, 1));
    CALL(read(path, text, 1));
    CALL(write(path, text, 1));
    CALL(lseek(path, 0, SEEK_SET));
    CALL(ftruncate(path, 0));
    CALL(fchmod(path, 0644));
    CALL(read(directory, text, 1));
    CALL(pread(directory, text, 1, 0));
    CALL(write(directory, text, 1));
    CALL(pread(in, text, 1, -1));
    CALL(pwrite(out, text, 1, -1));
    CALL(pread(99, text, 1, -1));
    CALL(read(in, WILD, 1));
    CALL(read(in, WILD, 0));
    CALL(write(out, WILD, 1));
    CALL(lseek(in, -1, SEEK_SET));
    CALL(lseek(in, 0, 7));
    CALL(lseek(99, 0, 7));
    CALL(lseek(in, -100, SEEK_END));
    CALL(lseek(in, LONG_MIN, SEEK_SET));
    CALL(lseek(in, 100, SEEK_DATA));
    CALL(lseek(in, 0, SEEK_HOLE));
    CALL(ftruncate(in, 0));
    CALL(ftruncate(out, -1));
    CALL(ftruncate(directory, 0));
    CALL(truncate("dir", 0));
    CALL(truncate("missing", 0));
    CALL(truncate("file", -1));
    CALL(fallocate(in, 0, 0, 1));
    CALL(fallocate(out, 0, -1, 1));
    CALL(fallocate(out, 0, 0, 0));
    CALL(fallocate(out, 1 << 20, 0, 1));
    CALL(fallocate(out, 0, LONG_MAX, 1));
    CALL(fallocate(99, 0, -1, 1));
    CALL(fsync(99));
    CALL(fsync(path));
    CALL(fdatasync(99));
    CALL(syncfs(99));
    CALL(sync_file_range(in, -1, 0, 0));
    CALL(sync_file_range(in, 0, 0, 64));
    CALL(posix_fadvise(99, 0, 0, 0));
    CALL(posix_fadvise(in, 0, 0, 77));
    CALL(readahead(out, 0, 1));
    CALL(readahead(99, 0, 1));
    CALL(readahead(in, 0, (size_t)-1));
    close(in), close(out), close(path), close(directory);
}

static void copying(void) {
    int in = open("file", O_RDONLY), out = open("file", O_WRONLY), directory = open("dir", O_RDONLY);
    int both = open("file", O_RDWR), appending = open("file", O_WRONLY | O_APPEND);
    off_t negative = -1, zero = 0, one = 1;
    CALL(sendfile(99, in, NULL, 1));
    CALL(sendfile(out, 99, NULL, 1));
    CALL(sendfile(in, in, NULL, 1));
    CALL(sendfile(out, out, NULL, 1));
    CALL(sendfile(out, directory, NULL, 1));
    CALL(sendfile(out, in, &negative, 1));
    CALL(sendfile(out, in, WILD, 1));
    CALL(sendfile(appending, in, NULL, 1));
    CALL(sendfile(out, in, &zero, 0));
    CALL(sendfile(out, in, NULL, (size_t)-1));
    CALL(sendfile(99, in, NULL, (size_t)-1));
    CALL(sendfile(out, in, NULL, SSIZE_MAX));
    CALL(copy_file_range(99, NULL, out, NULL, 1, 0));
    CALL(copy_file_range(in, NULL, 99, NULL, 1, 0));
    CALL(copy_file_range(in, NULL, out, NULL, 1, 5));
    CALL(copy_file_range(in, NULL, in, NULL, 1, 0));
    CALL(copy_file_range(in, NULL, appending, NULL, 1, 0));
    CALL(copy_file_range(directory, NULL, out, NULL, 1, 0));
    CALL(copy_file_range(in, NULL, directory, NULL, 1, 0));
    CALL(copy_file_range(both, &zero, both, &one, 2, 0));
    CALL(copy_file_range(in, WILD, out, NULL, 1, 0));
    CALL(copy_file_range(in, &negative, out, NULL, 1, 0));
    close(in), close(out), close(directory), close(both), close(appending);
}

static void directories(void) {
    char path[8];
    int file = open("file", O_RDONLY);
    CALL(chdir("missing"));
    CALL(chdir("file"));
    CALL(chdir(""));
    CALL(fchdir(99));
    CALL(fchdir(file));
    CALL(syscall(SYS_getcwd, path, 1));
    CALL(syscall(SYS_getcwd, NULL, 0));
    CALL(syscall(SYS_getcwd, WILD, 4096));
    CALL(mkdir("dir", 0755));
    CALL(mkdir("file", 0755));
    CALL(mkdir("link", 0755));
    CALL(mkdir("dangling", 0755));
    CALL(mkdir("missing/x", 0755));
    CALL(mkdir("", 0755));
    CALL(mkdir("/", 0755));
    CALL(mkdir(".", 0755));
    CALL(rmdir("missing"));
    CALL(rmdir("file"));
    CALL(rmdir("link"));
    CALL(rmdir("."));
    CALL(rmdir("dir/."));
    CALL(rmdir("dir/.."));
    CALL(rmdir("/"));
    CALL(rmdir(""));
    CALL(unlink("dir"));
    CALL(unlink("missing"));
    CALL(unlink("file/"));
    CALL(unlink("file/x"));
    CALL(unlink("."));
    CALL(unlink(".."));
    CALL(unlink("/"));
    CALL(unlink(""));
    CALL(unlinkat(AT_FDCWD, "dir", 0));
    CALL(unlinkat(AT_FDCWD, "file", AT_REMOVEDIR));
    CALL(unlinkat(AT_FDCWD, "file", 1));
    CALL(unlinkat(99, "file", 0));
    CALL(unlinkat(file, "x", 0));
    CALL(mkdirat(99, "x", 0755));
    CALL(mkdirat(99, "/", 0755));
    CALL(mknod("file", S_IFREG | 0644, 0));
    CALL(mknod("x", S_IFDIR | 0755, 0));
    CALL(mknod("x", 0170000, 0));
    CALL(mknod("missing/x", S_IFIFO | 0644, 0));
    close(file);
}

static void attributes(void) {
    struct stat st;
    struct statfs fs;
    CALL(access("file", 8));
    CALL(access("missing", 8));
    CALL(access("missing", F_OK));
    CALL(access("file/x", F_OK));
    CALL(syscall(SYS_faccessat, 99, "file", F_OK));
    CALL(syscall(SYS_faccessat2, AT_FDCWD, "file", F_OK, 1));
    CALL(syscall(SYS_faccessat2, AT_FDCWD, "", F_OK, AT_EMPTY_PATH));
    CALL(syscall(SYS_faccessat2, AT_FDCWD, "", F_OK, 0));
    CALL(syscall(SYS_faccessat2, AT_FDCWD, "dangling", F_OK, AT_SYMLINK_NOFOLLOW));
    CALL(access("dangling", F_OK));
    CALL(chmod("missing", 0644));
    CALL(chmod("", 0644));
    CALL(fchmod(99, 0644));
    CALL(fchmodat(99, "file", 0644, 0));
#ifdef SYS_fchmodat2
    CALL(syscall(SYS_fchmodat2, AT_FDCWD, "file", 0644, 1));
#endif
    CALL(chown("missing", -1, -1));
    CALL(chown("file", -1, -1));
    CALL(fchown(99, -1, -1));
    CALL(fchownat(AT_FDCWD, "file", -1, -1, 1));
    CALL(fchownat(AT_FDCWD, "", -1, -1, 0));
    CALL(fchownat(AT_FDCWD, "", -1, -1, AT_EMPTY_PATH));
    CALL(stat("", &st));
    CALL(stat("file/", &st));
    CALL(fstat(99, &st));
    CALL(fstatat(99, "file", &st, 0));
    CALL(fstatat(AT_FDCWD, "file", &st, 1));
    CALL(fstatat(99, "", &st, AT_EMPTY_PATH));
    CALL(statfs("missing", &fs));
    CALL(fstatfs(99, &fs));
    CALL(chroot("missing"));
    CALL(chroot("file"));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    make_file("file", "contents");
    CALL(mkdir("dir", 0755));
    CALL(symlink("file", "link"));
    CALL(symlink("loop", "loop"));
    CALL(symlink("nowhere", "dangling"));
    opening();
    opening_with_how();
    reading_and_writing();
    copying();
    directories();
    attributes();
    show_file("file");
    unlink("file"), unlink("link"), unlink("loop"), unlink("dangling"), rmdir("dir");
    return leave_scratch();
}
