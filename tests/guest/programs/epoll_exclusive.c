/* EPOLLEXCLUSIVE: of several processes that wait for one listening socket, one is woken for a connection. */
#include "report.h"

#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

enum { WORKERS = 4 };

static int listener, told[2];
static pid_t workers[WORKERS];

/* Says that it has been woken, and has had enough. */
static void work(uint32_t events) {
    int epoll = epoll_create1(0);
    struct epoll_event event = {events, {.fd = listener}}, found;
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event)) {
        _exit(1);
    }
    if (epoll_wait(epoll, &found, 1, -1) != 1 || write(told[1], "w", 1) != 1) {
        _exit(2);
    }
    pause();
}

static void until_it_sleeps(pid_t pid) {
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    do {
        sched_yield();
        FILE *file = fopen(path, "r");
        if (!file || !fgets(text, sizeof text, file)) {
            _exit(4);
        }
        fclose(file);
    } while (*(strchr(text, ')') + 2) != 'S');
}

static void until_all_sleep(void) {
    for (int i = 0; i < WORKERS; i++) {
        until_it_sleeps(workers[i]);
    }
}

static char hear(int patience) {
    struct pollfd wanted = {told[0], POLLIN, 0};
    char byte = '-';
    if (poll(&wanted, 1, patience) == 1 && read(told[0], &byte, 1) != 1) {
        _exit(5);
    }
    return byte;
}

static void start(uint32_t events) {
    CALL(pipe(told));
    fflush(stdout);
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = fork();
        if (!workers[i]) {
            close(told[0]);
            work(events);
        }
    }
    close(told[1]);
    until_all_sleep();
}

static void stop(void) {
    for (int i = 0; i < WORKERS; i++) {
        kill(workers[i], SIGKILL);
        waitpid(workers[i], 0, 0);
    }
    close(told[0]), close(listener);
}

static void crowd(int family, const void *address, socklen_t length, uint32_t events) {
    struct sockaddr_storage name;
    socklen_t size = sizeof name;
    int clients[2];
    listener = CALL(socket(family, SOCK_STREAM, 0));
    CALL(bind(listener, address, length));
    CALL(listen(listener, 8));
    fcntl(listener, F_SETFL, O_NONBLOCK);
    getsockname(listener, (struct sockaddr *)&name, &size);
    start(events);
    printf("nobody: %c\n", hear(0));
    for (int i = 0; i < 2; i++) {
        clients[i] = socket(family, SOCK_STREAM, 0);
        CALL(connect(clients[i], (struct sockaddr *)&name, size));
        printf("woken: %c\n", hear(-1));
        printf("nobody else: %c\n", hear(50));
    }
    close(clients[0]), close(clients[1]);
    stop();
}

int main(void) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un named = {.sun_family = AF_UNIX}; /* any abstract name */
    crowd(AF_INET, &here, sizeof here, EPOLLIN | EPOLLEXCLUSIVE);
    crowd(AF_INET, &here, sizeof here, EPOLLIN | EPOLLET | EPOLLEXCLUSIVE);
    crowd(AF_UNIX, &named, sizeof named.sun_family, EPOLLIN | EPOLLEXCLUSIVE);
    return 0;
}
