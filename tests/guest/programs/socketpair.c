/* Pairs of UNIX sockets of each type: data, ends, limits, readiness, options. */
#include "report.h"

#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>

static char block[1 << 18];
static const int TYPES[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};

static void show_ready(const char *what, int fd) {
    struct pollfd entry = {fd, POLLIN | POLLOUT | POLLRDHUP | POLLPRI, 0};
    poll(&entry, 1, 0);
    printf("%s: ready %x\n", what, entry.revents);
}

static void show_queues(const char *what, int fd) {
    int in = -1, out = -1;
    ioctl(fd, FIONREAD, &in);
    ioctl(fd, TIOCOUTQ, &out);
    printf("%s: in %d out %d\n", what, in, out);
}

static void creation(void) {
    int s[2] = {-1, -1};
    CALL(socketpair(AF_UNIX, SOCK_STREAM, 1, s));
    CALL(close(s[0])), CALL(close(s[1]));
    CALL(socketpair(AF_UNIX, SOCK_STREAM, 7, s));
    CALL(socketpair(AF_UNIX, SOCK_RDM, 0, s));
    CALL(socketpair(AF_UNIX, 12, 0, s));
    CALL(socketpair(AF_UNIX, SOCK_STREAM | 0x100, 0, s));
    CALL(socketpair(AF_INET, SOCK_STREAM, 0, s));
    CALL(socketpair(999, SOCK_STREAM, 0, s));
    CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, WILD));
    CALL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, s));
    printf("%d %d\n", s[0], s[1]); /* nothing was leaked */
    CALL(fcntl(s[0], F_GETFD));
    CALL(fcntl(s[1], F_GETFL) & (O_NONBLOCK | O_ACCMODE));
    CALL(read(s[0], block, 1));
    CALL(read(s[0], block, 0));
    CALL(recv(s[0], block, 0, 0));
    CALL(lseek(s[0], 0, SEEK_CUR));
    CALL(pread(s[0], block, 1, 0));
    CALL(ftruncate(s[0], 0));
    CALL(fsync(s[0]));
    CALL(close(s[0])), CALL(close(s[1]));
    CALL(recv(0x7ff, block, 1, 0));
    CALL(listen(0, 1) == -1 && errno == ENOTSOCK);
}

static void talk(int type) {
    int s[2];
    char text[64] = {0};
    printf("-- type %d\n", type);
    CALL(socketpair(AF_UNIX, type, 0, s));
    show_ready("fresh", s[0]);
    CALL(write(s[0], "hello", 5));
    CALL(send(s[0], "world!", 6, MSG_DONTWAIT));
    show_queues("reader", s[1]);
    show_queues("writer", s[0]);
    show_ready("reader", s[1]);
    CALL(recv(s[1], text, 3, MSG_PEEK));
    printf("%s\n", text);
    CALL(recv(s[1], text, 3, MSG_TRUNC));
    CALL(recv(s[1], text, sizeof text, MSG_DONTWAIT));
    printf("%s\n", text);
    CALL(recv(s[1], text, sizeof text, MSG_DONTWAIT) >= -1);
    CALL(recv(s[1], text, 1, MSG_OOB | MSG_DONTWAIT) == -1);
    CALL(send(s[0], "x", 1, MSG_EOR));
    CALL(sendto(s[0], "x", 1, 0, (struct sockaddr *)"\1\0x", 3));
    CALL(recv(s[1], WILD, 1, 0));
    CALL(send(s[0], WILD, 1, 0));
    CALL(shutdown(s[0], 9));
    CALL(shutdown(s[0], SHUT_WR));
    show_ready("shut down", s[0]);
    show_ready("its peer", s[1]);
    CALL(send(s[0], "x", 1, MSG_NOSIGNAL));
    CALL(send(s[1], "back", 4, MSG_NOSIGNAL));
    CALL(recv(s[0], text, sizeof text, MSG_DONTWAIT));
    CALL(recv(s[1], text, sizeof text, MSG_DONTWAIT) >= -1);
    CALL(recv(s[1], text, sizeof text, MSG_DONTWAIT) >= -1);
    CALL(send(s[1], "lost", 4, MSG_NOSIGNAL));
    CALL(close(s[0]));
    show_ready("peer closed", s[1]);
    CALL(send(s[1], "x", 1, MSG_NOSIGNAL));
    CALL(recv(s[1], text, sizeof text, MSG_DONTWAIT));
    CALL(recv(s[1], text, sizeof text, MSG_DONTWAIT));
    CALL(close(s[1]));
}

static void limits(int type) {
    int s[2], value;
    socklen_t length = sizeof value;
    long count = 0;
    CALL(socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, s));
    while (send(s[0], block, 1000, 0) > 0) {
        count++;
    }
    printf("%ld sends, then %s\n", count, error_name(errno));
    show_ready("full", s[0]);
    show_queues("full", s[0]);
    show_queues("its peer", s[1]);
    while (count-- > 20) {
        recv(s[1], block, 1000, 0);
    }
    show_ready("with room", s[0]);
    CALL(close(s[0])), CALL(close(s[1]));
    CALL(socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, s));
    value = 3000;
    CALL(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &value, sizeof value));
    CALL(getsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &value, &length));
    printf("%d\n", value);
    CALL(send(s[0], block, sizeof block, 0));
    CALL(send(s[0], block, 5000, 0));
    CALL(send(s[0], block, 5000, 0));
    CALL(close(s[0])), CALL(close(s[1]));
}

static void vectors(void) {
    int s[2];
    char one[4] = {0}, two[8] = {0};
    struct iovec out[] = {{"ab", 2}, {NULL, 0}, {"cdefg", 5}}, in[] = {{one, 3}, {two, 7}};
    CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    CALL(writev(s[0], out, 3));
    CALL(readv(s[1], in, 2));
    printf("%s %s\n", one, two);
    struct msghdr message = {.msg_iov = out, .msg_iovlen = 3};
    CALL(sendmsg(s[0], &message, 0));
    message.msg_iov = in, message.msg_iovlen = 1;
    CALL(recvmsg(s[1], &message, 0));
    message.msg_iov = in + 1;
    CALL(recvmsg(s[1], &message, MSG_WAITALL | MSG_DONTWAIT));
    printf("%s %s\n", one, two);
    message.msg_iovlen = 5000;
    CALL(recvmsg(s[1], &message, 0));
    CALL(sendmsg(s[1], &message, 0));
    CALL(recvmsg(s[1], WILD, 0));
    CALL(sendmsg(s[1], WILD, 0));
    CALL(close(s[0])), CALL(close(s[1]));
}

static void many_messages(void) {
    int s[2];
    char text[3][8] = {{0}};
    struct iovec out[] = {{"one", 3}, {"two", 3}, {"three", 5}}, in[] = {{text[0], 7}, {text[1], 7}, {text[2], 7}};
    struct mmsghdr messages[3];
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < 3; i++) {
        messages[i].msg_hdr.msg_iov = &out[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    CALL(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
    CALL(sendmmsg(s[0], messages, 3, 0));
    printf("%u %u %u\n", messages[0].msg_len, messages[1].msg_len, messages[2].msg_len);
    for (int i = 0; i < 3; i++) {
        messages[i].msg_hdr.msg_iov = &in[i];
    }
    CALL(recvmmsg(s[1], messages, 2, 0, NULL));
    CALL(recvmmsg(s[1], messages + 2, 1, MSG_WAITFORONE, NULL));
    CALL(recvmmsg(s[1], messages, 3, MSG_DONTWAIT, NULL));
    printf("%s %s %s\n", text[0], text[1], text[2]);
    CALL(sendmmsg(s[0], WILD, 1, 0));
    CALL(sendmmsg(s[0], messages, 0, 0));
    CALL(close(s[0])), CALL(close(s[1]));
}

static void options(void) {
    static const int NAMES[] = {SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ERROR, SO_ACCEPTCONN, SO_SNDBUF, SO_RCVBUF,
                                SO_REUSEADDR, SO_KEEPALIVE, SO_BROADCAST, SO_PASSCRED, SO_RCVLOWAT, SO_SNDLOWAT,
                                SO_PRIORITY, SO_DEBUG, SO_OOBINLINE, SO_LINGER};
    int s[2], value, number = 1;
    CALL(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s));
    for (size_t i = 0; i < LENGTH(NAMES); i++) {
        socklen_t length = sizeof value;
        value = -1;
        int before = getsockopt(s[0], SOL_SOCKET, NAMES[i], &value, &length);
        printf("option %d: %d %d %u", NAMES[i], before, value, length);
        errno = 0;
        int set = setsockopt(s[0], SOL_SOCKET, NAMES[i], &number, sizeof number);
        getsockopt(s[0], SOL_SOCKET, NAMES[i], &value, &length);
        printf("; set %d %s %d\n", set, set ? error_name(errno) : "", value);
    }
    socklen_t length = 2;
    value = -1;
    CALL(getsockopt(s[0], SOL_SOCKET, SO_TYPE, &value, &length));
    printf("%x %u\n", value, length);
    CALL(getsockopt(s[0], SOL_SOCKET, 9999, &value, &length));
    CALL(setsockopt(s[0], SOL_SOCKET, 9999, &value, sizeof value));
    CALL(setsockopt(s[0], SOL_SOCKET, SO_RCVLOWAT, &value, 2));
    CALL(getsockopt(s[0], SOL_SOCKET, SO_TYPE, WILD, &length));
    CALL(getsockopt(s[0], IPPROTO_TCP, 1, &value, &length));
    CALL(setsockopt(s[0], IPPROTO_TCP, 1, &value, sizeof value));
    length = (socklen_t)-1;
    CALL(getsockopt(s[0], SOL_SOCKET, SO_TYPE, &value, &length));
    CALL(setsockopt(s[0], SOL_SOCKET, SO_KEEPALIVE, &value, -1));
    struct timeval limit = {0, 20000};
    CALL(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
    CALL(recv(s[0], block, 1, 0));
    CALL(read(s[0], block, 1));
    limit.tv_usec = 1000000;
    CALL(setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit));
    CALL(setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &limit, 4));
    CALL(close(s[0])), CALL(close(s[1]));
}

static volatile int signals;

static void count_signal(int number) { signals += number == SIGPIPE; }

static void broken(void) {
    int s[2];
    signal(SIGPIPE, count_signal);
    for (size_t i = 0; i < LENGTH(TYPES); i++) {
        socketpair(AF_UNIX, TYPES[i], 0, s);
        close(s[1]);
        signals = 0;
        CALL(write(s[0], "x", 1));
        CALL(send(s[0], "x", 1, 0));
        CALL(send(s[0], "x", 1, MSG_NOSIGNAL));
        printf("%d signals\n", signals);
        close(s[0]);
    }
}

int main(int argc, char **argv) {
    enter_scratch(argc, argv);
    creation();
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < LENGTH(TYPES); i++) {
        talk(TYPES[i]);
        limits(TYPES[i]);
    }
    vectors();
    many_messages();
    options();
    broken();
    return leave_scratch();
}
