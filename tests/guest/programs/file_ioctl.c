/* Sharing blocks and flags of files, on file systems that mostly cannot; requests of /dev/urandom. */
#include "report.h"

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/random.h>
#include <sys/ioctl.h>

static void cloning(int source, int target) {
    int read_only = CALL(open("source", O_RDONLY)), write_only = CALL(open("source", O_WRONLY));
    int only_path = CALL(open("source", O_PATH)), directory = CALL(open(".", O_RDONLY));
    int elsewhere = CALL(open("/proc/self/status", O_RDONLY)), appending = CALL(open("target", O_WRONLY | O_APPEND));
    int fds[2];
    CALL(pipe(fds));
    CALL(ioctl(target, FICLONE, 99));
    CALL(ioctl(read_only, FICLONE, target));
    CALL(ioctl(target, FICLONE, write_only));
    CALL(ioctl(appending, FICLONE, source));
    CALL(ioctl(target, FICLONE, elsewhere));
    CALL(ioctl(target, FICLONE, directory));
    CALL(ioctl(directory, FICLONE, target));
    CALL(ioctl(target, FICLONE, fds[0]));
    CALL(ioctl(fds[1], FICLONE, source));
    CALL(ioctl(only_path, FICLONE, target));
    CALL(ioctl(target, FICLONE, only_path));
    CALL(ioctl(target, FICLONERANGE, 8));
    CALL(ioctl(fds[0], FICLONERANGE, 8));
    struct file_clone_range range = {99, 0, 0, 0};
    CALL(ioctl(target, FICLONERANGE, &range));
    range.src_fd = directory;
    CALL(ioctl(target, FICLONERANGE, &range));
    int flags = 0;
    CALL(ioctl(fds[0], FS_IOC_GETFLAGS, &flags));
    CALL(ioctl(elsewhere, FS_IOC_GETFLAGS, &flags));
    CALL(ioctl(elsewhere, FS_IOC_SETFLAGS, &flags));
    struct fiemap map = {0, ~0ull};
    CALL(ioctl(fds[0], FS_IOC_FIEMAP, &map));
}

static void sharing_if_it_can(int source, int target) {
    char found[32] = "";
    int done = ioctl(target, FICLONE, source);
    if (done < 0 && errno != EOPNOTSUPP) {
        perror("FICLONE");
    }
    if (!done) {
        done = pread(target, found, 31, 0);
    }
    printf("shared or not: %d\n", done < 0 || !strcmp(found, "contents"));
}

static void random_bytes(void) {
    int urandom = CALL(open("/dev/urandom", O_RDONLY)), zero = CALL(open("/dev/zero", O_RDONLY)), bits = 0;
    CALL(ioctl(urandom, RNDGETENTCNT, &bits));
    printf("%d bits\n", bits);
    CALL(ioctl(urandom, RNDGETENTCNT, WILD));
    CALL(ioctl(zero, RNDGETENTCNT, &bits));
    CALL(isatty(urandom));
    CALL(ioctl(urandom, FIONREAD, &bits));
    int pool[4] = {-1, 8};
    CALL(ioctl(urandom, RNDADDTOENTCNT, pool));
    CALL(ioctl(urandom, RNDADDENTROPY, pool));
    pool[0] = 0;
    CALL(ioctl(urandom, RNDADDENTROPY, pool));
    pool[1] = -1;
    CALL(ioctl(urandom, RNDADDENTROPY, pool));
    CALL(ioctl(urandom, RNDADDENTROPY, WILD));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    make_file("source", "contents");
    int source = CALL(open("source", O_RDWR)), target = CALL(open("target", O_RDWR | O_CREAT, 0600));
    cloning(source, target);
    sharing_if_it_can(source, target);
    random_bytes();
    CALL(unlink("source")), CALL(unlink("target"));
    return leave_scratch();
}
