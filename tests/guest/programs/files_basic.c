/* open, read, write, lseek, truncate, append, umask, getcwd: what works. */
#include "report.h"

#include <sys/sendfile.h>

static void read_and_write(void) {
    char text[64] = {0};
    int fd = CALL(open("one", O_CREAT | O_EXCL | O_RDWR, 0666));
    CALL(write(fd, "hello, world\n", 13));
    CALL(write(fd, text, 0));
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(read(fd, text, sizeof text));
    CALL(lseek(fd, 7, SEEK_SET));
    CALL(read(fd, text, 5));
    printf("%s\n", text);
    CALL(lseek(fd, -6, SEEK_END));
    CALL(read(fd, text, sizeof text));
    printf("%s", text);
    CALL(pread(fd, text, 5, 0));
    CALL(pwrite(fd, "HELLO", 5, 0));
    CALL(pwrite(fd, "end", 3, 20));
    CALL(pread(fd, text, 8, 100));
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(close(fd));
    show_file("one");
}

static void appending(void) {
    int fd = CALL(open("one", O_WRONLY | O_APPEND));
    CALL(lseek(fd, 3, SEEK_SET));
    CALL(write(fd, "+appended", 9));
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(pwrite(fd, "again", 5, 2));
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(close(fd));
    show_file("one");
}

static void truncating(void) {
    struct stat st;
    CALL(truncate("one", 5));
    show_file("one");
    CALL(truncate("one", 8));
    show_file("one");
    int fd = CALL(open("one", O_RDWR));
    CALL(lseek(fd, 6, SEEK_SET));
    CALL(ftruncate(fd, 2));
    CALL(lseek(fd, 0, SEEK_CUR));
    CALL(write(fd, "x", 1));
    CALL(fstat(fd, &st));
    printf("size %ld\n", (long)st.st_size);
    CALL(fallocate(fd, 0, 0, 100));
    CALL(fstat(fd, &st));
    printf("size %ld\n", (long)st.st_size);
    CALL(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 5000));
    CALL(fstat(fd, &st));
    printf("size %ld\n", (long)st.st_size);
    CALL(close(fd));
    fd = CALL(open("one", O_RDWR | O_TRUNC));
    CALL(fstat(fd, &st));
    printf("size %ld\n", (long)st.st_size);
    CALL(close(fd));
}

static void modes(void) {
    struct stat st;
    CALL(umask(027));
    CALL(close(CALL(open("masked", O_CREAT | O_WRONLY, 0777))));
    CALL(stat("masked", &st));
    printf("mode %o\n", st.st_mode);
    CALL(close(CALL(creat("created", 0666))));
    CALL(stat("created", &st));
    printf("mode %o\n", st.st_mode);
    CALL(umask(022));
    int fd = CALL(open("unwritable", O_CREAT | O_RDWR, 0444)); /* the mode does not hold for this open */
    CALL(write(fd, "abc", 3));
    CALL(close(fd));
    CALL(unlink("unwritable"));
    CALL(unlink("masked"));
    CALL(unlink("created"));
}

static void unlinked_file(void) {
    struct stat st;
    char text[8] = {0};
    int fd = CALL(open("gone", O_CREAT | O_RDWR, 0644));
    CALL(unlink("gone"));
    CALL(write(fd, "still", 5));
    CALL(pread(fd, text, 5, 0));
    CALL(fstat(fd, &st));
    printf("%s, %lu links, %ld bytes\n", text, (unsigned long)st.st_nlink, (long)st.st_size);
    CALL(access("gone", F_OK));
    CALL(close(fd));
}

static void copying(void) {
    make_file("source", "0123456789abcdef");
    int in = CALL(open("source", O_RDONLY));
    int out = CALL(open("target", O_CREAT | O_RDWR | O_TRUNC, 0644));
    off_t offset = 4;
    off64_t from = 10, to = 6;
    CALL(sendfile(out, in, NULL, 4));
    CALL(lseek(in, 0, SEEK_CUR));
    CALL(sendfile(out, in, &offset, 2));
    printf("offset %ld\n", (long)offset);
    CALL(lseek(in, 0, SEEK_CUR));
    CALL(copy_file_range(in, &from, out, &to, 3, 0));
    printf("offsets %ld %ld\n", (long)from, (long)to);
    CALL(copy_file_range(in, NULL, out, NULL, 100, 0));
    CALL(copy_file_range(in, NULL, out, NULL, 100, 0));
    CALL(lseek(in, 0, SEEK_CUR));
    CALL(lseek(out, 0, SEEK_CUR));
    CALL(close(in));
    CALL(close(out));
    show_file("target");
    CALL(unlink("source"));
    CALL(unlink("target"));
}

static void working_directory(void) {
    char path[PATH_MAX];
    CALL(mkdir("sub", 0755));
    int here = CALL(open(".", O_RDONLY | O_DIRECTORY));
    CALL(chdir("sub"));
    printf("%s\n", strrchr(getcwd(path, sizeof path), '/'));
    CALL(fchdir(here));
    printf("at home: %d\n", strcmp(getcwd(path, sizeof path), scratch) == 0);
    printf("getcwd returns the length with its NUL: %d\n",
           syscall(SYS_getcwd, path, sizeof path) == (long)strlen(path) + 1);
    CALL(close(here));
    CALL(rmdir("sub"));
}

static void flushing(void) {
    int fd = CALL(open("one", O_RDWR));
    CALL(fsync(fd));
    CALL(fdatasync(fd));
    CALL(syncfs(fd));
    CALL(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
    CALL(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
    CALL(readahead(fd, 0, 4096));
    CALL(close(fd));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    read_and_write();
    appending();
    truncating();
    modes();
    unlinked_file();
    copying();
    working_directory();
    flushing();
    CALL(unlink("one"));
    return leave_scratch();
}
