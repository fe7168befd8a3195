/* SIGURG: who owns a stream socket is told of urgent data; O_ASYNC and F_SETSIG do not matter. */
#include "report.h"

#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

static int pair[2];

static void tcp(void) {
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof name;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    CALL(bind(listener, (struct sockaddr *)&name, size));
    CALL(listen(listener, 1));
    getsockname(listener, (struct sockaddr *)&name, &size);
    pair[1] = socket(AF_INET, SOCK_STREAM, 0);
    CALL(connect(pair[1], (struct sockaddr *)&name, size));
    pair[0] = accept(listener, 0, 0);
    close(listener);
}

static void until(short events) {
    struct pollfd wanted = {pair[0], events, 0};
    while (poll(&wanted, 1, -1) < 0 || !(wanted.revents & events)) {
    }
}

static void told(const sigset_t *urgent, int patience) {
    siginfo_t info = {0};
    struct timespec time = {patience, 0};
    errno = 0;
    int number = sigtimedwait(urgent, &info, &time);
    printf("told: %d %d %s\n", number, info.si_code, number < 0 ? error_name(errno) : "");
}

static void urgent_data(void) {
    sigset_t urgent;
    char byte;
    sigemptyset(&urgent);
    sigaddset(&urgent, SIGURG);
    sigaddset(&urgent, SIGUSR1);
    sigprocmask(SIG_BLOCK, &urgent, 0);
    CALL(fcntl(pair[0], F_SETSIG, SIGUSR1));
    CALL(send(pair[1], "a", 1, MSG_OOB));
    until(POLLPRI);
    told(&urgent, 0);
    CALL(recv(pair[0], &byte, 1, MSG_OOB));
    OK(fcntl(pair[0], F_SETOWN, getpid()));
    CALL(send(pair[1], "plain", 5, 0));
    until(POLLIN);
    told(&urgent, 0);
    for (int i = 0; i < 2; i++) {
        CALL(send(pair[1], "b", 1, MSG_OOB));
        told(&urgent, 100);
        until(POLLPRI);
        CALL(recv(pair[0], &byte, 1, MSG_OOB));
        printf("got %c\n", byte);
    }
    CALL(fcntl(pair[0], F_SETOWN, 0));
    CALL(send(pair[1], "c", 1, MSG_OOB));
    until(POLLPRI);
    told(&urgent, 0);
    close(pair[0]), close(pair[1]);
}

int main(void) {
    tcp();
    urgent_data();
    CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    urgent_data();
    return 0;
}
