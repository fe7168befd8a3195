/* Corners of sockets: control messages without a place, a write that is cut short, what a connection inherits, and a
 * datagram socket that is connected after somebody has begun to wait for it. */
#include "report.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>

static int signals;

static void count_signal(int number) { signals += number == SIGPIPE; }

/* Files and credentials come with a message whose control buffer is no memory. */
static void nowhere_to_put(void) {
    for (int passes = 0; passes < 2; passes++) {
        int s[2], p[2];
        char byte, control[CMSG_SPACE(sizeof(int))] = {0};
        struct iovec vector = {"x", 1};
        struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        socketpair(AF_UNIX, SOCK_STREAM, 0, s);
        setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &passes, sizeof passes);
        pipe(p);
        *CMSG_FIRSTHDR(&message) = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &p[1], sizeof(int));
        CALL(sendmsg(s[0], &message, 0));
        close(p[1]);
        vector.iov_base = &byte;
        message.msg_control = (void *)8;
        message.msg_controllen = 100;
        CALL(recvmsg(s[1], &message, 0));
        printf("control %zu flags %x\n", (size_t)message.msg_controllen, (unsigned)message.msg_flags);
        CALL(read(p[0], &byte, 1)); /* the descriptor has gone: the end */
        close(p[0]), close(s[0]), close(s[1]);
    }
}

/* The reader takes some and leaves: the rest is lost, and there is no signal. */
static void cut_short(void) {
    int s[2];
    static char data[4 << 20];
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    signal(SIGPIPE, count_signal);
    if (!fork()) {
        close(s[0]);
        recv(s[1], data, 1000, MSG_WAITALL);
        _exit(0);
    }
    close(s[1]);
    ssize_t sent = write(s[0], data, sizeof data);
    wait(NULL);
    printf("cut: %d, signals %d\n", sent > 0 && sent < (ssize_t)sizeof data, signals);
    CALL(write(s[0], data, 1));
    printf("signals %d\n", signals);
    close(s[0]);
}

static void inheritance(void) {
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval times[] = {{3, 0}, {4, 0}};
    socklen_t length = sizeof name, size = sizeof times[0];
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    char byte, control[128];
    struct iovec vector = {&byte, 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &times[0], size);
    setsockopt(listener, SOL_SOCKET, SO_SNDTIMEO, &times[1], size);
    setsockopt(listener, IPPROTO_TCP, TCP_INQ, &one, sizeof one);
    bind(listener, (void *)&name, sizeof name);
    listen(listener, 5);
    getsockname(listener, (void *)&name, &length);
    CALL(connect(client, (void *)&name, length));
    int server = accept(listener, NULL, NULL);
    for (int option = SO_RCVTIMEO; option <= SO_SNDTIMEO; option++) {
        getsockopt(server, SOL_SOCKET, option, &times[0], &size);
        printf("option %d: %ld s\n", option, (long)times[0].tv_sec);
    }
    for (int round = 0; round < 2; round++) {
        send(client, "x", 1, 0);
        CALL(recvmsg(server, &message, 0));
        printf("bytes left told: %d, flags %x\n", message.msg_controllen > 0, (unsigned)message.msg_flags);
        message.msg_controllen = 0;
    }
    close(client), close(server);
    client = socket(AF_INET, SOCK_STREAM, 0);
    CALL(sendto(client, "fast", 4, MSG_FASTOPEN, (void *)&name, length)); /* connects first */
    CALL(sendto(client, "fast", 4, MSG_FASTOPEN, (void *)&name, length) == -1 && errno == EISCONN);
    server = accept(listener, NULL, NULL);
    CALL(recv(server, control, 4, MSG_WAITALL));
    close(listener), close(client), close(server);
}

/* The receiver's queue is full of another's packets when the connected one is waited for. */
static void connected_late(unsigned mode) {
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "late"};
    struct epoll_event event = {.events = EPOLLOUT | mode};
    int receiver = socket(AF_UNIX, SOCK_DGRAM, 0), other = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    int late = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0), epoll = epoll_create1(0), sent = 0;
    char byte;
    bind(receiver, (void *)&name, sizeof name);
    epoll_ctl(epoll, EPOLL_CTL_ADD, late, &event);
    CALL(epoll_wait(epoll, &event, 1, 0));
    connect(other, (void *)&name, sizeof name);
    while (send(other, "x", 1, 0) == 1)
        sent++;
    connect(late, (void *)&name, sizeof name);
    CALL(send(late, "x", 1, 0));
    CALL(epoll_wait(epoll, &event, 1, 0));
    if (!fork()) {
        while (sent--)
            recv(receiver, &byte, 1, 0);
        _exit(0);
    }
    CALL(epoll_wait(epoll, &event, 1, -1));
    wait(NULL);
    unlink("late");
    close(receiver), close(other), close(late), close(epoll);
}

static void show_control(int fd, int flags) {
    char byte, control[CMSG_SPACE(sizeof(struct ucred))];
    struct iovec vector = {&byte, 1};
    struct sockaddr_un from = {0};
    struct msghdr message = {&from, sizeof from, &vector, 1, control, sizeof control, 0};
    errno = 0;
    long result = recvmsg(fd, &message, flags | MSG_DONTWAIT);
    printf("%ld %s: control %zu, from a name %d\n", result, result < 0 ? error_name(errno) : "",
           result < 0 ? 0 : (size_t)message.msg_controllen, message.msg_namelen > sizeof(sa_family_t));
}

/* Packets and streams of UNIX sockets. */
static void unix_sockets(void) {
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    char data[16], control[CMSG_SPACE(sizeof(int))] = {0};
    int s[2], p[2], on = 1, at;
    for (size_t i = 0; i < LENGTH(types); i++) {
        socketpair(AF_UNIX, types[i], 0, s);
        CALL(ioctl(s[0], SIOCATMARK, &at));
        send(s[1], "a", 1, 0);
        setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
        setsockopt(s[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
        send(s[1], "b", 1, 0);
        show_control(s[0], 0); /* the sender has got a name meanwhile */
        send(s[0], "unread", 6, 0);
        close(s[1]);
        for (int round = 0; round < 3; round++)
            show_control(s[0], 0);
        close(s[0]);
        socketpair(AF_UNIX, types[i], 0, s);
        send(s[0], "", 0, 0);
        send(s[1], "c", 1, 0);
        close(s[1]);
        CALL(recv(s[0], data, 1, MSG_DONTWAIT)); /* what nobody has read was empty */
        close(s[0]);
    }

    /* Room in the sender's own buffer comes before whom it is for; so does patience before a shutdown. */
    struct sockaddr_un self = {.sun_family = AF_UNIX}, nobody = {.sun_family = AF_UNIX, .sun_path = "\0nobody"};
    snprintf(self.sun_path + 1, sizeof self.sun_path - 1, "corners-%d", getpid());
    s[0] = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    bind(s[0], (void *)&self, sizeof self);
    CALL(sendto(s[0], "x", 1, 0, (void *)&nobody, sizeof nobody));
    while (sendto(s[0], "x", 1, 0, (void *)&self, sizeof self) == 1)
        ;
    CALL(sendto(s[0], "x", 1, 0, (void *)&nobody, sizeof nobody));
    close(s[0]);
    for (int flags = 0; flags <= SOCK_NONBLOCK; flags += SOCK_NONBLOCK) {
        s[0] = socket(AF_UNIX, SOCK_STREAM | flags, 0);
        bind(s[0], (void *)&self, sizeof self);
        listen(s[0], 1);
        shutdown(s[0], SHUT_RD);
        CALL(accept(s[0], NULL, NULL));
        close(s[0]);
    }

    /* A descriptor that came with an urgent byte goes with it. */
    struct iovec vector = {"!", 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    pipe(p);
    *CMSG_FIRSTHDR(&message) = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &p[1], sizeof(int));
    CALL(sendmsg(s[0], &message, MSG_OOB));
    close(p[1]);
    CALL(recv(s[1], data, 1, MSG_OOB));
    send(s[0], "more", 4, 0);
    CALL(recv(s[1], data, 9, 0));
    CALL(read(p[0], data, 1));

    close(p[0]), close(s[0]), close(s[1]);
}

int main(int count, char **arguments) {
    if (count > 1 && chdir(arguments[1])) {
        return 1;
    }
    nowhere_to_put();
    unix_sockets();
    cut_short();
    inheritance();
    connected_late(0);
    connected_late(EPOLLET);
    return 0;
}
