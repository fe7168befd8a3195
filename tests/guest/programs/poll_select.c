/* poll, ppoll, select, pselect within one process: what is ready at once, and waits that time out. */
#include "report.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>

static long milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void polling(void) {
    int pair[2];
    CALL(pipe(pair));
    int file = CALL(open("file", O_RDWR)), path = CALL(open("file", O_PATH));
    int directory = CALL(open(".", O_RDONLY)), null = CALL(open("/dev/null", O_RDWR));
    struct pollfd fds[] = {
        {pair[0], POLLIN | POLLOUT, -1}, {pair[1], POLLIN | POLLOUT, -1}, {file, POLLIN | POLLOUT | POLLPRI, -1},
        {path, POLLIN, -1},              {directory, POLLIN, -1},         {null, POLLIN | POLLOUT, -1},
        {99, POLLIN, -1},                {-1, POLLIN, -1},
    };
    CALL(poll(fds, LENGTH(fds), -1));
    for (size_t i = 0; i < LENGTH(fds); i++) {
        printf(" %x", fds[i].revents);
    }
    printf("\n");
    CALL(poll(fds, 1, 0));
    CALL(poll(NULL, 0, 0));
    CALL(poll(WILD, 1, 0));
    CALL(poll(fds, (nfds_t)strtoul("2147483648", NULL, 0), 0));
    CALL(close(file)), CALL(close(path)), CALL(close(directory)), CALL(close(null));
    CALL(close(pair[0])), CALL(close(pair[1]));
}

static void waiting(void) {
    int pair[2];
    struct timespec some = {0, 30 * 1000 * 1000}, bad = {0, 1000000000}, negative = {-1, 0};
    struct timeval tv = {0, 20000};
    fd_set set;
    CALL(pipe(pair));
    struct pollfd reader = {pair[0], POLLIN, 0};
    long start = milliseconds();
    CALL(poll(&reader, 1, 30));
    printf("waited: %d\n", milliseconds() - start >= 30);
    start = milliseconds();
    CALL(ppoll(&reader, 1, &some, NULL));
    printf("waited: %d\n", milliseconds() - start >= 30);
    CALL(ppoll(&reader, 1, &bad, NULL));
    CALL(ppoll(&reader, 1, &negative, NULL));
    FD_ZERO(&set);
    FD_SET(pair[0], &set);
    start = milliseconds();
    CALL(select(pair[0] + 1, &set, NULL, NULL, &tv));
    printf("waited: %d, set: %d, left: %ld.%06ld\n", milliseconds() - start >= 20, FD_ISSET(pair[0], &set) != 0,
           (long)tv.tv_sec, (long)tv.tv_usec);
    start = milliseconds();
    tv = (struct timeval){0, 10000};
    CALL(select(0, NULL, NULL, NULL, &tv));
    printf("waited: %d\n", milliseconds() - start >= 10);
    CALL(close(pair[0])), CALL(close(pair[1]));

    /* It could be written, but nobody asks. */
    fd_set except;
    FD_ZERO(&set);
    FD_ZERO(&except);
    CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    FD_SET(pair[0], &set);
    FD_SET(pair[0], &except);
    start = milliseconds();
    tv = (struct timeval){0, 20000};
    CALL(select(pair[0] + 1, &set, NULL, &except, &tv));
    printf("waited: %d\n", milliseconds() - start >= 20);
    CALL(close(pair[0])), CALL(close(pair[1]));
}

static void selecting(void) {
    int pair[2], broken[2];
    fd_set in, out, except;
    struct timeval none = {0, 0}, negative = {-1, 0};
    struct timespec zero = {0, 0};
    CALL(pipe(pair)), CALL(pipe(broken));
    int event = CALL(eventfd(1, 0));
    CALL(close(broken[1]));
    for (int round = 0; round < 2; round++) {
        FD_ZERO(&in);
        FD_ZERO(&out);
        FD_ZERO(&except);
        FD_SET(pair[0], &in), FD_SET(broken[0], &in), FD_SET(event, &in);
        FD_SET(pair[1], &out), FD_SET(event, &out), FD_SET(pair[1], &except), FD_SET(broken[0], &except);
        CALL(select(event + 1, &in, &out, &except, &none));
        printf("in %d %d %d, out %d %d, except %d %d\n", FD_ISSET(pair[0], &in) != 0, FD_ISSET(broken[0], &in) != 0,
               FD_ISSET(event, &in) != 0, FD_ISSET(pair[1], &out) != 0, FD_ISSET(event, &out) != 0,
               FD_ISSET(pair[1], &except) != 0, FD_ISSET(broken[0], &except) != 0);
        CALL(write(pair[1], "x", 1));
    }
    FD_ZERO(&in);
    FD_SET(pair[0], &in);
    CALL(pselect(pair[0] + 1, &in, NULL, NULL, &zero, NULL));
    CALL(select(-1, NULL, NULL, NULL, &none));
    CALL(select(0, NULL, NULL, NULL, &negative));
    FD_ZERO(&in);
    FD_SET(60, &in);
    CALL(select(61, &in, NULL, NULL, &none));
    CALL(select(60, &in, NULL, NULL, &none)); /* not looked at */
    CALL(syscall(SYS_pselect6, 61, WILD, NULL, NULL, &zero, NULL));
    CALL(syscall(SYS_pselect6, 61, NULL, NULL, NULL, WILD, NULL));
    CALL(close(pair[0])), CALL(close(pair[1])), CALL(close(broken[0])), CALL(close(event));
}

/* The mask holds during the call only. */
static void masks(void) {
    int pair[2];
    sigset_t block, now;
    struct timespec zero = {0, 0};
    CALL(pipe(pair));
    struct pollfd writer = {pair[1], POLLOUT, 0};
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    CALL(ppoll(&writer, 1, NULL, &block));
    CALL(ppoll(&writer, 0, &zero, &block));
    CALL(pselect(0, NULL, NULL, NULL, &zero, &block));
    CALL(sigprocmask(SIG_SETMASK, NULL, &now));
    printf("blocked: %d\n", sigismember(&now, SIGUSR1));
    CALL(syscall(SYS_ppoll, &writer, 1, &zero, &block, 4));
    CALL(syscall(SYS_ppoll, &writer, 1, &zero, WILD, 8));
    CALL(close(pair[0])), CALL(close(pair[1]));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    make_file("file", "");
    polling();
    waiting();
    selecting();
    masks();
    CALL(unlink("file"));
    return leave_scratch();
}
