/* Pipes and FIFOs within one process: capacity, non-blocking ends, end of file, EPIPE. */
#include "report.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>

static char block[1 << 17];

static void transfer(void) {
    int fds[2], queued;
    char text[32] = {0};
    CALL(pipe(fds));
    printf("%d %d\n", fds[0], fds[1]);
    CALL(write(fds[1], "hello", 5));
    CALL(write(fds[1], "world", 5));
    CALL(ioctl(fds[0], FIONREAD, &queued));
    printf("%d queued\n", queued);
    CALL(read(fds[0], text, 3));
    CALL(read(fds[0], text + 3, sizeof text - 3));
    printf("%s\n", text);
    CALL(read(fds[1], text, 1));
    CALL(write(fds[0], text, 1));
    CALL(lseek(fds[0], 0, SEEK_CUR));
    CALL(pread(fds[0], text, 1, 0));
    CALL(pwrite(fds[1], text, 1, 0));
    CALL(ftruncate(fds[1], 0));
    CALL(fsync(fds[1]));
    CALL(fallocate(fds[1], 0, 0, 1));
    CALL(sync_file_range(fds[0], 0, 0, 0));
    CALL(write(fds[1], "", 0));
    CALL(read(fds[0], text, 0));
    CALL(close(fds[1]));
    CALL(read(fds[0], text, 1));
    CALL(close(fds[0]));
    CALL(pipe(fds));
    CALL(close(fds[0]));
    CALL(write(fds[1], "x", 1));
    CALL(write(fds[1], "x", 0));
    CALL(close(fds[1]));
}

static void flags(void) {
    int fds[2];
    char text[8];
    CALL(pipe2(fds, O_NONBLOCK | O_CLOEXEC));
    CALL(fcntl(fds[0], F_GETFD));
    CALL(fcntl(fds[1], F_GETFL) & (O_NONBLOCK | O_ACCMODE));
    CALL(fcntl(fds[0], F_GETFL) & (O_NONBLOCK | O_ACCMODE));
    CALL(read(fds[0], text, 1));
    CALL(close(fds[1]));
    CALL(read(fds[0], text, 1));
    CALL(close(fds[0]));
    CALL(pipe2(fds, O_APPEND));
    CALL(pipe2(WILD, 0));
    CALL(pipe2(WILD, O_APPEND));
    CALL(pipe(fds)); /* the same numbers again: nothing was leaked */
    printf("%d %d\n", fds[0], fds[1]);
    CALL(close(fds[0])), CALL(close(fds[1]));
}

static void full(void) {
    int fds[2];
    long total = 0, count;
    CALL(pipe2(fds, O_NONBLOCK));
    while ((count = write(fds[1], block, 4096)) > 0) {
        total += count;
    }
    printf("full after %ld: %s\n", total, error_name(errno));
    CALL(write(fds[1], "x", 1));
    CALL(read(fds[0], block, 4096));
    CALL(write(fds[1], block, 4096));
    CALL(read(fds[0], block, sizeof block));
    CALL(write(fds[1], block, sizeof block)); /* more than fits */
    CALL(read(fds[0], block, sizeof block));
    CALL(fcntl(fds[0], F_GETPIPE_SZ));
    CALL(fcntl(fds[0], F_SETPIPE_SZ, 8192));
    CALL(fcntl(fds[1], F_GETPIPE_SZ));
    CALL(fcntl(fds[0], F_SETPIPE_SZ, 5000));
    CALL(fcntl(fds[0], F_SETPIPE_SZ, 1));
    CALL(write(fds[1], block, 4096));
    CALL(write(fds[1], block, 1));
    CALL(fcntl(fds[0], F_SETPIPE_SZ, 0));
    CALL(fcntl(fds[0], F_SETPIPE_SZ, 65536));
    CALL(write(fds[1], block, 4096));
    CALL(fcntl(fds[0], F_SETPIPE_SZ, 4096));
    CALL(fcntl(0x7fff, F_GETPIPE_SZ));
    CALL(close(fds[0])), CALL(close(fds[1]));
}

static void ready(void) {
    int fds[2];
    CALL(pipe(fds));
    struct pollfd reader = {fds[0], POLLIN, 0}, writer = {fds[1], POLLOUT, 0};
    CALL(poll(&reader, 1, 0));
    CALL(poll(&writer, 1, 0));
    printf("%x %x\n", reader.revents, writer.revents);
    CALL(write(fds[1], "x", 1));
    CALL(poll(&reader, 1, -1));
    printf("%x\n", reader.revents);
    CALL(close(fds[1]));
    CALL(poll(&reader, 1, -1));
    printf("%x\n", reader.revents);
    CALL(read(fds[0], block, 10));
    CALL(poll(&reader, 1, -1));
    printf("%x\n", reader.revents);
    CALL(close(fds[0]));
    CALL(pipe(fds));
    CALL(close(fds[0]));
    CALL(poll(&writer, 1, -1));
    printf("%x\n", writer.revents);
    CALL(close(fds[1]));
}

static void fifos(void) {
    char text[8] = {0};
    CALL(mkfifo("fifo", 0600));
    CALL(open("fifo", O_WRONLY | O_NONBLOCK));
    int reader = CALL(open("fifo", O_RDONLY | O_NONBLOCK));
    CALL(read(reader, text, 1));
    int writer = CALL(open("fifo", O_WRONLY));
    CALL(read(reader, text, 1));
    CALL(write(writer, "fifo", 4));
    CALL(read(reader, text, 8));
    printf("%s\n", text);
    CALL(close(reader));
    CALL(write(writer, "x", 1));
    CALL(close(writer));
    int both = CALL(open("fifo", O_RDWR));
    CALL(write(both, "both", 4));
    CALL(read(both, text, 8));
    printf("%s\n", text);
    CALL(close(both));
    CALL(unlink("fifo"));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    transfer();
    flags();
    full();
    ready();
    fifos();
    return leave_scratch();
}
