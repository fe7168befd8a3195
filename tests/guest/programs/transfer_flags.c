/* Which flags of preadv2 and pwritev2 mean something for which files (readv(2)). */
#include "report.h"

#include <linux/aio_abi.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

static const int flags[] = {0, RWF_HIPRI, RWF_DSYNC, RWF_SYNC, RWF_NOWAIT, RWF_APPEND, 0x40000000};
static char bytes[8] = "ABCDEFG";

static void show(const char *what, int flag, long result) {
    printf("%s %x: %ld %s\n", what, flag, result, result < 0 ? error_name(errno) : "");
}

static void try_all(const char *name, int reading, int writing, int length) {
    struct iovec vector = {bytes, length};
    printf("-- %s\n", name);
    for (size_t i = 0; i < LENGTH(flags); i++) {
        show("write", flags[i], pwritev2(writing, &vector, 1, -1, flags[i]));
        show("write at 2", flags[i], pwritev2(writing, &vector, 1, 2, flags[i]));
        show("read", flags[i], preadv2(reading, &vector, 1, -1, flags[i]));
        show("read at 2", flags[i], preadv2(reading, &vector, 1, 2, flags[i]));
    }
    printf("position %ld\n", (long)lseek(writing, 0, SEEK_CUR));
}

static void submit(const char *what, aio_context_t context, int opcode, int fd, int flag) {
    struct iocb request = {.aio_lio_opcode = opcode, .aio_fildes = fd, .aio_buf = (uintptr_t)bytes, .aio_nbytes = 4,
                           .aio_rw_flags = flag},
                *list = &request;
    struct io_event event;
    long result = syscall(SYS_io_submit, context, 1, &list);
    if (result == 1 && syscall(SYS_io_getevents, context, 1, 1, &event, NULL) == 1) {
        result = event.res;
        errno = result < 0 ? -result : 0;
    }
    show(what, flag, result);
}

static void try_submitting(const char *name, int fd) {
    aio_context_t context = 0;
    printf("-- %s, submitted\n", name);
    CALL(syscall(SYS_io_setup, 1, &context));
    for (size_t i = 0; i < LENGTH(flags); i++) {
        submit("write", context, IOCB_CMD_PWRITE, fd, flags[i]);
        submit("read", context, IOCB_CMD_PREAD, fd, flags[i]);
    }
    CALL(syscall(SYS_io_destroy, context));
}

static void show_order_of_checks(int file) {
    struct iovec vector = {bytes, 4}, none = {WILD, 4};
    int pair[2];
    CALL(pipe(pair));
    CALL(preadv2(99, &vector, 1, -2, 0));
    CALL(preadv2(99, &vector, 1, -1, 0x40000000));
    CALL(preadv2(pair[0], WILD, 1, 0, 0x40000000));
    CALL(preadv2(pair[1], WILD, 1, 0, 0));
    CALL(preadv2(pair[1], WILD, 1, -1, 0));
    CALL(pwritev2(pair[0], WILD, 1, -1, 0));
    CALL(pwritev2(file, WILD, 1, 0, 0x40000000));
    CALL(pwritev2(file, &none, 1, 0, 0x40000000));
    CALL(pwritev2(file, &none, 1, 0, 0));
    CALL(pwritev2(file, &none, 0, 0, 0x40000000));
    CALL(pread(pair[0], bytes, 4, 0));
    CALL(pwrite(pair[0], WILD, 4, 0));
    CALL(preadv(pair[1], WILD, 1, 0));
    CALL(pread(file, bytes, 4, -1));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    int pair[2], file = open("file", O_RDWR | O_CREAT, 0600);
    try_all("file", file, file, 4);
    int appending = open("file", O_RDWR | O_APPEND);
    try_all("appending", appending, appending, 4);
    show_file("file");
    try_submitting("file", file);
    try_submitting("appending", appending);
    show_file("file");
    int memory = memfd_create("memory", 0);
    try_all("memory", memory, memory, 4);
    try_submitting("memory", memory);
    CALL(pipe2(pair, O_NONBLOCK));
    try_all("pipe", pair[0], pair[1], 4);
    CALL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
    try_all("socket", pair[0], pair[1], 4);
    int events = eventfd(1, EFD_NONBLOCK);
    try_all("eventfd", events, events, 8);
    int null = open("/dev/null", O_RDWR);
    try_all("null", null, null, 4);
    show_order_of_checks(file);
    CALL(unlink("file"));
    return leave_scratch();
}
