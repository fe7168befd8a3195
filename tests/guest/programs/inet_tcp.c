/* Internet streams over the loopback: connecting in both ways, addresses, options, ends. */
#include "report.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

static char text[1 << 16];

static struct sockaddr *loopback(struct sockaddr_in *address, int port) {
    memset(address, 0, sizeof *address);
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address->sin_port = htons(port);
    return (struct sockaddr *)address;
}

static int port_of(int s) {
    struct sockaddr_in name;
    socklen_t length = sizeof name;
    return getsockname(s, (struct sockaddr *)&name, &length) < 0 ? -1 : ntohs(name.sin_port);
}

static void show_ready(const char *what, int fd, int events, int timeout) {
    struct pollfd entry = {fd, events, 0};
    int count = poll(&entry, 1, timeout);
    printf("%s: %d, ready %x\n", what, count, entry.revents);
}

/* Until a connection has failed, or is broken off, whatever else there is to tell meanwhile. */
static void until_broken(int fd) {
    struct pollfd entry = {fd, 0, 0};
    while (poll(&entry, 1, -1) < 0 || !(entry.revents & POLLHUP)) {
    }
}

static void creation(void) {
    struct sockaddr_in address;
    int s = CALL(socket(AF_INET, SOCK_STREAM, IPPROTO_TCP));
    CALL(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    CALL(socket(AF_INET, SOCK_SEQPACKET, 0));
    CALL(socket(AF_INET, 77, 0));
    CALL(socket(AF_INET, SOCK_STREAM, 5000));
    CALL(socket(AF_APPLETALK, SOCK_DGRAM, 0));
    CALL(bind(s, loopback(&address, 0), 8));
    CALL(bind(s, loopback(&address, 0), 200));
    address.sin_family = AF_INET6;
    CALL(bind(s, (struct sockaddr *)&address, sizeof address));
    inet_pton(AF_INET, "192.0.2.77", &address.sin_addr);
    address.sin_family = AF_INET;
    CALL(bind(s, (struct sockaddr *)&address, sizeof address));
    CALL(bind(s, loopback(&address, 0), sizeof address));
    CALL(bind(s, loopback(&address, 0), sizeof address));
    CALL(accept(s, NULL, NULL));
    CALL(recv(s, text, 1, 0));
    CALL(send(s, "x", 1, MSG_NOSIGNAL));
    CALL(shutdown(s, SHUT_RDWR));
    CALL(getpeername(s, (struct sockaddr *)&address, &(socklen_t){sizeof address}));
    show_ready("bound", s, POLLIN | POLLOUT, 0);
    CALL(close(s));
}

static void conversation(void) {
    struct sockaddr_in address, peer;
    socklen_t length = sizeof peer;
    int listener = CALL(socket(AF_INET, SOCK_STREAM, 0)), client, server, queued;
    CALL(bind(listener, loopback(&address, 0), sizeof address));
    CALL(listen(listener, 4));
    int port = port_of(listener);
    show_ready("listening", listener, POLLIN, 0);
    client = CALL(socket(AF_INET, SOCK_STREAM, 0));
    CALL(connect(client, loopback(&address, port), 10));
    CALL(connect(client, loopback(&address, port), sizeof address));
    CALL(connect(client, loopback(&address, port), sizeof address));
    show_ready("listening", listener, POLLIN, -1);
    server = CALL(accept4(listener, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC));
    printf("%u %d %s %d\n", length, peer.sin_family, inet_ntoa(peer.sin_addr), ntohs(peer.sin_port) == port_of(client));
    CALL(fcntl(server, F_GETFD)), CALL(fcntl(server, F_GETFL) & O_NONBLOCK);
    CALL(send(client, "hello, world", 12, 0));
    CALL(recv(server, text, 5, MSG_PEEK));
    CALL(recv(server, text, 5, 0));
    show_ready("readable", server, POLLIN | POLLOUT, -1);
    CALL(ioctl(server, FIONREAD, &queued));
    printf("%d queued\n", queued);
    CALL(recv(server, text, 2, MSG_TRUNC));
    CALL(recv(server, text, 100, MSG_DONTWAIT));
    CALL(recv(server, text, 100, MSG_DONTWAIT));
    CALL(recv(server, text, 100, MSG_DONTWAIT | MSG_WAITALL));
    CALL(write(server, "back", 4));
    CALL(recv(client, text, 4, MSG_WAITALL));
    CALL(send(client, "!", 1, MSG_OOB));
    show_ready("urgent", server, POLLPRI, -1);
    CALL(recv(server, text, 1, MSG_OOB));
    CALL(shutdown(client, SHUT_WR));
    show_ready("half closed", server, POLLIN | POLLRDHUP, -1);
    CALL(recv(server, text, 1, 0));
    CALL(send(client, "x", 1, MSG_NOSIGNAL));
    CALL(send(server, "still", 5, 0));
    CALL(recv(client, text, sizeof text, 0));
    CALL(close(server));
    CALL(recv(client, text, sizeof text, 0));
    CALL(close(client)), CALL(close(listener));
}

static void not_waiting(void) {
    struct sockaddr_in address;
    int error;
    socklen_t length = sizeof error;
    int listener = CALL(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)), client, server;
    CALL(bind(listener, loopback(&address, 0), sizeof address));
    CALL(listen(listener, 4));
    int port = port_of(listener);
    CALL(accept(listener, NULL, NULL));
    client = CALL(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    CALL(connect(client, loopback(&address, port), sizeof address));
    show_ready("connected", client, POLLOUT, -1);
    CALL(getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &length));
    printf("error %d\n", error);
    CALL(connect(client, loopback(&address, port), sizeof address));
    CALL(connect(client, loopback(&address, port), sizeof address));
    show_ready("incoming", listener, POLLIN, -1);
    server = CALL(accept(listener, NULL, NULL));
    CALL(fcntl(server, F_GETFL) & O_NONBLOCK);
    CALL(recv(client, text, 1, 0));
    long sent = 0, count;
    struct pollfd room = {client, POLLOUT, 0};
    do { /* what is on its way when the buffer is full for the first time may find room at the other end */
        while ((count = send(client, text, sizeof text, 0)) > 0) {
            sent += count;
        }
    } while (poll(&room, 1, 100) > 0);
    printf("full: %s, %d\n", error_name(errno), sent > 1000);
    struct linger reset = {1, 0};
    CALL(setsockopt(server, SOL_SOCKET, SO_LINGER, &reset, sizeof reset));
    CALL(close(server));
    until_broken(client);
    show_ready("reset", client, POLLIN | POLLOUT | POLLRDHUP, -1);
    CALL(recv(client, text, 1, 0));
    CALL(recv(client, text, 1, 0));
    CALL(close(client)), CALL(close(listener));
    client = CALL(socket(AF_INET, SOCK_STREAM, 0));
    CALL(connect(client, loopback(&address, port), sizeof address));
    CALL(close(client));
    client = CALL(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    CALL(connect(client, loopback(&address, port), sizeof address));
    until_broken(client);
    show_ready("refused", client, POLLIN | POLLOUT, -1);
    CALL(getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &length));
    printf("%s\n", error_name(error));
    CALL(close(client));
}

static void options(void) {
    static const struct {
        int level, name;
    } OPTIONS[] = {{SOL_SOCKET, SO_REUSEADDR}, {SOL_SOCKET, SO_KEEPALIVE}, {SOL_SOCKET, SO_TYPE},
                   {SOL_SOCKET, SO_DOMAIN}, {SOL_SOCKET, SO_PROTOCOL}, {SOL_SOCKET, SO_ACCEPTCONN},
                   {SOL_SOCKET, SO_REUSEPORT}, {SOL_SOCKET, SO_ERROR}, {IPPROTO_TCP, TCP_NODELAY},
                   {IPPROTO_TCP, TCP_KEEPIDLE}, {IPPROTO_TCP, TCP_KEEPCNT}, {IPPROTO_TCP, TCP_CORK},
                   {IPPROTO_IP, IP_TOS}, {IPPROTO_TCP, 999}, {SOL_SOCKET, 999}, {12345, 1}};
    int s = CALL(socket(AF_INET, SOCK_STREAM, 0)), value, number = 8;
    for (size_t i = 0; i < LENGTH(OPTIONS); i++) {
        socklen_t length = sizeof value;
        value = -1, errno = 0;
        int got = getsockopt(s, OPTIONS[i].level, OPTIONS[i].name, &value, &length);
        printf("%d/%d: %d %s %d", OPTIONS[i].level, OPTIONS[i].name, got, got ? error_name(errno) : "", value);
        errno = 0;
        int set = setsockopt(s, OPTIONS[i].level, OPTIONS[i].name, &number, sizeof number);
        getsockopt(s, OPTIONS[i].level, OPTIONS[i].name, &value, &length);
        printf("; set %d %s %d\n", set, set ? error_name(errno) : "", value);
    }
    struct linger linger = {1, 3};
    socklen_t length = sizeof linger;
    CALL(setsockopt(s, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    memset(&linger, 0, sizeof linger);
    CALL(getsockopt(s, SOL_SOCKET, SO_LINGER, &linger, &length));
    printf("%d %d %u\n", linger.l_onoff, linger.l_linger, length);
    CALL(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &number, 1));
    CALL(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, WILD, 4));
    struct timeval limit = {0, 20000};
    CALL(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
    struct sockaddr_in address;
    CALL(bind(s, loopback(&address, 0), sizeof address)), CALL(listen(s, 1));
    CALL(accept(s, NULL, NULL));
    CALL(close(s));
}

static int listener_of_thread;

static void *echo(void *unused) {
    int s = accept(listener_of_thread, NULL, NULL);
    static char block[4096];
    long count;
    while ((count = read(s, block, sizeof block)) > 0) {
        for (long done = 0, part; done < count; done += part) {
            part = write(s, block + done, count - done);
        }
    }
    close(s);
    return unused;
}

static void in_bulk(void) {
    struct sockaddr_in address;
    pthread_t thread;
    listener_of_thread = socket(AF_INET, SOCK_STREAM, 0);
    bind(listener_of_thread, loopback(&address, 0), sizeof address);
    listen(listener_of_thread, 1);
    CALL(pthread_create(&thread, NULL, echo, NULL));
    int s = socket(AF_INET, SOCK_STREAM, 0);
    CALL(connect(s, loopback(&address, port_of(listener_of_thread)), sizeof address));
    unsigned sum = 0;
    for (int round = 0; round < 8; round++) {
        memset(text, 'a' + round, sizeof text);
        if (send(s, text, sizeof text, 0) != sizeof text || recv(s, text, sizeof text, MSG_WAITALL) != sizeof text) {
            printf("short\n");
        }
        for (size_t i = 0; i < sizeof text; i++) {
            sum = sum * 31 + (unsigned char)text[i];
        }
    }
    printf("%u\n", sum);
    CALL(shutdown(s, SHUT_WR));
    CALL(recv(s, text, 1, 0));
    CALL(pthread_join(thread, NULL));
    CALL(close(s)), CALL(close(listener_of_thread));
}

static void version_6(void) {
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT}, peer;
    socklen_t length = sizeof address;
    int listener = CALL(socket(AF_INET6, SOCK_STREAM, 0)), on = 1;
    CALL(setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on));
    CALL(bind(listener, (struct sockaddr *)&address, 20));
    if (CALL(bind(listener, (struct sockaddr *)&address, sizeof address)) == 0) {
        CALL(listen(listener, 1));
        CALL(getsockname(listener, (struct sockaddr *)&address, &length));
        int client = CALL(socket(AF_INET6, SOCK_STREAM, 0));
        CALL(connect(client, (struct sockaddr *)&address, sizeof address));
        length = sizeof peer;
        int server = CALL(accept(listener, (struct sockaddr *)&peer, &length));
        printf("%u %d %d\n", length, peer.sin6_family, IN6_IS_ADDR_LOOPBACK(&peer.sin6_addr));
        CALL(close(client)), CALL(close(server));
    }
    CALL(close(listener));
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    creation();
    conversation();
    not_waiting();
    options();
    in_bulk();
    version_6();
    return leave_scratch();
}
