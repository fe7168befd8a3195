/* messages CASE COUNT [PORT]: the time of one of COUNT round trips of a byte, of one of as many blocks of
 * 64 KiB that go to another process, or of one look at what is ready. */
#define _GNU_SOURCE
#include "timing.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DESCRIPTORS = 1000, BLOCK = 65536 };

static void must(int is_true) {
    if (!is_true)
        _exit(1);
}

static void echo(int in, int out) {
    for (char byte; read(in, &byte, 1) == 1;)
        must(write(out, &byte, 1) == 1);
    _exit(0);
}

static uint64_t trips(unsigned count, int in, int out, int is_polling) {
    struct pollfd waited = {.fd = in, .events = POLLIN};
    uint64_t start = 0;
    for (unsigned i = 0; i < count + 50; i++) {
        char byte = 'x';
        if (i == 50)
            start = now_ns();
        must(write(out, &byte, 1) == 1);
        if (is_polling)
            must(poll(&waited, 1, -1) == 1);
        must(read(in, &byte, 1) == 1);
    }
    return now_ns() - start;
}

static uint64_t over_sockets(unsigned count, int is_polling) {
    int pair[2];
    must(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    if (!fork()) {
        close(pair[0]);
        echo(pair[1], pair[1]);
    }
    close(pair[1]);
    uint64_t time = trips(count, pair[0], pair[0], is_polling);
    close(pair[0]);
    wait(NULL);
    return time;
}

static uint64_t over_pipes(unsigned count) {
    int there[2], back[2];
    must(!pipe(there) && !pipe(back));
    if (!fork()) {
        close(there[1]);
        echo(there[0], back[1]);
    }
    uint64_t time = trips(count, back[0], there[1], 0);
    close(there[1]);
    wait(NULL);
    return time;
}

static uint64_t over_tcp(unsigned count, const char *port) {
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    must(!connect(fd, (struct sockaddr *)&address, sizeof address));
    must(!setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
    return trips(count, fd, fd, 0);
}

/* Blocks on their way to another process, all of which it reads. */
static uint64_t blocks(unsigned count, int is_pipe) {
    static char block[BLOCK];
    int ends[2];
    must(!(is_pipe ? pipe(ends) : socketpair(AF_UNIX, SOCK_STREAM, 0, ends)));
    if (!fork()) {
        close(ends[1]);
        while (read(ends[0], block, BLOCK) > 0)
            continue;
        _exit(0);
    }
    close(ends[0]);
    uint64_t start = now_ns();
    for (unsigned i = 0; i < count; i++)
        for (ssize_t sent = 0, done; sent < BLOCK; sent += done)
            must((done = write(ends[1], block + sent, BLOCK - sent)) > 0);
    close(ends[1]);
    wait(NULL);
    return now_ns() - start;
}

/* One of many pipes is ready. */
static uint64_t poll_many(unsigned count) {
    struct rlimit limit = {4096, 4096};
    must(!setrlimit(RLIMIT_NOFILE, &limit));
    static struct pollfd all[DESCRIPTORS];
    int ends[2];
    for (int i = 0; i < DESCRIPTORS; i++) {
        must(!pipe(ends));
        all[i] = (struct pollfd){.fd = ends[0], .events = POLLIN};
    }
    must(write(ends[1], "x", 1) == 1);
    must(poll(all, DESCRIPTORS, -1) == 1);
    uint64_t start = now_ns();
    for (unsigned i = 0; i < count; i++)
        must(poll(all, DESCRIPTORS, -1) == 1);
    return now_ns() - start;
}

static uint64_t epoll_ready(unsigned count) {
    int pair[2], events = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    must(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair) && write(pair[1], "x", 1) == 1);
    must(!epoll_ctl(events, EPOLL_CTL_ADD, pair[0], &event));
    must(epoll_wait(events, &event, 1, -1) == 1);
    uint64_t start = now_ns();
    for (unsigned i = 0; i < count; i++)
        must(epoll_wait(events, &event, 1, -1) == 1);
    return now_ns() - start;
}

int main(int argc, char **argv) {
    must(argc > 2);
    unsigned count = (unsigned)atoi(argv[2]);
    uint64_t time = !strcmp(argv[1], "sockets") ? over_sockets(count, 0)
                    : !strcmp(argv[1], "polled") ? over_sockets(count, 1)
                    : !strcmp(argv[1], "pipes") ? over_pipes(count)
                    : !strcmp(argv[1], "socket-blocks") ? blocks(count, 0)
                    : !strcmp(argv[1], "pipe-blocks") ? blocks(count, 1)
                    : !strcmp(argv[1], "tcp") ? over_tcp(count, argv[3])
                    : !strcmp(argv[1], "poll") ? poll_many(count)
                                               : epoll_ready(count);
    return report(time / count, count);
}
