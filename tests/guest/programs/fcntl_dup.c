/* The descriptor table: dup, dup2, dup3, close_range, fcntl, locks, ioctl. */
#include "report.h"

#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <termios.h>

static void duplicates(void) {
    int fd = CALL(open("file", O_RDWR));
    int copy = CALL(dup(fd));
    CALL(lseek(fd, 3, SEEK_SET));
    CALL(lseek(copy, 0, SEEK_CUR));
    CALL(dup2(fd, 20));
    CALL(dup2(fd, fd));
    CALL(dup2(99, 99));
    CALL(dup2(99, 21));
    CALL(dup2(fd, -1));
    CALL(dup2(fd, 1 << 30));
    CALL(dup3(fd, 22, O_CLOEXEC));
    CALL(fcntl(22, F_GETFD));
    CALL(fcntl(20, F_GETFD));
    CALL(dup3(fd, fd, 0));
    CALL(dup3(fd, 23, O_APPEND));
    CALL(dup3(99, 23, O_APPEND));
    CALL(dup3(99, 99, 0));
    CALL(dup(99));
    CALL(dup(-1));
    CALL(close(fd));
    CALL(close(fd));
    CALL(lseek(copy, 0, SEEK_CUR));
    CALL(dup(copy)); /* the lowest number that is free */
    CALL(close(fd));
    CALL(close(-1));
    CALL(fcntl(copy, F_DUPFD, 10));
    CALL(fcntl(copy, F_DUPFD_CLOEXEC, 10));
    CALL(fcntl(11, F_GETFD));
    CALL(fcntl(copy, F_DUPFD, -1));
    CALL(fcntl(copy, F_DUPFD, 1 << 30));
    CALL(syscall(SYS_close_range, 10, 15, 0));
    CALL(fcntl(10, F_GETFD));
    CALL(syscall(SYS_close_range, 20, ~0u, 4)); /* CLOSE_RANGE_CLOEXEC */
    CALL(fcntl(20, F_GETFD));
    CALL(syscall(SYS_close_range, 9, 8, 0));
    CALL(syscall(SYS_close_range, 9, 10, 64));
    CALL(syscall(SYS_close_range, 3, ~0u, 0));
    CALL(fcntl(20, F_GETFD));
    CALL(fcntl(copy, F_GETFD));
}

static void limits(void) {
    struct rlimit few = {6, 6}, old;
    CALL(getrlimit(RLIMIT_NOFILE, &old));
    few.rlim_max = old.rlim_max;
    CALL(setrlimit(RLIMIT_NOFILE, &few));
    CALL(open("file", O_RDONLY));
    CALL(open("file", O_RDONLY));
    CALL(open("file", O_RDONLY));
    CALL(open("file", O_RDONLY));
    CALL(dup(3));
    CALL(dup2(3, 6));
    CALL(dup3(3, 7, 0));
    CALL(fcntl(3, F_DUPFD, 5));
    CALL(fcntl(3, F_DUPFD, 6));
    int fds[2] = {-7, -7};
    CALL(close(5));
    CALL(pipe(fds));
    printf("%d %d\n", fds[0], fds[1]);
    CALL(setrlimit(RLIMIT_NOFILE, &old));
    CALL(syscall(SYS_close_range, 3, ~0u, 0));
}

static void flags(void) {
    int fd = CALL(open("file", O_RDWR | O_APPEND | O_CLOEXEC));
    int path = CALL(open("file", O_PATH));
    CALL(fcntl(fd, F_GETFD));
    CALL(fcntl(fd, F_SETFD, 0));
    CALL(fcntl(fd, F_GETFD));
    CALL(fcntl(fd, F_SETFD, 0xfffe));
    CALL(fcntl(fd, F_GETFD));
    CALL(fcntl(fd, F_SETFD, 0xffff));
    CALL(fcntl(fd, F_GETFD));
    CALL(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK | O_CREAT | O_CLOEXEC));
    CALL(fcntl(fd, F_SETFL, O_NONBLOCK | O_CREAT | O_WRONLY));
    CALL(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK | O_CREAT | O_CLOEXEC));
    CALL(fcntl(fd, F_SETFL, 0));
    CALL(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK | O_CREAT | O_CLOEXEC));
    CALL(fcntl(fd, 9999, 0));
    CALL(fcntl(99, 9999, 0));
    CALL(fcntl(99, F_GETFL));
    CALL(fcntl(path, F_GETFL) == O_PATH);
    CALL(fcntl(path, F_GETFD));
    CALL(fcntl(path, F_SETFL, 0));
    CALL(fcntl(path, F_SETFD, FD_CLOEXEC));
    CALL(close(dup(path)));
    CALL(fcntl(fd, F_GETPIPE_SZ));
    CALL(fcntl(fd, F_GETOWN));
    CALL(close(fd)), CALL(close(path));
}

static void show(const struct flock *lock) {
    printf("type %d, whence %d, start %ld, length %ld, ours %d\n", lock->l_type, lock->l_whence,
           (long)lock->l_start, (long)lock->l_len, lock->l_pid == getpid());
}

/* Record locks never conflict within one process; those of open file descriptions do. */
static void locks(void) {
    int one = CALL(open("file", O_RDWR)), two = CALL(open("file", O_RDWR)), in = CALL(open("file", O_RDONLY));
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 20};
    struct flock query = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0};
    struct flock end = {.l_type = F_RDLCK, .l_whence = SEEK_END, .l_start = -2, .l_len = 1};
    struct flock bad = {.l_type = 7}, before = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = -1};
    struct flock backwards = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 5, .l_len = -6};
    CALL(fcntl(one, F_SETLK, &lock));
    CALL(fcntl(two, F_SETLK, &lock));
    CALL(fcntl(two, F_GETLK, &query));
    show(&query);
    CALL(fcntl(one, F_SETLK, &end));
    CALL(fcntl(in, F_SETLK, &lock));
    CALL(fcntl(one, F_SETLK, &bad));
    CALL(fcntl(one, F_SETLK, &before));
    CALL(fcntl(one, F_SETLK, &backwards));
    CALL(fcntl(99, F_SETLK, &lock));
    CALL(close(open("file", O_PATH))); /* has no part in locks */
    CALL(fcntl(two, F_OFD_SETLK, &lock));
    CALL(close(in)); /* drops all record locks of this process */
    lock.l_pid = 1;
    CALL(fcntl(one, F_OFD_SETLK, &lock));
    lock.l_pid = 0;
    CALL(fcntl(one, F_OFD_SETLK, &lock));
    CALL(fcntl(two, F_OFD_SETLK, &lock));
    query = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
    CALL(fcntl(two, F_OFD_GETLK, &query));
    printf("type %d, start %ld, length %ld, pid %d\n", query.l_type, (long)query.l_start, (long)query.l_len,
           query.l_pid);
    lock.l_start = 30;
    CALL(fcntl(two, F_OFD_SETLK, &lock));
    lock = (struct flock){.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = 15, .l_len = 5};
    CALL(fcntl(one, F_OFD_SETLK, &lock));
    lock.l_type = F_WRLCK;
    CALL(fcntl(two, F_OFD_SETLK, &lock));
    query = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
    CALL(fcntl(two, F_OFD_GETLK, &query));
    printf("type %d, start %ld, length %ld, pid %d\n", query.l_type, (long)query.l_start, (long)query.l_len,
           query.l_pid);
    CALL(close(one)), CALL(close(two));
}

static void whole_file_locks(void) {
    int one = CALL(open("file", O_RDWR)), two = CALL(open("file", O_RDONLY)), copy = CALL(dup(one));
    CALL(flock(one, LOCK_SH));
    CALL(flock(two, LOCK_SH | LOCK_NB));
    CALL(flock(one, LOCK_EX | LOCK_NB));
    CALL(flock(two, LOCK_UN));
    CALL(flock(one, LOCK_EX | LOCK_NB));
    CALL(flock(copy, LOCK_EX | LOCK_NB));
    CALL(flock(two, LOCK_SH | LOCK_NB));
    CALL(close(one));
    CALL(flock(two, LOCK_SH | LOCK_NB));
    CALL(close(copy));
    CALL(flock(two, LOCK_SH | LOCK_NB));
    CALL(flock(two, 0));
    CALL(flock(two, LOCK_SH | LOCK_EX));
    CALL(flock(99, 0));
    CALL(flock(99, LOCK_UN));
    CALL(close(two));
}

static void controls(void) {
    int fd = CALL(open("file", O_RDWR)), queued = -1, on = 1, off = 0;
    struct termios settings;
    struct winsize size;
    CALL(ioctl(fd, FIOCLEX));
    CALL(fcntl(fd, F_GETFD));
    CALL(ioctl(fd, FIONCLEX));
    CALL(fcntl(fd, F_GETFD));
    CALL(ioctl(fd, FIONBIO, &on));
    CALL(fcntl(fd, F_GETFL) & O_NONBLOCK);
    CALL(ioctl(fd, FIONBIO, &off));
    CALL(fcntl(fd, F_GETFL) & O_NONBLOCK);
    CALL(ioctl(fd, FIONBIO, WILD));
    CALL(lseek(fd, 3, SEEK_SET));
    CALL(ioctl(fd, FIONREAD, &queued));
    printf("%d left\n", queued);
    CALL(ioctl(fd, FIONREAD, WILD));
    CALL(ioctl(fd, TCGETS, &settings));
    CALL(ioctl(fd, TIOCGWINSZ, &size));
    CALL(ioctl(fd, 0x12345678, 0));
    CALL(ioctl(99, FIOCLEX));
    CALL(ioctl(99, TCGETS, &settings));
    CALL(isatty(fd));
    CALL(close(fd));
    fd = CALL(open("file", O_PATH));
    CALL(ioctl(fd, FIOCLEX));
    CALL(ioctl(fd, FIONBIO, &on));
    CALL(close(fd));
    fd = CALL(open("/dev/null", O_RDWR));
    CALL(ioctl(fd, TCGETS, &settings));
    CALL(close(fd));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    make_file("file", "twelve bytes");
    duplicates();
    limits();
    flags();
    locks();
    whole_file_locks();
    controls();
    CALL(unlink("file"));
    return leave_scratch();
}
