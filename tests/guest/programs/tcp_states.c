/* How far a TCP connection has come, as TCP_INFO and getpeername(2) tell. */
#include "report.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int one, other, listener;
static struct sockaddr_in address = {.sin_family = AF_INET};

/* States that last until an answer comes are those that they lead to. */
static const char *state(int fd) {
    static const char *const names[] = {"?", "ESTABLISHED", "?", "?", "FIN-WAIT", "FIN-WAIT", "?", "CLOSED", "CLOSE-WAIT", "CLOSED", "LISTEN"};
    struct tcp_info info;
    socklen_t length = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0) {
        return error_name(errno);
    }
    return info.tcpi_state < LENGTH(names) ? names[info.tcpi_state] : "?";
}

static const char *peer(int fd) {
    struct sockaddr_in name;
    socklen_t length = sizeof name;
    return getpeername(fd, (struct sockaddr *)&name, &length) == 0 ? "a peer" : errno == ENOTCONN ? "no peer" : error_name(errno);
}

static void show(const char *when) {
    printf("%s: %s, %s; ", when, state(one), peer(one));
    printf("%s, %s\n", state(other), peer(other));
}

/* Packets take their time, even on the loopback. */
static void until(int fd, const char *wanted) {
    while (strcmp(state(fd), wanted)) {
        sched_yield();
    }
}

/* Until it knows that the other end has finished. */
static void until_told(int fd) {
    struct pollfd what = {fd, POLLRDHUP, 0};
    poll(&what, 1, -1);
}

static void until_received(int fd, int bytes) {
    int queued = 0;
    while (ioctl(fd, FIONREAD, &queued) == 0 && queued < bytes) {
        sched_yield();
    }
}

static void meet(void) {
    one = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(one, (struct sockaddr *)&address, sizeof address) < 0) {
        perror("connect");
        exit(2);
    }
    other = accept(listener, NULL, NULL);
}

int main(void) {
    char data[8];
    socklen_t length = sizeof address;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    puts(state(listener));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bind(listener, (struct sockaddr *)&address, sizeof address);
    puts(state(listener));
    listen(listener, 5);
    puts(state(listener));
    getsockname(listener, (struct sockaddr *)&address, &length);

    meet();
    show("connected");
    CALL(shutdown(one, SHUT_WR));
    until_told(other);
    until(other, "CLOSE-WAIT");
    show("half closed");
    CALL(shutdown(other, SHUT_WR));
    until_told(one);
    until(one, "CLOSED");
    until(other, "CLOSED");
    show("closed");
    close(one), close(other);

    meet();
    CALL(shutdown(one, SHUT_RD));
    show("deaf");
    CALL(write(other, "data", 4));
    until_received(one, 4);
    CALL(shutdown(one, SHUT_WR));
    until_told(other);
    until(other, "CLOSE-WAIT");
    show("and finished");
    close(one), close(other);

    meet();
    CALL(write(one, "data", 4));
    close(one);
    until_told(other);
    until(other, "CLOSE-WAIT");
    printf("%s, %s\n", state(other), peer(other));
    CALL(read(other, data, sizeof data));
    CALL(read(other, data, sizeof data));
    printf("%s, %s\n", state(other), peer(other));
    close(other);

    meet();
    struct linger at_once = {1, 0};
    setsockopt(one, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(one);
    until_told(other);
    until(other, "CLOSED");
    printf("%s, %s\n", state(other), peer(other));
    CALL(read(other, data, sizeof data) < 0 && errno == ECONNRESET);
    printf("%s, %s\n", state(other), peer(other));

    CALL(shutdown(listener, SHUT_RD));
    puts(state(listener));
    return 0;
}
