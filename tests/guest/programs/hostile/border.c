/* Everything that could change a file of a mount that is read-only, or reach one that is in no mount. Argument: the
 * read-only directory, with "file" and "dir" in it, and a program. Prints what has succeeded. */
#include "hostile.h"

#include <sys/xattr.h>
#include <utime.h>

#define REFUSED(expression)                                       \
    do {                                                          \
        errno = 0;                                                \
        long result_ = (long)(expression);                        \
        if (result_ != -1)                                        \
            printf("not refused: %s is %ld\n", #expression, result_); \
    } while (0)

static void change_by_name(void)
{
    struct timespec times[2] = {{1, 0}, {1, 0}};
    REFUSED(open("file", O_RDWR));
    REFUSED(open("file", O_WRONLY | O_APPEND));
    REFUSED(open("file", O_RDONLY | O_TRUNC));
    REFUSED(open("file", 3));
    REFUSED(open("new", O_CREAT | O_RDONLY, 0666));
    REFUSED(open(".", O_TMPFILE | O_RDWR, 0666));
    REFUSED(creat("file", 0666));
    REFUSED(truncate("file", 0));
    REFUSED(chmod("file", 0777));
    REFUSED(chown("file", 1, 1));
    REFUSED(lchown("link", 1, 1));
    REFUSED(utimensat(AT_FDCWD, "file", times, 0));
    REFUSED(utime("file", 0));
    REFUSED(link("file", "new"));
    REFUSED(link("file", "/tmp/new"));
    REFUSED(symlink("file", "new"));
    REFUSED(rename("file", "new"));
    REFUSED(rename("file", "/tmp/new"));
    REFUSED(rename("/tmp/own", "file"));
    REFUSED(syscall(SYS_renameat2, AT_FDCWD, "file", AT_FDCWD, "link", 2));
    REFUSED(mkdir("new", 0777));
    REFUSED(rmdir("dir"));
    REFUSED(unlink("file"));
    REFUSED(mknod("new", S_IFIFO | 0666, 0));
    REFUSED(mknod("new", S_IFREG | 0666, 0));
    mknod("/tmp/disk", S_IFBLK | 0666, 0x700);
    mknod("/tmp/memory", S_IFCHR | 0666, 0x101);
    REFUSED(open("/tmp/disk", O_RDONLY));
    REFUSED(open("/tmp/memory", O_RDONLY));
    REFUSED(setxattr("file", "user.x", "1", 1, 0));
    REFUSED(removexattr("file", "user.y"));
    REFUSED(syscall(452, AT_FDCWD, "file", 0777, 0));
}

static void change_by_descriptor(int fd)
{
    char own[64], data[] = "changed";
    struct timespec times[2] = {{1, 0}, {1, 0}};
    int other = open("/etc/hostname", O_RDONLY), out[2];
    snprintf(own, sizeof own, "/proc/self/fd/%d", fd);
    REFUSED(write(fd, data, 7));
    REFUSED(pwrite(fd, data, 7, 0));
    REFUSED(ftruncate(fd, 0));
    REFUSED(fallocate(fd, 0, 0, 100000));
    REFUSED(fchmod(fd, 0777));
    REFUSED(fchown(fd, 1, 1));
    REFUSED(futimens(fd, times));
    REFUSED(fsetxattr(fd, "user.x", "1", 1, 0));
    REFUSED(open(own, O_WRONLY));
    REFUSED(open(own, O_RDWR));
    REFUSED(open(own, O_RDONLY | O_TRUNC));
    REFUSED(truncate(own, 0));
    REFUSED(chmod(own, 0777));
    REFUSED(chown(own, 1, 1));
    REFUSED(setxattr(own, "user.x", "1", 1, 0));
    REFUSED(linkat(AT_FDCWD, own, AT_FDCWD, "/tmp/new", AT_SYMLINK_FOLLOW));
    REFUSED(linkat(fd, "", AT_FDCWD, "new", AT_EMPTY_PATH));
    REFUSED(syscall(SYS_utimensat, fd, "", times, AT_EMPTY_PATH));
    REFUSED(syscall(452, fd, "", 0777, AT_EMPTY_PATH));
    REFUSED(fchownat(fd, "", 1, 1, AT_EMPTY_PATH));
    REFUSED(syscall(SYS_sendfile, fd, other, 0, 5) > 0 ? 0 : -1);
    REFUSED(syscall(SYS_copy_file_range, other, 0, fd, 0, 5, 0) > 0 ? 0 : -1);
    fcntl(fd, F_SETFL, O_RDWR | O_APPEND);
    REFUSED(write(fd, data, 7));
    if (pipe(out) == 0)
        REFUSED(syscall(SYS_splice, out[0], 0, fd, 0, 5, 0));
    char *shared = mmap(0, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    REFUSED((long)mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    if (shared != MAP_FAILED) {
        REFUSED(mprotect(shared, PAGE, PROT_READ | PROT_WRITE));
        int memory = open("/proc/self/mem", O_RDWR);
        REFUSED(pwrite(memory, data, 7, (long)shared));
        REFUSED(read(other, shared, 5));
        munmap(shared, PAGE);
    }
    char *copied = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (copied != MAP_FAILED) {
        memcpy(copied, "private", 7);
        msync(copied, PAGE, MS_SYNC);
        syscall(SYS_madvise, copied, PAGE, MADV_REMOVE);
        memcpy(copied, "private", 7);
        munmap(copied, PAGE);
    }
}

static struct stat root;

/* No way leads above the root: what is there must be the guest's own. */
static void leave(const char *path)
{
    struct stat found;
    char inside[PATH_MAX];
    snprintf(inside, sizeof inside, "%s/secret", path);
    REFUSED(open(inside, O_RDONLY));
    if (stat(path, &found) == 0 && (root.st_ino != found.st_ino || root.st_dev != found.st_dev))
        printf("%s is not the root\n", path);
}

int main(int argc, char **argv)
{
    if (argc < 2 || stat("/", &root) != 0 || chdir(argv[1]) != 0)
        return 2;
    setvbuf(stdout, 0, _IOLBF, 0);
    close(creat("/tmp/own", 0666));
    change_by_name();
    static const char *const names[] = {"file", "dir", "link", "/proc/self/exe", "../ro/file"};
    for (unsigned i = 0; i < LENGTH(names); i++) {
        int reading = open(names[i], O_RDONLY), path = open(names[i], O_PATH);
        if (reading >= 0)
            change_by_descriptor(reading);
        if (path >= 0)
            change_by_descriptor(path);
    }
    leave("../../../../../../../..");
    leave("/../../../..");
    leave("/proc/self/root/..");
    leave("/proc/self/cwd/../../../../../..");
    leave("/proc/1/root/../..");
    if (chdir("/") == 0)
        leave("..");
    int above = open("/", O_PATH);
    char through[64];
    snprintf(through, sizeof through, "/proc/self/fd/%d/../..", above);
    leave(through);
    if (chroot("/tmp") == 0 && chdir("../../../..") == 0) /* the classic way out, which leads to the root and no further */
        leave("../../..");
    printf("done\n");
    return 0;
}
