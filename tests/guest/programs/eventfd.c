/* The counter of eventfd(2). */
#include "report.h"

#include <poll.h>
#include <sys/eventfd.h>

static void add(int fd, uint64_t value) {
    errno = 0;
    ssize_t result = write(fd, &value, sizeof value);
    printf("add %llx: %zd %s\n", (unsigned long long)value, result, result < 0 ? error_name(errno) : "");
}

static void take(int fd) {
    uint64_t value = 0;
    errno = 0;
    ssize_t result = read(fd, &value, sizeof value);
    printf("take: %zd %s %llx\n", result, result < 0 ? error_name(errno) : "", (unsigned long long)value);
}

static void ready(int fd) {
    struct pollfd entry = {fd, POLLIN | POLLOUT, 0};
    int count = poll(&entry, 1, 0);
    printf("ready: %d %x\n", count, entry.revents);
}

static void counting(int flags) {
    int fd = CALL(eventfd(3, flags | EFD_NONBLOCK));
    ready(fd);
    take(fd);
    take(fd);
    add(fd, 2);
    add(fd, 5);
    take(fd);
    take(fd);
    add(fd, 0);
    ready(fd);
    add(fd, UINT64_MAX);
    add(fd, UINT64_MAX - 1);
    ready(fd);
    add(fd, 1);
    add(fd, 0);
    take(fd);
    CALL(close(fd));
}

static void corners(void) {
    char text[16] = {0};
    struct stat st;
    int fd = CALL(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
    CALL(fcntl(fd, F_GETFD));
    CALL(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK));
    CALL(write(fd, text, 7));
    CALL(write(fd, text, 0));
    CALL(read(fd, text, 7));
    CALL(read(fd, text, 16));
    CALL(write(fd, WILD, 8));
    CALL(lseek(fd, 0, SEEK_SET));
    CALL(pread(fd, text, 8, 0));
    CALL(pwrite(fd, text, 8, 0));
    CALL(ftruncate(fd, 0));
    CALL(fsync(fd));
    CALL(fstat(fd, &st));
    printf("mode %o, size %ld\n", st.st_mode, (long)st.st_size);
    int copy = CALL(dup(fd));
    add(copy, 9);
    take(fd);
    CALL(close(copy)), CALL(close(fd));
    CALL(eventfd(0, 1 << 5));
    CALL(eventfd(0, O_APPEND));
    fd = CALL(syscall(SYS_eventfd2, 0xffffffff, 0));
    take(fd);
    CALL(close(fd));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    counting(0);
    counting(EFD_SEMAPHORE);
    corners();
    return leave_scratch();
}
