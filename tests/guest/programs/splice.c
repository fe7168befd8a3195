/* splice(2), tee(2), vmsplice(2): what they move, what they leave, and what they refuse. */
#include "report.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

static int in[2], out[2];

static void show(const char *what, int fd) {
    char data[64] = {0};
    errno = 0;
    long length = read(fd, data, sizeof data - 1);
    printf("%s: %ld %s %s\n", what, length, length < 0 ? error_name(errno) : "", data);
}

static void pipes(void) {
    CALL(write(in[1], "hello world", 11));
    CALL(tee(in[0], out[1], 5, 0));
    show("tee", out[0]);
    CALL(splice(in[0], NULL, out[1], NULL, 6, SPLICE_F_MOVE));
    show("spliced", out[0]);
    show("left", in[0]);
    CALL(tee(in[0], out[1], 5, SPLICE_F_NONBLOCK));
    CALL(splice(in[0], NULL, out[1], NULL, 6, SPLICE_F_NONBLOCK));
    CALL(splice(in[0], NULL, in[1], NULL, 6, 0));
    CALL(tee(in[0], in[1], 6, 0));
}

static void files(void) {
    loff_t at = 2;
    int file = CALL(open("file", O_RDWR | O_CREAT | O_TRUNC, 0600));
    CALL(write(file, "0123456789", 10));
    CALL(splice(file, &at, out[1], NULL, 4, 0));
    printf("at %lld, position %lld\n", (long long)at, (long long)lseek(file, 0, SEEK_CUR));
    show("from a file", out[0]);
    CALL(lseek(file, 7, SEEK_SET));
    CALL(splice(file, NULL, out[1], NULL, 100, 0));
    CALL(splice(file, NULL, out[1], NULL, 100, 0));
    show("to its end", out[0]);
    CALL(write(in[1], "abc", 3));
    at = 1;
    CALL(splice(in[0], NULL, file, &at, 100, 0));
    printf("at %lld\n", (long long)at);
    CALL(write(in[1], "xyz", 3));
    CALL(splice(in[0], NULL, file, NULL, 2, SPLICE_F_MORE));
    CALL(lseek(file, 0, SEEK_SET));
    show("file", file);
    show("rest", in[0]);
    at = -1;
    CALL(splice(file, &at, out[1], NULL, 4, 0));
    CALL(splice(file, WILD, out[1], NULL, 4, 0));
    CALL(splice(in[0], &at, file, NULL, 4, 0));
    CALL(splice(file, NULL, out[1], &at, 4, 0));
    CALL(splice(file, NULL, file, NULL, 4, 0));
    CALL(fcntl(file, F_SETFL, O_APPEND));
    CALL(splice(in[0], NULL, file, NULL, 4, SPLICE_F_NONBLOCK));
    CALL(close(file));
    file = CALL(open("file", O_WRONLY));
    CALL(splice(file, NULL, out[1], NULL, 4, 0));
    CALL(close(file));
    file = CALL(open(".", O_RDONLY));
    CALL(splice(file, NULL, out[1], NULL, 4, 0));
    CALL(close(file));
}

static void memory(void) {
    char one[4] = "ab", two[8] = "cdefg", got[8] = {0};
    struct iovec parts[] = {{one, 2}, {two, 5}}, back = {got, 7};
    CALL(vmsplice(in[1], parts, 2, 0));
    CALL(vmsplice(in[0], &back, 1, 0));
    printf("%s\n", got);
    CALL(vmsplice(in[0], &back, 1, SPLICE_F_NONBLOCK));
    CALL(vmsplice(in[1], parts, 0, 0));
    CALL(vmsplice(in[1], parts, 2000, 0));
    CALL(vmsplice(in[1], WILD, 1, 0));
    CALL(vmsplice(in[1], parts, 1, 64));
    int directory = CALL(open(".", O_RDONLY));
    CALL(vmsplice(directory, parts, 1, 0));
    CALL(close(directory));
}

static void sockets(void) {
    int pair[2];
    CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    CALL(write(in[1], "by socket", 9));
    CALL(splice(in[0], NULL, pair[0], NULL, 100, 0));
    CALL(splice(pair[1], NULL, out[1], NULL, 100, 0));
    show("socket", out[0]);
    CALL(splice(pair[1], NULL, out[1], NULL, 100, SPLICE_F_NONBLOCK));
    CALL(close(pair[0]));
    CALL(splice(pair[1], NULL, out[1], NULL, 100, 0));
    CALL(write(in[1], "x", 1));
    signal(SIGPIPE, SIG_IGN);
    CALL(splice(in[0], NULL, pair[1], NULL, 100, 0));
    show("kept", in[0]);
    CALL(close(pair[1]));
}

static void full(void) {
    char data[4096] = {0};
    CALL(fcntl(out[1], F_SETPIPE_SZ, 4096));
    CALL(write(out[1], data, sizeof data) == sizeof data);
    CALL(write(in[1], "x", 1));
    CALL(splice(in[0], NULL, out[1], NULL, 1, SPLICE_F_NONBLOCK));
    CALL(tee(in[0], out[1], 1, SPLICE_F_NONBLOCK));
    if (fork() == 0) {
        usleep(10000);
        _exit(read(out[0], data, sizeof data) != sizeof data);
    }
    CALL(splice(in[0], NULL, out[1], NULL, 1, 0));
    CALL(wait(NULL) > 0);
    show("room", out[0]);
}

static void ends(void) {
    CALL(splice(in[0], NULL, out[1], NULL, 0, 255));
    CALL(splice(in[0], NULL, out[1], NULL, 1, 255));
    CALL(tee(in[0], out[1], 0, 255));
    CALL(splice(99, NULL, out[1], NULL, 1, 0));
    CALL(splice(in[0], NULL, 99, NULL, 1, 0));
    CALL(splice(in[1], NULL, out[1], NULL, 1, 0));
    CALL(splice(in[0], NULL, out[0], NULL, 1, 0));
    CALL(close(in[1]));
    CALL(splice(in[0], NULL, out[1], NULL, 1, 0));
    CALL(tee(in[0], out[1], 1, 0));
    CALL(close(out[0]));
    CALL(vmsplice(out[1], &(struct iovec){"x", 1}, 1, 0));
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    CALL(pipe(in) | pipe(out));
    pipes();
    files();
    memory();
    sockets();
    full();
    ends();
    unlink("file");
    return 0;
}
