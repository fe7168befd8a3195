/* When a datagram came, as a control message; levels of options that a socket has none of; names of peers as
 * options; the state of a TCP socket; connections that are broken off. */
#include "report.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

enum { TIMESTAMP_NEW = 63, TIMESTAMPNS_NEW = 64 };

static const int OPTIONS[] = {SO_TIMESTAMP, SO_TIMESTAMPNS, TIMESTAMP_NEW, TIMESTAMPNS_NEW};

static void show_options(int fd) {
    for (size_t i = 0; i < LENGTH(OPTIONS); i++) {
        int value = -1;
        socklen_t length = sizeof value;
        getsockopt(fd, SOL_SOCKET, OPTIONS[i], &value, &length);
        printf(" %d", value);
    }
    printf("\n");
}

static void receive(int fd) {
    char data[8], control[256];
    struct iovec part = {data, sizeof data};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    CALL(recvmsg(fd, &message, 0));
    for (struct cmsghdr *at = CMSG_FIRSTHDR(&message); at != NULL; at = CMSG_NXTHDR(&message, at)) {
        struct timespec now;
        long stamp[2] = {0};
        clock_gettime(CLOCK_REALTIME, &now);
        if (at->cmsg_level == SOL_SOCKET && at->cmsg_type == SCM_CREDENTIALS) {
            printf("credentials\n");
            continue;
        }
        memcpy(stamp, CMSG_DATA(at), sizeof stamp);
        printf("level %d, type %d, %zu bytes, now: %d\n", at->cmsg_level, at->cmsg_type, at->cmsg_len - CMSG_LEN(0),
               labs(now.tv_sec - stamp[0]) < 100 && stamp[1] >= 0);
    }
}

static void stamps(const char *what, int from, int to) {
    static const int on = 1, off = 0;
    printf("%s\n", what);
    for (size_t i = 0; i < LENGTH(OPTIONS); i++) {
        CALL(setsockopt(to, SOL_SOCKET, OPTIONS[i], &on, sizeof on));
        show_options(to);
        CALL(send(from, "x", 1, 0));
        receive(to);
    }
    CALL(setsockopt(to, SOL_SOCKET, SO_TIMESTAMP, &off, sizeof off)); /* any of them ends it */
    show_options(to);
    CALL(send(from, "x", 1, 0));
    receive(to);
}

static void unix_sockets(int kind, const char *what) {
    static const int on = 1;
    int pair[2];
    CALL(socketpair(AF_UNIX, kind, 0, pair));
    stamps(what, pair[0], pair[1]);
    CALL(send(pair[0], "early", 5, 0)); /* before anybody has asked */
    CALL(setsockopt(pair[1], SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on));
    CALL(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    receive(pair[1]);
    close(pair[0]), close(pair[1]);
}

static void udp(void) {
    int from = socket(AF_INET, SOCK_DGRAM, 0), to = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    CALL(bind(to, (struct sockaddr *)&address, sizeof address));
    getsockname(to, (struct sockaddr *)&address, &length);
    CALL(connect(from, (struct sockaddr *)&address, sizeof address));
    stamps("udp", from, to);
    close(from), close(to);
}

/* A level of which nothing can be asked comes before pointers. */
static void levels(void) {
    static const int families[] = {AF_UNIX, AF_INET, AF_INET6}, asked[] = {SOL_IP, SOL_SOCKET, IPPROTO_TCP, IPPROTO_UDP, 255};
    for (size_t i = 0; i < LENGTH(families); i++) {
        int fd = socket(families[i], SOCK_STREAM, 0);
        for (size_t j = 0; j < LENGTH(asked); j++) {
            CALL(getsockopt(fd, asked[j], 0, NULL, NULL));
        }
        close(fd);
    }
}

static void peer_names(int fd) {
    char name[128];
    static const socklen_t rooms[] = {2, 3, 16, 17, 110};
    for (size_t i = 0; i < LENGTH(rooms); i++) {
        socklen_t length = rooms[i];
        CALL(getsockopt(fd, SOL_SOCKET, SO_PEERNAME, name, &length));
        printf("length %d\n", (int)length);
    }
}

static int state_of(int fd) {
    struct tcp_info info = {0};
    socklen_t length = sizeof info;
    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
    return info.tcpi_state;
}

static void peers(void) {
    int pair[2], listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    peer_names(pair[0]);
    close(pair[0]), close(pair[1]);
    CALL(bind(listener, (struct sockaddr *)&address, sizeof address));
    getsockname(listener, (struct sockaddr *)&address, &length);
    printf("closed: %d\n", state_of(listener));
    CALL(listen(listener, 1));
    printf("listening: %d\n", state_of(listener));
    CALL(connect(fd, (struct sockaddr *)&address, sizeof address));
    printf("connected: %d\n", state_of(fd));
    peer_names(fd);
    peer_names(listener);
    close(listener), close(fd);
}

/* Until it knows that its peer has broken off; there may be data to read before. */
static void until_broken_off(int fd) {
    struct pollfd watched = {fd, 0, 0};
    while (poll(&watched, 1, -1) < 0 || !(watched.revents & POLLHUP)) {
    }
}

/* SO_LINGER without time: to close is to break off. What has come before is still there. */
static void broken_off(int reads_first) {
    struct linger at_once = {1, 0};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    char data[8];
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
    CALL(bind(listener, (struct sockaddr *)&address, sizeof address));
    CALL(listen(listener, 1));
    getsockname(listener, (struct sockaddr *)&address, &length);
    CALL(connect(fd, (struct sockaddr *)&address, sizeof address));
    int other = accept(listener, NULL, NULL);
    CALL(setsockopt(other, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
    CALL(send(other, "last", 4, 0));
    CALL(close(other));
    until_broken_off(fd);
    struct pollfd watched = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
    CALL(poll(&watched, 1, -1));
    printf("events %x\n", (unsigned)watched.revents);
    if (reads_first) {
        CALL(read(fd, data, sizeof data));
        CALL(read(fd, data, sizeof data));
    } else {
        CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    }
    CALL(send(fd, "x", 1, MSG_NOSIGNAL));
    close(listener), close(fd);
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    unix_sockets(SOCK_DGRAM, "datagrams");
    unix_sockets(SOCK_SEQPACKET, "packets");
    unix_sockets(SOCK_STREAM, "stream");
    udp();
    levels();
    peers();
    broken_off(1);
    broken_off(0);
    return leave_scratch();
}
