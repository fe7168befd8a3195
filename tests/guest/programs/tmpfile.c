/* O_TMPFILE: a file without a name, and how it gets one. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHOW(call) printf("%s: %s\n", #call, (call) < 0 ? strerrorname_np(errno) : "0")

static void show(int fd) {
    struct stat status;
    fstat(fd, &status);
    printf("%o, %lu links, %ld bytes\n", status.st_mode, (unsigned long)status.st_nlink, (long)status.st_size);
}

int main(void) {
    char path[64], text[32] = "";
    umask(022);
    mkdir("dir", 0755);
    SHOW(open("dir", O_TMPFILE | O_RDONLY, 0644));
    SHOW(open("missing", O_TMPFILE | O_RDWR, 0644));
    SHOW(open("missing", O_TMPFILE | O_RDWR | O_CREAT, 0644));
    SHOW(open("dir", O_TMPFILE | O_RDWR | O_CREAT, 0644));
    SHOW(open("dir", (O_TMPFILE & ~O_DIRECTORY) | O_RDWR, 0644));
    SHOW(open("missing", (O_TMPFILE & ~O_DIRECTORY) | O_RDWR | O_CREAT, 0644));
    SHOW(open("missing", O_CREAT | O_DIRECTORY, 0644));
    int fd = open("dir", O_TMPFILE | O_RDWR, 0666);
    printf("made: %d\n", fd >= 0);
    show(fd);
    printf("written: %zd\n", write(fd, "contents", 8));
    sprintf(path, "/proc/self/fd/%d", fd);
    SHOW(rmdir("dir"));
    mkdir("dir", 0755);
    int again = open(path, O_RDONLY);
    printf("opened again: %d, read %zd\n", again >= 0, pread(again, text, sizeof text, 0));
    SHOW(linkat(AT_FDCWD, path, AT_FDCWD, "dir/named", AT_SYMLINK_FOLLOW));
    SHOW(linkat(AT_FDCWD, path, AT_FDCWD, "dir/named", AT_SYMLINK_FOLLOW));
    SHOW(linkat(fd, "", AT_FDCWD, "dir/second", AT_EMPTY_PATH));
    show(fd);
    int named = open("dir/named", O_RDWR);
    printf("by name: %zd %s\n", read(named, text, sizeof text), text);
    show(named);
    SHOW(unlink("dir/named"));
    SHOW(unlink("dir/second"));
    show(fd);
    SHOW(linkat(fd, "", AT_FDCWD, "dir/third", AT_EMPTY_PATH));
    fd = open(".", O_TMPFILE | O_EXCL | O_WRONLY, 0600);
    printf("exclusive: %d\n", fd >= 0);
    SHOW(linkat(fd, "", AT_FDCWD, "dir/never", AT_EMPTY_PATH));
    SHOW(rmdir("dir"));
    return 0;
}
