/* io_setup(2) and its family, by system calls: what a request does, its event, the ring in memory. */
#include "report.h"

#include <linux/aio_abi.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <time.h>

struct ring {
    unsigned id, nr, head, tail, magic, compat_features, incompat_features, header_length;
    struct io_event events[];
};

static aio_context_t context;
static char data[64];

static int submit(struct iocb *request) {
    return syscall(SYS_io_submit, context, 1L, &request);
}

static int get(long least, long most) {
    struct io_event events[8];
    struct timespec none = {0, 0};
    errno = 0;
    int count = syscall(SYS_io_getevents, context, least, most, events, least ? NULL : &none);
    printf("getevents: %d %s\n", count, count < 0 ? error_name(errno) : "");
    for (int i = 0; i < count; i++) {
        printf("  %llx %s %lld %lld\n", (unsigned long long)events[i].data, events[i].obj ? "iocb" : "none",
               (long long)events[i].res, (long long)events[i].res2);
    }
    return count;
}

static struct iocb request(int operation, int fd, void *buffer, size_t length, long offset) {
    static int number;
    struct iocb made = {.aio_data = ++number,
                        .aio_lio_opcode = operation,
                        .aio_fildes = fd,
                        .aio_buf = (uintptr_t)buffer,
                        .aio_nbytes = length,
                        .aio_offset = offset};
    return made;
}

static void transfers(int fd) {
    struct iovec parts[] = {{"cd", 2}, {"efg", 3}}, back = {data, 6};
    struct iocb put = request(IOCB_CMD_PWRITE, fd, "abc", 3, 0), putv = request(IOCB_CMD_PWRITEV, fd, parts, 2, 2);
    struct iocb take = request(IOCB_CMD_PREAD, fd, data + 32, 4, 1), takev = request(IOCB_CMD_PREADV, fd, &back, 1, 1);
    struct iocb sync = request(IOCB_CMD_FSYNC, fd, NULL, 0, 0), dsync = request(IOCB_CMD_FDSYNC, fd, NULL, 0, 0);
    struct iocb *all[] = {&put, &putv, &take, &takev};
    CALL(syscall(SYS_io_submit, context, 4L, all));
    get(1, 3);
    get(1, 8);
    get(0, 8);
    printf("%s %s\n", data, data + 32);
    CALL(submit(&sync));
    get(1, 1);
    CALL(submit(&dsync));
    get(1, 1);
    take.aio_buf = 8;
    CALL(submit(&take));
    get(1, 1);
    take = request(IOCB_CMD_PREAD, fd, data, 4, 100);
    CALL(submit(&take));
    get(1, 1);
}

static void ring(int fd) {
    struct ring *memory = (struct ring *)context;
    struct iocb put = request(IOCB_CMD_PWRITE, fd, "abc", 3, 0);
    printf("%x %u %u %u %d\n", memory->magic, memory->compat_features, memory->incompat_features,
           memory->header_length, memory->head == memory->tail);
    CALL(submit(&put));
    printf("%u\n", (memory->tail - memory->head + memory->nr) % memory->nr);
    printf("%lld\n", (long long)memory->events[memory->head].res);
    memory->head = (memory->head + 1) % memory->nr;
    get(0, 8);
    int taken = 0;
    for (int i = 0; i < 3000; i++) {
        submit(&put);
        taken += memory->tail != memory->head;
        memory->head = memory->tail;
    }
    printf("%d\n", taken);
    unsigned many = 0;
    while (submit(&put) == 1) {
        many++;
    }
    printf("%s %d\n", error_name(errno), many == memory->nr - 1 || many < memory->nr);
    memory->head = memory->tail;
    memory->head = 0xfffffff0;
    get(0, 0);
    memory->head = memory->tail;
}

static void events(int fd) {
    uint64_t count = 0;
    int ends[2], told = CALL(eventfd(0, EFD_NONBLOCK));
    CALL(pipe(ends));
    struct iocb wait = request(IOCB_CMD_POLL, ends[0], (void *)POLLIN, 0, 0);
    wait.aio_flags = IOCB_FLAG_RESFD;
    wait.aio_resfd = told;
    CALL(submit(&wait));
    get(0, 1);
    CALL(read(told, &count, 8));
    CALL(write(ends[1], "x", 1));
    get(1, 1);
    CALL(read(told, &count, 8));
    CALL(submit(&wait));
    get(1, 1);
    CALL(read(ends[0], data, 1));
    CALL(submit(&wait));
    CALL(syscall(SYS_io_cancel, context, &wait, data));
    get(1, 1);
    CALL(syscall(SYS_io_cancel, context, &wait, data));
    wait.aio_resfd = fd;
    CALL(submit(&wait));
    wait.aio_resfd = 99;
    CALL(submit(&wait));
    wait.aio_flags = 0;
    wait.aio_offset = 1;
    CALL(submit(&wait));
    wait.aio_offset = 0;
    CALL(submit(&wait));
    CALL(close(ends[1]));
    get(1, 1);
    struct iocb pipe_read = request(IOCB_CMD_PREAD, ends[0], data, 4, 0);
    CALL(submit(&pipe_read));
    get(1, 1);
    CALL(close(ends[0]));
    CALL(close(told));
}

static void refusals(int fd) {
    struct iocb bad = request(99, fd, data, 4, 0), put = request(IOCB_CMD_PWRITE, fd, "abc", 3, 0);
    struct iocb *two[] = {&put, &bad}, *wild[] = {&put, WILD};
    struct timespec soon = {0, 1000000};
    CALL(submit(&bad));
    CALL(syscall(SYS_io_submit, context, 2L, two));
    CALL(syscall(SYS_io_submit, context, 2L, wild));
    CALL(syscall(SYS_io_submit, context, 1L, WILD));
    CALL(syscall(SYS_io_submit, context, 0L, WILD));
    CALL(syscall(SYS_io_submit, context, -1L, two));
    get(2, 8);
    bad = request(IOCB_CMD_PREAD, 99, data, 4, 0);
    CALL(submit(&bad));
    bad = request(IOCB_CMD_PREAD, fd, data, 4, -1);
    CALL(submit(&bad));
    bad = request(IOCB_CMD_PREAD, fd, data, -1, 0);
    CALL(submit(&bad));
    bad = request(IOCB_CMD_FSYNC, fd, data, 0, 0);
    CALL(submit(&bad));
    bad = request(IOCB_CMD_PREAD, fd, data, 4, 0);
    bad.aio_rw_flags = 0x4000;
    CALL(submit(&bad));
    int only = CALL(open("file", O_RDONLY));
    bad = request(IOCB_CMD_PWRITE, only, data, 4, 0);
    CALL(submit(&bad));
    CALL(close(only));
    get(0, 8);
    get(-1, 8);
    get(3, 2);
    CALL(syscall(SYS_io_getevents, context, 1L, 1L, data, &soon));
    CALL(syscall(SYS_io_getevents, context, 1L, 1L, data, WILD));
    CALL(syscall(SYS_io_getevents, 4096L, 1L, 1L, data, NULL));
    CALL(syscall(SYS_io_pgetevents, context, 0L, 1L, data, &soon, NULL));
    CALL(syscall(SYS_io_setup, 4, &context));
    aio_context_t other = 0;
    CALL(syscall(SYS_io_setup, 0, &other));
    CALL(syscall(SYS_io_setup, 0x10000000, &other));
    CALL(syscall(SYS_io_setup, 4, WILD));
    CALL(syscall(SYS_io_destroy, 4096L));
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    int fd = CALL(open("file", O_CREAT | O_RDWR | O_TRUNC, 0600));
    CALL(syscall(SYS_io_setup, 8, &context));
    transfers(fd);
    ring(fd);
    events(fd);
    refusals(fd);
    CALL(syscall(SYS_io_destroy, context));
    CALL(syscall(SYS_io_destroy, context));
    unlink("file");
    return 0;
}
